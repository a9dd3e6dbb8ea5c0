"""The chain from a report to the checkpoint that mended it, and from a checkpoint to the reports behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flywheel.config import Config
from flywheel.explain.explain import Explained
from flywheel.explain.explain import explain as explain_at
from flywheel.explain.graph import Branch, Fact, shortened
from flywheel.tables import Misbehaviour, Promotion, Run
from labeling.quality.simulate import annotation, project, stored
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, put_annotations
from tests.flywheel.rows import NOW, QUESTIONS, add_round, promotion, report, run_of
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find, read_about

CHAIN = ["misbehaviour", "sample", "annotation", "correction", "dataset", "run", "checkpoint", "verdict", "promotion"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


def explain(database: Database, config: Config, target: str) -> Explained:
    return explain_at(database, config, target, NOW)


def kinds(branches: Sequence[Branch]) -> list[str]:
    return [fact.kind for _, fact in branches]


def test_a_report_leads_to_a_promotion_over_every_step(database: Database, config: Config) -> None:
    add_round(database)
    found = explain(database, config, report(0))
    assert found.fact.says == "api: refusal. it should know eggs"
    assert found.came_from == ()
    assert kinds(found.led_to) == CHAIN
    assert [depth for depth, _ in found.led_to] == list(range(1, 10))
    told = {fact.kind: fact.says for _, fact in found.led_to}
    assert told["sample"] == "task 7 of corrections"
    assert told["annotation"] == "by amber in 60 s: In hot water."
    assert told["correction"] == "weight 1: In hot water."
    assert told["promotion"] == "promote: passed the gate; answers now"


def test_a_checkpoint_comes_from_the_reports_that_were_corrected_and_no_other(
    database: Database, config: Config
) -> None:
    add_round(database)
    found = explain(database, config, "f0" * 32)
    reports = [fact.id for _, fact in found.came_from if fact.kind == "report"]
    assert reports == [report(0), report(1)]
    assert kinds(found.came_from).count("cluster") == 1  # once, though two misbehaviours are of it
    assert "decision" in kinds(found.came_from)
    assert kinds(found.led_to) == ["verdict", "promotion"]


def test_one_misbehaviour_is_not_explained_by_its_cluster_s_others(database: Database, config: Config) -> None:
    add_round(database)
    found = explain(database, config, "a1" * 32)
    assert kinds(found.came_from) == ["report", "cluster"]
    assert [fact.id for _, fact in found.led_to if fact.kind == "correction"] == ["b1" * 32]


def test_a_case_of_the_gate_leads_nowhere(database: Database, config: Config) -> None:
    add_round(database)
    found = explain(database, config, "a2" * 32)
    assert found.fact.says.endswith("held out for the gate: an answer is good if it does not refuse")
    assert found.led_to == ()


def test_a_cluster_is_told_with_its_kind_where_its_first_misbehaviour_has_the_same_id(
    database: Database, config: Config
) -> None:
    add_round(database)
    assert explain(database, config, "a0" * 32).fact.kind == "misbehaviour"
    found = explain(database, config, f"cluster {'a0' * 32}")
    assert found.fact.says == "eggs"
    assert kinds(found.led_to).count("misbehaviour") == 3


def test_a_rollback_follows_from_the_checkpoint_that_it_goes_back_to(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.add(promotion(2, "c0" * 32, None, "rollback"))
    found = explain(database, config, "c0" * 32)
    assert [fact.says for _, fact in found.led_to] == ["rollback: worse than before"]


@pytest.mark.parametrize("verdict", [{"answer": "In hot water."}, {"category": "no_problem", "answer": None}, None])
def test_what_people_said_of_a_case_of_the_gate_is_told_though_it_makes_no_correction(
    database: Database, config: Config, verdict: dict[str, Any] | None
) -> None:
    add_round(database)
    sample = stored("corrections", {"messages": [{"role": "user", "content": QUESTIONS[2]}]}, task_id=9, sent=NOW)
    add_samples(database, "corrections", [sample])
    with database.write() as session:
        session.get_one(Misbehaviour, "a2" * 32).sample = sample.id
        reason = None if verdict else "skipped"
        said = [annotation(8 + n, sample.id, who, verdict, reason=reason) for n, who in enumerate(("amber", "blue"))]
        put_annotations(session, "corrections", said)
    found = explain(database, config, "a2" * 32)
    assert kinds(found.led_to) == ["sample", "annotation", "annotation"]
    answer = (
        "does not count, skipped" if verdict is None else "no problem" if verdict["answer"] is None else "In hot water."
    )
    says = [fact.says for _, fact in found.led_to]
    assert says == ["task 9 of corrections", f"by amber in 60 s: {answer}", f"by blue in 60 s: {answer}"]


def test_a_reviewer_s_decision_is_told_with_the_sample_that_it_is_about(database: Database, config: Config) -> None:
    add_round(database)
    with database.read() as session:
        reviewed = session.get_one(Misbehaviour, "a0" * 32).sample
    add_project(database, project("decides", "review", 1, reviews="corrections"))
    sample = stored("review", {"project": "corrections", "sample": reviewed}, task_id=9, sent=NOW)
    add_samples(database, "decides", [sample])
    with database.write() as session:
        put_annotations(session, "decides", [annotation(8, sample.id, "ruth", {"answer": "In oil."}, seconds=None)])
    found = explain(database, config, "a0" * 32)
    assert "by ruth, in review: In oil." in [fact.says for _, fact in found.led_to]


@pytest.mark.parametrize("typed", ["models/e0e0e0", "models/e0e0e0/", "loop/models/e0e0e0", "{}/loop/models/e0e0e0"])
def test_a_run_s_folder_names_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    add_round(database)
    monkeypatch.chdir(tmp_path)
    config = Config(folder=tmp_path / "loop")
    assert explain(database, config, typed.format(tmp_path)).fact.kind == "run"


def test_a_checkpoint_s_folder_names_it(database: Database, tmp_path: Path) -> None:
    folder = find(write_model(tmp_path / "models" / "e0e0e0", 0))
    add_round(database)
    with database.write() as session:
        session.get_one(Run, "e0" * 32).checkpoint_id = read_about(folder).id
    config = Config(folder=tmp_path)
    for typed in (str(folder), f"models/e0e0e0/{folder.name}"):
        assert explain(database, config, typed).fact.id == read_about(folder).id
    assert explain(database, config, "models/e0e0e0").fact.kind == "run"


def test_six_characters_name_an_id_and_five_do_not(database: Database, config: Config) -> None:
    add_round(database)
    assert explain(database, config, "b0b0b0").fact.id == "b0" * 32
    with pytest.raises(ValueError, match="nothing of the loop has this id"):
        explain(database, config, "b0b0b")


def test_an_id_that_two_begin_with_is_refused_with_both(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.add(run_of("e0" * 31 + "e1", "d0" * 32, 1))
    with pytest.raises(ValueError, match="2 have ids like this .run e0.*, run e0"):
        explain(database, config, "e0e0e0")


def test_a_canary_and_what_became_of_it_are_told(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.get_one(Promotion, 1).action = "canary"
        session.get_one(Promotion, 1).share = 0.1
        session.flush()
        session.add(promotion(2, "f0" * 32, "v0" * 32))
    says = [fact.says for _, fact in explain(database, config, "v0" * 32).led_to]
    assert says == [
        "canary of 10% of the conversations: passed the gate; took over on 2026-03-02 11:00",
        "promote: passed the gate; answers now",
    ]


def test_of_many_alike_ten_are_told_and_how_many_more_there_are() -> None:
    def branch(depth: int, kind: str, id: int) -> Branch:
        return depth, Fact(kind, str(id), None, "")

    ones = [found for number in range(4) for found in (branch(2, "correction", number), branch(3, "sample", number))]
    told = shortened([branch(1, "dataset", 0), *ones, branch(2, "run", 0), branch(1, "decision", 0)], 3)
    assert [(depth, fact if isinstance(fact, str) else fact.kind) for depth, fact in told] == [
        (1, "dataset"),
        *[(2, "correction"), (3, "sample")] * 3,
        (2, "run"),
        (2, "and 1 more of the kind correction, with what belongs to them"),
        (1, "decision"),
    ]


def test_few_are_told_as_they_are(database: Database, config: Config) -> None:
    add_round(database)
    found = explain(database, config, "f0" * 32).came_from
    assert tuple(shortened(found, 10)) == found
