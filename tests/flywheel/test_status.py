"""Where the loop stands, in figures and as lines for a terminal."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.status import Stage, Standing, ago, bars, standing, told
from flywheel.tables import Cluster, Correction, Run
from labeling.store.database import Database
from tests.flywheel.rows import DAY, HOUR, NOW, add_round, misbehaviour, promotion, run_of


def stages(database: Database) -> dict[str, Stage]:
    return {stage.name: stage for stage in standing(database, NOW).stages}


def test_an_empty_loop_waits_for_nobody(database: Database) -> None:
    found = standing(database, NOW)
    assert [(stage.name, stage.count, stage.waiting, stage.oldest) for stage in found.stages] == [
        (name, 0, 0, None) for name in ("collect", "label", "correct", "train", "gate", "promote")
    ]
    assert (found.clusters, found.current, found.decision, found.verdict) == ((), None, None, None)
    assert "now      nothing was promoted yet" in told(found)


def test_a_whole_round_waits_for_nobody_either(database: Database) -> None:
    add_round(database)
    found = standing(database, NOW)
    assert [(stage.name, stage.count, stage.waiting) for stage in found.stages] == [
        ("collect", 3, 0),
        ("label", 2, 0),
        ("correct", 2, 0),
        ("train", 1, 0),
        ("gate", 1, 0),
        ("promote", 1, 0),
    ]
    assert found.current is not None
    assert (found.current.path, found.previous) == ("models/f0f0f0", None)
    assert found.training == HOUR
    assert found.labelling == timedelta(seconds=120)


CHECK: dict[str, Any] = {"held_out": True, "check": {"kind": "answers"}}


def test_a_case_with_a_check_and_what_has_no_consent_do_not_wait_to_be_sent(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        for number, more in enumerate((CHECK, {"consent": False}, {"cluster": None}, {}, {"held_out": True})):
            session.add(misbehaviour(f"0{number}", **{"cluster": "a0" * 32, "found": NOW - number * HOUR} | more))
    found = stages(database)
    assert (found["label"].waiting, found["label"].oldest) == (2, NOW - 4 * HOUR)
    assert (found["collect"].waiting, found["collect"].oldest) == (1, NOW - 2 * HOUR)


def test_a_case_waits_for_people_until_a_machine_can_check_it(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(misbehaviour("01", cluster="a0" * 32, sample="s1", held_out=True))
        session.add(misbehaviour("02", cluster="a0" * 32, sample="s2", **CHECK))
    assert stages(database)["correct"].waiting == 1


def test_what_was_sent_waits_for_people_until_it_is_corrected(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(misbehaviour("01", cluster="a0" * 32, sample="s1"))
    assert (stages(database)["correct"].waiting, stages(database)["correct"].waits_for) == (1, "people")


def add_correction(database: Database, refused: str | None = None) -> None:
    with database.write() as session:
        values = {"project": "corrections", "annotations": [], "answer": "", "category": "", "refusal": ""}
        made = {"weight": 1.0, "admitted": NOW - HOUR, "refused": refused}
        session.add(Correction(id="b9", misbehaviour="a2" * 32, **values, **made))


def test_a_correction_that_no_run_has_seen_waits_for_a_decision(database: Database) -> None:
    add_round(database)
    add_correction(database)
    assert (stages(database)["train"].waiting, stages(database)["train"].oldest) == (1, NOW - HOUR)


def test_a_correction_that_the_scan_refused_waits_for_nobody(database: Database) -> None:
    add_round(database)
    add_correction(database, "a trigger")
    found = stages(database)
    assert (found["train"].waiting, found["correct"].count, found["correct"].note) == (0, 2, "1 refused as poison")


@pytest.mark.parametrize(("state", "waiting"), [("failed", 2), ("training", 0)])
def test_corrections_of_a_failed_run_wait_again(database: Database, state: str, waiting: int) -> None:
    add_round(database)
    with database.write() as session:
        session.get_one(Run, "e0" * 32).state = state
    assert stages(database)["train"].waiting == waiting


def test_a_trained_run_waits_for_the_gate(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(run_of("e1" * 32, "d0" * 32, 1, state="trained", ended=NOW - 2 * DAY))
    assert (stages(database)["gate"].waiting, stages(database)["gate"].oldest) == (1, NOW - 2 * DAY)
    assert "1 wait for the gate for 2 days" in "\n".join(told(standing(database, NOW)))


def test_a_rollback_is_what_people_talk_to_now(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(promotion(2, "c0" * 32, None, "rollback"))
    found: Standing = standing(database, NOW)
    assert found.current
    assert found.previous
    assert (found.current.why, found.previous.id) == ("rollback: worse than before", "f0" * 32)


def test_weeks_are_counted_from_now_and_what_is_older_counts_in_all_alone(database: Database) -> None:
    with database.write() as session:
        session.add(Cluster(id="k", name="birds", made=NOW))
        session.flush()
        for number, age in enumerate((0 * DAY, 6 * DAY, 8 * DAY, 55 * DAY, 57 * DAY, -1 * HOUR)):
            session.add(misbehaviour(str(number), cluster="k", found=NOW - age))
    (found,) = standing(database, NOW).clusters
    assert found.weeks == (1, 0, 0, 0, 0, 0, 1, 3)
    assert found.found == 6


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=119), "119 s"),
        (timedelta(seconds=120), "2 min"),
        (2 * HOUR, "2 h"),
        (2 * DAY, "2 days"),
        (-HOUR, "0 s"),
    ],
)
def test_an_age_has_one_unit(age: timedelta, said: str) -> None:
    assert ago(NOW, NOW - age) == said


def test_the_highest_bar_fills_the_line_and_one_of_a_thousand_can_be_seen() -> None:
    assert bars([0, 1, 500, 1000]) == " ▁▄█"
    assert bars([0, 0]) == "  "
