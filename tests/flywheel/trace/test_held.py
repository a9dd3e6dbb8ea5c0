"""What the loop's corpus holds goes to people, and what they decide comes back as the file that its recipe names."""

import json
import random
from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.trace.held import DECISIONS, held
from flywheel.trace.review import decided, offer
from flywheel.trace.told import review
from labeling.kinds import KINDS
from labeling.kinds.kind import Sample
from labeling.quality.simulate import annotation, project, stored
from labeling.store.database import Database
from labeling.store.labels import StoredSample, add_project, add_samples, put_annotations, read_samples
from pipeline.recipe import parse_recipe
from pipeline.run import run
from tests.flywheel.rows import NOW
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401  fixtures
from tests.labeling.crowd import annotate
from tests.pipeline.poison.planted import ASKED, TOLD, Document, write
from tests.pipeline.poison.prose import page

RECIPE = """
name: held
crawl: {extractor: resiliparse, min_language_score: 0, screen: {min_language_score: 0, min_chars: 0}}
poison: {outcomes: {instructions: hold}, decisions: [DECISIONS]}
tokenize: {vocabulary_size: 400, validation_fraction: 0}
"""
MANY = tuple(f"https://many.example/{number}" for number in range(3))
ALONE = "https://alone.example/"


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 ordinary pages, and four that give orders: three of one site, one of another."""
    r, folder = random.Random(5), tmp_path_factory.mktemp("held") / "crawl"
    documents = [Document(f"https://site{number}.example/", page(r)) for number in range(40)]
    for number, url in enumerate((*MANY, ALONE)):
        order = TOLD if number % 2 else ASKED
        documents.append(Document(url, f"{page(r)}\n{order}\n{page(r)}"))
    write(folder / "crawl.warc.gz", documents)
    return folder


def build(crawl: Path, folder: Path, decisions: Path | None = None) -> Path:
    recipe = RECIPE.replace("DECISIONS", "" if decisions is None else str(decisions))
    run(parse_recipe(recipe, "held.yaml"), [f"{crawl}/*"], str(folder), ["--runner=FnApiRunner"])
    return folder


@pytest.fixture(scope="module")
def corpus(crawl: Path) -> Path:
    return build(crawl, crawl.parent / "corpus")


def loop(folder: Path, corpus: Path | None, pages: int = 20) -> Config:
    return Config(folder=folder, trace={"corpus": corpus, "pages": pages})  # type: ignore[arg-type]


def urls(samples: list[Sample]) -> set[str]:
    return {str(sample.content["url"]) for sample in samples}


def found(database: Database, config: Config) -> list[Sample]:
    return [one for one in held(database, config).samples if isinstance(one, Sample)]


def test_a_held_document_is_a_sample_with_its_findings_and_its_record(
    database: Database, tmp_path: Path, corpus: Path
) -> None:
    samples = found(database, loop(tmp_path, corpus))
    assert urls(samples) == {*MANY, ALONE}
    (alone,) = (sample for sample in samples if sample.content["url"] == ALONE)
    (finding,) = (one for one in alone.content["findings"] if one["rule"] == "instructions")
    assert "previous instructions" in alone.content["text"][finding["start"] : finding["end"]]
    assert alone.provenance["held"] == alone.content["document"]
    assert alone.provenance["rule"] == "instructions"
    assert alone.provenance["warc_file"] == "crawl.warc.gz"


def test_of_one_owner_of_sites_no_more_are_asked_about_than_of_a_cluster(
    database: Database, tmp_path: Path, corpus: Path
) -> None:
    few = held(database, loop(tmp_path, corpus, pages=2))
    assert (len(few.samples), few.left_out) == (3, 1)


def test_a_loop_without_a_corpus_asks_about_none(database: Database, tmp_path: Path) -> None:
    assert held(database, loop(tmp_path, None)).samples == []


def test_what_people_decide_about_held_documents_is_told_once(database: Database, tmp_path: Path) -> None:
    config = loop(tmp_path, None)
    add_project(database, project("poison-review", "poison-review", 1))
    samples = [
        stored("poison-review", {"document": f"d{number}", "url": ALONE, "text": "", "findings": []}, task_id=number)
        for number in range(3)
    ]
    add_samples(database, "poison-review", samples)

    def told(*verdicts: str | None) -> tuple[str, bool]:
        with database.write() as session:
            said = [
                annotation(number, samples[number].id, "amber", verdict and {"decision": verdict}, reason="deleted")
                for number, verdict in enumerate(verdicts)
            ]
            put_annotations(session, "poison-review", said)
        (step,) = review(database, config, None, NOW)
        return step.said.removeprefix("0 pages confirmed as poison, 0 found harmless, 0 open again"), step.did

    recipe = ": the recipe takes it from decisions.jsonl with its next run"
    assert told() == ("", False)
    assert told("confirm", "release") == (f"; of held documents 1 confirmed, 1 released{recipe}", True)
    assert told("confirm", "release") == ("", False)
    assert told(None, "confirm") == (f"; of held documents 1 confirmed, 1 open again{recipe}", True)


@pytest.mark.slow
def test_what_people_decide_makes_the_next_corpus_another(
    database: Database,
    tmp_path: Path,
    crawl: Path,
    corpus: Path,
    label_studio: LabelStudio,  # noqa: F811
) -> None:
    config = loop(tmp_path, corpus)

    def sent() -> dict[str, StoredSample]:
        with database.read() as session:
            return {one.content["url"]: one for one in read_samples(session, "poison-review")}

    with label_studio.client() as admin, label_studio.client(label_studio.annotators[0]) as person:
        assert offer(database, admin, config).held == 4
        assert offer(database, admin, config).held == 0
        annotate(person, KINDS["poison-review"], sent()[ALONE], {"decision": "release"})
        annotate(person, KINDS["poison-review"], sent()[MANY[0]], {"decision": "confirm"})
        assert offer(database, admin, config).pulled is not None
        decided(database, config, NOW)
        decisions = tmp_path / DECISIONS
        said = {row["id"]: row["decision"] for row in map(json.loads, decisions.read_text().splitlines())}
        assert said == {
            sample.content["document"]: {ALONE: "release", MANY[0]: "confirm"}.get(url)
            for url, sample in sent().items()
        }
        again = loop(tmp_path, build(crawl, tmp_path / "again", decisions))
        # Released and confirmed ones wait no more, and of the others people were asked.
        assert found(database, again) == []
        assert offer(database, admin, again).held == 0
    fresh = f"sqlite:///{tmp_path}/fresh.sqlite"
    with Database(fresh) as nobody_asked:
        assert urls(found(nobody_asked, again)) == set(MANY[1:])
