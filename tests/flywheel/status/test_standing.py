"""Where the loop stands, in figures and as lines for a terminal."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel.collect import collect
from flywheel.config import Config, Gate, Promote
from flywheel.promote import begin, promote, rollback
from flywheel.status.alerts import FILE, Alert, last_alerts
from flywheel.status.lines import ago, bars, told, waits
from flywheel.status.page import render
from flywheel.status.stages import Stage, Wait
from flywheel.status.standing import Standing
from flywheel.status.standing import standing as standing_of
from flywheel.tables import Cluster, Correction, Dataset, Decision, Measurement, Verdict
from labeling.store.database import Database
from labeling.store.reports import Report, add_report
from tests.flywheel.models import settings
from tests.flywheel.promotions import add_passed, forget, id_of
from tests.flywheel.rows import DAY, HOUR, NOW, QUESTIONS, add_round, misbehaviour, promotion, run_of
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path, gate=Gate(minimum_cases=1))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    return [find(write_model(folder / name, seed)) for seed, name in enumerate("ab")]


def standing(database: Database, config: Config) -> Standing:
    return standing_of(database, config, NOW)


def stages(database: Database, config: Config) -> dict[str, Stage]:
    return {stage.name: stage for stage in standing(database, config).stages}


def waiting(database: Database, config: Config, stage: str) -> list[tuple[int, str]]:
    return [(one.count, one.whom) for one in stages(database, config)[stage].waits]


def test_an_empty_loop_waits_for_nobody(database: Database, config: Config) -> None:
    found = standing(database, config)
    assert [(stage.name, stage.count, stage.waits) for stage in found.stages] == [
        (name, 0, ()) for name in ("collect", "label", "correct", "train", "gate", "promote")
    ]
    assert (found.clusters, found.current, found.decision, found.verdict) == ((), None, None, None)
    assert "now      nothing was promoted yet" in told(found)


def test_a_whole_round_waits_for_nobody_either(database: Database, config: Config) -> None:
    add_round(database)
    found = standing(database, config)
    assert [(stage.count, stage.waits) for stage in found.stages] == [(count, ()) for count in (3, 2, 2, 1, 1, 1)]
    assert found.current is not None
    assert (found.current.path, found.before) == ("models/f0f0f0", None)
    assert found.costs.training == HOUR
    assert found.costs.labelling == timedelta(seconds=120)


CHECK: dict[str, Any] = {"held_out": True, "check": {"kind": "answers"}}


def test_a_case_with_a_check_and_what_has_no_consent_do_not_wait_to_be_sent(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        for number, more in enumerate((CHECK, {"consent": False}, {"cluster": None}, {}, {"held_out": True})):
            session.add(misbehaviour(f"0{number}", **{"cluster": "a0" * 32, "found": NOW - number * HOUR} | more))
    found = stages(database, config)
    assert found["label"].waits == (Wait(2, "sending", NOW - 4 * HOUR),)
    assert found["collect"].waits == (Wait(1, "a cluster", NOW - 2 * HOUR),)
    assert found["collect"].note == "1 without consent"


def test_what_was_sent_waits_for_people_until_it_is_corrected(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.add(misbehaviour("01", cluster="a0" * 32, sample="s1"))
    assert waiting(database, config, "correct") == [(1, "people")]


def add_correction(database: Database, refused: str | None = None) -> None:
    with database.write() as session:
        values = {"project": "corrections", "annotations": [], "answer": "", "category": "", "refusal": ""}
        made = {"weight": 1.0, "admitted": NOW - HOUR, "refused": refused}
        asks = [{"role": "user", "content": "How long does bread bake?"}]
        session.add(misbehaviour("a9", cluster="a0" * 32, prompt=asks, sample="s9"))
        session.flush()
        session.add(Correction(id="b9", misbehaviour="a9", **values, **made))


def test_a_correction_that_no_run_has_learnt_waits_for_a_decision(database: Database, config: Config) -> None:
    add_round(database)
    add_correction(database)
    assert stages(database, config)["train"].waits == (Wait(1, "a decision", NOW - HOUR),)


@pytest.mark.parametrize(
    ("age", "whom"),
    [
        (2 * HOUR, "a decision"),  # the correction is newer
        (0 * HOUR, "a new correction, other settings, or another checkpoint to begin with"),
    ],
)
def test_corrections_wait_for_what_the_last_decision_says_that_it_takes(
    database: Database, config: Config, age: timedelta, whom: str
) -> None:
    add_round(database)
    add_correction(database)
    said = "were learnt by run e0e0e0, which was taken back; it takes a new correction, other settings, or another "
    with database.write() as session:
        reason = f"the 1 new corrections {said}checkpoint to begin with"
        session.add(Decision(id=2, made=NOW - age, retrain=False, reason=reason, counts={}))
    assert waiting(database, config, "train") == [(1, whom)]


def complain(database: Database, question: str, **more: Any) -> None:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": "no"}]
    add_report(database, Report("c0" * 32, said, **{"category": "wrong", "created": NOW - HOUR} | more))


def test_complaints_wait_to_be_collected_until_they_are(database: Database, config: Config) -> None:
    for number in range(2):
        complain(database, f"How many eggs are {number}? Write to me@example.org!", created=NOW - number * HOUR)
    complain(database, "Who is good?", category=None, rating=1)
    complain(database, "", category="wrong")  # it can't be used
    assert stages(database, config)["collect"].waits == (Wait(2, "collecting", NOW - HOUR),)
    collect(database, config, NOW)
    complain(database, "How many eggs are 1? Write to me@example.org!")  # it says what another said
    assert "collecting" not in [one.whom for one in stages(database, config)["collect"].waits]
    complain(database, "How many eggs are 3?", masked=True, created=NOW)
    assert (1, "collecting") in waiting(database, config, "collect")


@pytest.mark.parametrize(("state", "count"), [("canary", 0), ("training", 0), ("refused", 1), ("failed", 1)])
def test_what_a_run_at_work_has_learnt_waits_for_no_decision(
    database: Database, config: Config, state: str, count: int
) -> None:
    add_round(database)
    add_correction(database)
    with database.write() as session:
        values = {"made": NOW, "path": "datasets/d1.jsonl", "corrections": ["b9"], "replay": 0}
        session.add(Dataset(id="d1" * 32, **values))
        session.flush()
        session.add(run_of("e1" * 32, "d1" * 32, 1, state=state))
    assert sum(wait.count for wait in stages(database, config)["train"].waits) == count


def test_without_enough_cases_it_waits_for_those_and_its_cluster_says_so(database: Database, config: Config) -> None:
    add_round(database)
    add_correction(database)
    strict = config.model_copy(update={"gate": Gate(minimum_cases=20)})
    found = standing(database, strict)
    assert found.stages[3].waits == (Wait(1, "more of their cluster", NOW - HOUR),)
    assert found.clusters[0].waits == "wait for cases: 1 of 20"
    assert "new corrections wait for cases: 1 of 20" in told(found)[-1]


def test_a_correction_that_the_scan_refused_waits_for_nobody(database: Database, config: Config) -> None:
    add_round(database)
    add_correction(database, "a trigger")
    found = stages(database, config)
    assert (found["train"].waits, found["correct"].waits) == ((), ())
    assert (found["correct"].count, found["correct"].note) == (2, "1 refused as poison")


def test_a_trained_run_waits_for_the_gate(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.add(run_of("e1" * 32, "d0" * 32, 1, state="trained", ended=NOW - 2 * DAY))
    assert stages(database, config)["gate"].waits == (Wait(1, "the gate", NOW - 2 * DAY),)
    assert "1 waits for the gate, for 2 days" in "\n".join(told(standing(database, config)))


def test_several_wait_up_to_the_age_of_the_first() -> None:
    assert waits(NOW, Wait(3, "people", NOW - 2 * DAY)) == "3 wait for people, up to 2 days"


def test_a_rollback_is_what_people_talk_to_now(database: Database, config: Config, two: list[Path]) -> None:
    """By `current.json`, the last row, the runs and the last verdict alike."""
    begin(database, config, two[0], NOW - 3 * HOUR)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW - 2 * HOUR)
    rollback(database, config, NOW - HOUR, "it swears")
    found = standing(database, config)
    assert found.current is not None
    assert (found.current.checkpoint_id, found.current.at) == (id_of(two[0]), NOW - HOUR)
    assert found.current.reason == "it swears; undoes promotion 2"
    assert (found.before, found.amiss) == (None, "")
    assert [(one.action, one.became) for one in found.changes] == [
        ("rollback", ""),
        ("promote", "taken back on 2026-03-02 11:00"),
        ("promote", "answers now"),
    ]
    assert found.stages[3].note == "1 taken back"
    assert found.stages[4].note == ""
    assert found.stages[5].note == "1 taken back"
    lines = "\n".join(told(found))
    assert "gate     passed, but rolled back on 2026-03-02: it swears, 0 s ago: eggs improve" in lines


def test_after_a_rollback_the_rates_are_those_of_the_checkpoint_that_answers_again(
    database: Database, config: Config, two: list[Path]
) -> None:
    old, new = map(id_of, two)
    with database.write() as session:
        session.add(Cluster(id="k", name="birds", made=NOW))
    begin(database, config, two[0], NOW - 3 * HOUR)
    add_passed(database, "run", two[1], two[0])
    group = {"id": "k", "name": "birds", "cases": 12, "before": 1.0, "after": 0.0, "unasked": 0}
    with database.write() as session:
        session.get_one(Verdict, "verdict-run").figures = {"base": old, "checkpoint": new, "groups": [group]}
    promote(database, config, NOW - 2 * HOUR)
    better = standing(database, config)
    assert told(better)[-1].endswith("0% bad of 12 cases, 100% of 12 at first")
    assert "<p><b>0% bad of 12 cases</b>, 100% of 12 at first</p>" in render(better)
    rollback(database, config, NOW - HOUR, "it swears")
    worse = standing(database, config)
    assert told(worse)[-1].endswith("100% bad of 12 cases")
    assert "<p><b>100% bad of 12 cases</b></p>" in render(worse)
    assert 'class="number">100%</td>' in render(worse)


def test_general_questions_that_a_run_has_learnt_are_told(database: Database, tmp_path: Path) -> None:
    general = tmp_path / "general.jsonl"
    rows = [{"prompt": text, "check": {"kind": "answers"}} for text in (QUESTIONS[0], "What is the capital of Peru?")]
    general.write_text("".join(json.dumps(row) + "\n" for row in rows))
    add_round(database)
    with database.write() as session:
        values = {"made": NOW, "checkpoint_id": "f0" * 32, "group": "evaluation", "name": "general"}
        session.add(Measurement(id="m", cases=1, bad=0, **values))
    found = standing(database, Config(folder=tmp_path, gate=Gate(evaluation=general)))
    said = "; 1 left out, as a run has learnt the answer"
    assert told(found)[-1].endswith(f"general: 0% bad of 1 cases{said}")
    assert f"<b>0% bad of 1 cases</b>{said}</p>" in render(found)
    general.write_text("{")
    assert standing(database, Config(folder=tmp_path, gate=Gate(evaluation=general))).left_out == 0


def test_what_answers_and_was_asked_nothing_is_not_measured(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        values = {"made": NOW - DAY, "checkpoint_id": "c0" * 32, "group": "a0" * 32, "name": "eggs"}
        session.add(Measurement(id="m", cases=20, bad=10, **values))
    found = standing(database, config)
    assert told(found)[-1].endswith("not measured, 50% of 20 at first")
    assert "<b>not measured</b>, 50% of 20 at first" in render(found)


def test_a_canary_is_told_beside_the_checkpoint(database: Database, tmp_path: Path, two: list[Path]) -> None:
    config = settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, two[0], NOW - DAY)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW - 2 * HOUR)
    found = standing(database, config)
    assert found.current is not None
    assert found.canary is not None
    assert (found.current.checkpoint_id, found.canary.checkpoint_id) == (id_of(two[0]), id_of(two[1]))
    assert found.stages[5].waits == (Wait(1, "its time as a canary to end", NOW - 2 * HOUR),)
    (line,) = [line for line in told(found) if line.startswith("canary ")]
    assert ", 10% of the conversations, for 2 h (canary: eggs improve; 0 of 0 reported" in line
    assert line.endswith("it takes over in 22.0 hours)")
    promote(database, config, NOW, at_once=True)
    after = standing(database, config)
    assert [(one.action, one.became) for one in after.changes[:2]] == [
        ("promote", "answers now"),
        ("canary", "took over on 2026-03-02 12:00"),
    ]


def test_a_canary_that_was_taken_back_is_no_promotion_that_was(
    database: Database, tmp_path: Path, two: list[Path]
) -> None:
    config = settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, two[0], NOW - DAY)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW - 2 * HOUR)
    rollback(database, config, NOW - HOUR, "it swears")
    found = standing(database, config)
    lines = "\n".join(told(found))
    assert "promote        1 promotion (1 canary taken back)" in lines
    assert "train          1 run (1 taken back)" in lines
    assert "gate           1 verdict\n" in lines


def test_a_run_that_the_gate_refused_is_refused(database: Database, config: Config, two: list[Path]) -> None:
    begin(database, config, two[0], NOW - 3 * HOUR)
    add_passed(database, "run", two[1], two[0], passed=False)
    assert standing(database, config).stages[3].note == "1 refused"


def test_the_last_minutes_of_a_canary_are_told(database: Database, tmp_path: Path, two: list[Path]) -> None:
    config = settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, two[0], NOW - 3 * DAY)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW - DAY + timedelta(seconds=90))
    found = standing(database, config).canary
    assert found is not None
    assert found.became.endswith("it takes over in 2 min")


def test_a_canary_stands_as_the_next_look_would_find_it(database: Database, tmp_path: Path, two: list[Path]) -> None:
    """It was begun under a clock that was a year ahead, looked at under the right one, and reported before."""
    config = settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, two[0], NOW - DAY)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW + 365 * DAY)
    said = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "no"}]
    add_report(database, Report(id_of(two[1]), said, "wrong", created=NOW - 4 * HOUR))
    ahead = standing(database, config)
    assert ahead.canary is not None
    assert (
        ahead.canary.became
        == "1 of 1 reported conversations are its own, and 10% its share; it takes over in 24.0 hours"
    )

    promote(database, config, NOW - 3 * HOUR)
    promote(database, config, NOW - 2 * HOUR)
    found = standing(database, config)
    assert found.canary is not None
    assert (
        found.canary.became
        == "1 of 1 reported conversations are its own, and 10% its share; it takes over in 21.0 hours"
    )
    assert (found.canary.at, found.stages[5].waits[0].oldest) == (NOW - 3 * HOUR, NOW - 3 * HOUR)
    assert [one.became for one in found.changes][1:] == ["noted once more, by another clock", "answers now"]


def test_of_a_canary_that_was_looked_at_by_a_clock_behind_the_true_beginning_counts(
    database: Database, tmp_path: Path, two: list[Path]
) -> None:
    config = settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})
    begin(database, config, two[0], NOW - DAY)
    add_passed(database, "run", two[1], two[0])
    promote(database, config, NOW - 5 * HOUR)
    promote(database, config, NOW - 30 * DAY)
    found = standing(database, config)
    assert found.canary is not None
    assert found.canary.at == NOW - 5 * HOUR
    assert found.canary.became.endswith("it takes over in 19.0 hours")


def test_what_current_json_says_is_what_people_talk_to(database: Database, config: Config, two: list[Path]) -> None:
    begin(database, config, two[0], NOW - DAY)
    begin(database, config, two[1], NOW - HOUR)
    forget(database, 2)
    found = standing(database, config)
    assert found.current is not None
    assert found.current.checkpoint_id == id_of(two[1])
    assert f"says {id_of(two[1])[:12]}, and the store {id_of(two[0])[:12]}: the next tick" in found.amiss
    assert f"amiss    {found.amiss}" in told(found)


def test_a_missing_pointer_is_told(database: Database, config: Config) -> None:
    add_round(database)
    assert standing(database, config).amiss.endswith("current.json: no such file; promote a checkpoint first.")


def test_gates_cost_what_they_took(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.get_one(Verdict, "v0" * 32).figures = {"seconds": 90.0}
    assert "cost     60 min of training, 90 s of gates, 2 min of people's time" in told(standing(database, config))


def test_weeks_are_counted_from_now_and_what_is_older_counts_in_all_alone(database: Database, config: Config) -> None:
    with database.write() as session:
        session.add(Cluster(id="k", name="birds", made=NOW))
        session.flush()
        for number, age in enumerate((0 * DAY, 6 * DAY, 8 * DAY, 55 * DAY, 57 * DAY, -1 * HOUR)):
            session.add(misbehaviour(str(number), cluster="k", found=NOW - age))
    (found,) = standing(database, config).clusters
    assert found.weeks == (1, 0, 0, 0, 0, 0, 1, 3)
    assert found.found == 6


def test_twenty_clusters_are_told_in_a_terminal(database: Database, config: Config) -> None:
    with database.write() as session:
        session.add_all([Cluster(id=f"{number:02}", name=f"birds {number}", made=NOW) for number in range(22)])
    lines = told(standing(database, config))
    assert sum("birds" in line for line in lines) == 20
    assert lines[-1].strip() == "and 2 smaller clusters; a page (--output) has all"


def test_only_the_last_promotions_are_told(database: Database, config: Config) -> None:
    with database.write() as session:
        session.add_all([promotion(number, f"{number:02}" * 32, None) for number in range(1, 10)])
    found = standing(database, config)
    assert [one.checkpoint_id[:2] for one in found.changes] == ["09", "08", "07", "06", "05", "04"]
    assert [one.became for one in found.changes[:3]] == [
        "answers now",
        "what a rollback goes back to",
        "followed by others",
    ]


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


def test_the_last_five_alerts_are_read_and_what_is_no_json_is_told_as_it_stands(tmp_path: Path) -> None:
    rows = [{"at": f"2026-03-0{day}", "dag": "retrain", "task": "train", "what": "no memory"} for day in range(1, 7)]
    (tmp_path / FILE).write_text("".join(json.dumps(row) + "\n" for row in rows) + "half a li\n\n[1]\n")
    found = last_alerts(tmp_path)
    assert found[:3] == tuple(Alert(f"2026-03-0{day}", "retrain.train", "no memory") for day in (4, 5, 6))
    assert found[3:] == (Alert("", "", "half a li"), Alert("", "", "[1]"))


def test_without_alerts_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert last_alerts(tmp_path) == ()
