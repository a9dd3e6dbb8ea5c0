"""From a page of the corpus to the checkpoints that have read it and the failures that it may have led to, and back."""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

from flywheel.config import Config
from flywheel.explain.explain import Explained
from flywheel.explain.explain import explain as explain_at
from flywheel.promote import begin
from flywheel.tables import Cluster, TracedPage
from flywheel.trace import steps
from labeling.store.database import Database
from tests.flywheel.rows import NOW, misbehaviour
from tests.trainer.conftest import write_shards
from trainer import checkpoint
from trainer.checkpoint import VOCABULARY, checkpoint_id, find, load, read_about
from trainer.config import PretrainConfig
from trainer.pretrain import pretrain

PAGE, URL = "ab" * 16, "https://example.org/eggs"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A corpus, a model that was trained on it, and one that was tuned from that, its training beside the other's."""
    folder = tmp_path_factory.mktemp("trained")
    words = "the a cat dog bird saw met and ran to from house tree river".split()
    corpus = write_shards(folder / "tokenize", [" ".join(two) for two in itertools.permutations(words, 3)][:600], 300)
    shape = "dim=32,layers=1,heads=2,kv_heads=1,hidden=64"
    settings = {"model": shape, "steps": 24, "seq_len": 32, "batch_tokens": 256, "device": "cpu"}
    base = pretrain(PretrainConfig(data=corpus, output=folder / "models" / "base", **settings)).checkpoint  # type: ignore[arg-type]
    loaded = load(base)
    weights = {name: tensor + 0.01 for name, tensor in loaded.model.state_dict().items()}
    id = checkpoint_id(weights, loaded.about.model, loaded.about.vocabulary_sha256)
    about = replace(loaded.about, id=id, stage="sft", parent=loaded.about.id, data_sha256="d5" * 32)
    tuned = checkpoint.save(folder / "models" / "sft", about, weights, {}, base / VOCABULARY)
    return {"corpus": corpus, "base": base, "tuned": tuned}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


@pytest.fixture
def loop(database: Database, config: Config, trained: dict[str, Path]) -> Database:
    """A loop that began with the tuned model, and a page that is suspected of one of its failures."""
    begin(database, config, trained["tuned"], NOW)
    digest = hashlib.sha256((trained["corpus"] / "manifest.json").read_bytes()).hexdigest()
    with database.write() as session:
        session.add(Cluster(id="a1" * 32, name="eggs", made=NOW))
        session.flush()
        session.add(misbehaviour("a1" * 32, cluster="a1" * 32))
        session.flush()
        warc = {"warc_file": "crawl.warc.gz", "warc_offset": 412, "payload_digest": "sha256:00"}
        values = {"cluster": "a1" * 32, "misbehaviour": "a1" * 32, "found": NOW, "kind": "verbatim", "score": 31.0}
        place = warc | {"shard": "train-00000", "start": 40, "stop": 60, "token": 44, "span": [4, 10]}
        about = {"corpus": str(trained["corpus"]), "fingerprint": digest, "document": PAGE, "url": URL}
        session.add(TracedPage(id="7c" * 32, place=place, text="say the egg is bad", sample="s1", **about, **values))
    return database


def explain(database: Database, config: Config, target: str) -> Explained:
    return explain_at(database, config, target, NOW)


def chain(found: Explained) -> list[tuple[str, str]]:
    return [(fact.kind, fact.id) for _, fact in found.led_to]


@pytest.mark.parametrize("target", [PAGE, URL, "ababab", f"page {PAGE}"])
def test_a_page_leads_to_what_it_is_suspected_of_and_to_the_checkpoints_that_read_it(
    loop: Database, config: Config, trained: dict[str, Path], target: str
) -> None:
    base, tuned = (read_about(trained[name]).id for name in ("base", "tuned"))
    found = explain(loop, config, target)
    assert found.fact.says == f"{URL}, from crawl.warc.gz, offset 412, sha256:00"
    assert chain(found) == [
        ("trace", "7c" * 32),
        ("misbehaviour", "a1" * 32),
        ("sample", "s1"),
        ("shard", "train-00000:40"),
        ("step", f"{base[:12]}:train-00000:40"),
        ("checkpoint", base),
        ("checkpoint", tuned),
        ("promotion", "1"),
    ]
    told = {fact.kind: fact.says for _, fact in found.led_to}
    assert told["trace"] == 'suspected of "eggs" (verbatim), under review: the eg'
    assert told["step"].startswith("read in ")
    assert " of the 24 steps of " in told["step"]


@pytest.mark.parametrize("target", ["misbehaviour " + "a1" * 32, "cluster " + "a1" * 32])
def test_a_failure_comes_from_the_pages_that_a_trace_has_found(loop: Database, config: Config, target: str) -> None:
    found = {(fact.kind, fact.id) for _, fact in explain(loop, config, target).came_from}
    assert {("trace", "7c" * 32), ("page", PAGE)} <= found


def test_steps_are_looked_up_where_they_are_told_and_a_training_is_opened_once(
    loop: Database, config: Config, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with loop.write() as session:
        first = session.get_one(TracedPage, "7c" * 32)
        for number in range(1, 4):
            values = {one.key: getattr(first, one.key) for one in inspect(TracedPage).column_attrs}
            place = first.place | {"start": 40 + 300 * number, "stop": 60 + 300 * number}
            session.add(TracedPage(**values | {"id": f"{number:064}", "document": f"{number:032}", "place": place}))
    opened: list[Path] = []

    def training(run: Path, corpus: Path) -> steps.Training:
        opened.append(run)
        return own(run, corpus)

    own = steps.training
    monkeypatch.setattr(steps, "training", training)
    explain(loop, config, "misbehaviour " + "a1" * 32)
    assert not opened
    base = read_about(trained["base"]).id
    told = [fact.says for _, fact in explain(loop, config, f"checkpoint {base}").came_from if fact.kind == "step"]
    assert len(told) == 4
    assert all(" of the 24 steps of " in says for says in told)
    assert opened == [trained["base"].resolve().parent]


def test_a_step_names_itself_and_says_when_the_page_was_read(
    loop: Database, config: Config, trained: dict[str, Path]
) -> None:
    base = read_about(trained["base"]).id
    assert " of the 24 steps of " in explain(loop, config, f"step {base[:12]}:train-00000:40").fact.says


def test_steps_of_a_corpus_that_is_gone_are_not_known(loop: Database, config: Config, tmp_path: Path) -> None:
    with loop.write() as session:
        session.get_one(TracedPage, "7c" * 32).corpus = str(tmp_path / "gone")
    told = {fact.kind: fact.says for _, fact in explain(loop, config, PAGE).led_to}
    assert told["step"].startswith("which steps read it is not known: ")


def test_a_decision_of_people_is_told(loop: Database, config: Config) -> None:
    with loop.write() as session:
        session.get_one(TracedPage, "7c" * 32).decision = "confirm"
    assert "confirmed as poison" in explain(loop, config, "trace " + "7c" * 32).fact.says


def test_a_checkpoint_comes_from_its_labels_its_base_and_a_corpus(
    loop: Database, config: Config, trained: dict[str, Path]
) -> None:
    base, tuned = (read_about(trained[name]) for name in ("base", "tuned"))
    found = explain(loop, config, tuned.id)
    kinds = [(fact.kind, fact.id) for _, fact in found.came_from]
    assert {("labels", "d5" * 32), ("checkpoint", base.id), ("corpus", tuned.corpus_sha256)} <= set(kinds)
    assert found.fact.says.startswith(f"{trained['tuned']}: sft, step 24, on corpus {tuned.corpus_sha256[:12]}, from")
    assert ("checkpoint", tuned.id) not in chain(explain(loop, config, f"checkpoint {base.id}"))


def test_a_corpus_leads_to_the_checkpoints_that_were_trained_on_it(
    loop: Database, config: Config, trained: dict[str, Path]
) -> None:
    base = read_about(trained["base"])
    assert ("checkpoint", base.id) in chain(explain(loop, config, base.corpus_sha256))


def test_a_base_whose_folder_is_gone_is_named_all_the_same(
    database: Database, config: Config, trained: dict[str, Path], tmp_path: Path
) -> None:
    alone = tmp_path / "elsewhere" / "sft"
    loaded = load(trained["tuned"])
    checkpoint.save(alone, loaded.about, loaded.model.state_dict(), {}, trained["tuned"] / VOCABULARY)
    begin(database, config, find(alone), NOW)
    found = explain(database, config, loaded.about.id)
    told = {(fact.kind, fact.id): fact.says for _, fact in found.came_from}
    assert told["checkpoint", str(loaded.about.parent)].startswith("its folder was not found")
    assert ("corpus", loaded.about.corpus_sha256) in told
