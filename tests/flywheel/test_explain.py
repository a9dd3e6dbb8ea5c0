"""The chain from a report to the checkpoint that mended it, and from a checkpoint to the reports behind it."""

from collections.abc import Sequence

import pytest

from flywheel.explain import Branch, explain
from labeling.store.database import Database
from tests.flywheel.rows import add_round, promotion, report, run_of

CHAIN = ["misbehaviour", "sample", "annotation", "correction", "dataset", "run", "checkpoint", "verdict", "promotion"]


def kinds(branches: Sequence[Branch]) -> list[str]:
    return [fact.kind for _, fact in branches]


def test_a_report_leads_to_a_promotion_over_every_step(database: Database) -> None:
    add_round(database)
    found = explain(database, report(0))
    assert found.fact.says == "api: refusal. it should know eggs"
    assert found.came_from == ()
    assert kinds(found.led_to) == CHAIN
    assert [depth for depth, _ in found.led_to] == list(range(1, 10))
    told = {fact.kind: fact.says for _, fact in found.led_to}
    assert told["sample"] == "task 7 of corrections"
    assert told["annotation"] == "by amber in 60 s"
    assert told["correction"] == "weight 1: In hot water."
    assert told["promotion"] == "promote: passed the gate"


def test_a_checkpoint_comes_from_the_reports_that_were_corrected_and_no_other(database: Database) -> None:
    add_round(database)
    found = explain(database, "f0" * 32)
    reports = [fact.id for _, fact in found.came_from if fact.kind == "report"]
    assert reports == [report(0), report(1)]
    assert kinds(found.came_from).count("cluster") == 1  # once, though two misbehaviours are of it
    assert "decision" in kinds(found.came_from)
    assert kinds(found.led_to) == ["verdict", "promotion"]


def test_one_misbehaviour_is_not_explained_by_its_cluster_s_others(database: Database) -> None:
    add_round(database)
    found = explain(database, "a1" * 32)
    assert kinds(found.came_from) == ["report", "cluster"]
    assert [fact.id for _, fact in found.led_to if fact.kind == "correction"] == ["b1" * 32]


def test_a_case_of_the_gate_leads_nowhere(database: Database) -> None:
    add_round(database)
    found = explain(database, "a2" * 32)
    assert found.fact.says.endswith("held out for the gate")
    assert found.led_to == ()


def test_a_cluster_is_told_with_its_kind_where_its_first_misbehaviour_has_the_same_id(database: Database) -> None:
    add_round(database)
    assert explain(database, "a0" * 32).fact.kind == "misbehaviour"
    found = explain(database, f"cluster {'a0' * 32}")
    assert found.fact.says == "eggs"
    assert kinds(found.led_to).count("misbehaviour") == 3


def test_a_rollback_follows_from_the_checkpoint_that_it_goes_back_to(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(promotion(2, "c0" * 32, None, "rollback"))
    found = explain(database, "c0" * 32)
    assert [fact.says for _, fact in found.led_to] == ["rollback: worse than before"]


def test_a_run_s_folder_names_it(database: Database) -> None:
    add_round(database)
    assert explain(database, "models/e0e0e0").fact.kind == "run"


def test_six_characters_name_an_id_and_five_do_not(database: Database) -> None:
    add_round(database)
    assert explain(database, "b0b0b0").fact.id == "b0" * 32
    with pytest.raises(ValueError, match="nothing of the loop has this id"):
        explain(database, "b0b0b")


def test_an_id_that_two_begin_with_is_refused_with_both(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(run_of("e0" * 31 + "e1", "d0" * 32, 1))
    with pytest.raises(ValueError, match="2 have ids like this .run e0.*, run e0"):
        explain(database, "e0e0e0")
