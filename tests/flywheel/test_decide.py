"""When to train, on either side of each threshold; asked as often as one likes, at whatever time a clock shows."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.checkpoints import run_id
from flywheel.config import Config, Decide, Gate, Train
from flywheel.dataset import build
from flywheel.decide import ATTEMPTS, decide
from flywheel.label import admitted
from flywheel.tables import Decision, Json, Run, Verdict
from labeling.store.database import Database
from tests.flywheel.asked import add_bad, add_capitals, add_cases, add_said
from tests.flywheel.rows import DAY, HOUR, NOW, run_of
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.model import Llama
from trainer.pointer import Pointer, read_pointer, write_pointer


@pytest.fixture
def config(tmp_path: Path, tiny: Path) -> Config:
    """Five corrections are enough, two cases too; no cluster is too frequent."""
    rules = {"decide": Decide(corrections=5, cluster_rate=1.0), "gate": Gate(minimum_cases=2), "train": Train(replay=0)}
    found = Config(folder=tmp_path, **rules)
    write_pointer(found.current, Pointer(tiny, checkpoint.read_about(tiny).id))
    return found


@pytest.fixture(autouse=True)
def cases(database: Database) -> None:
    """By which the corrections of capitals can be judged."""
    add_cases(database, 2)


def decisions(database: Database) -> int:
    with database.read() as session:
        return session.scalar(sql.select(sql.func.count()).select_from(Decision)) or 0


def begin_run(
    database: Database,
    config: Config,
    decision: Decision,
    state: str = "training",
    took: timedelta = timedelta(),
    **more: object,
) -> str:
    """As `train` does it, so long after NOW; the run's id."""
    dataset, base = build(database, config, NOW), read_pointer(config.current)
    id = run_id(dataset.id, base.id, config)
    with database.write() as session:
        noted = session.get_one(Decision, decision.id)
        noted.counts = {**noted.counts, "run": id}
        ended = None if state == "training" else NOW + took
        session.merge(run_of(id, dataset.id, decision.id, began=NOW + took, ended=ended, state=state, **more))
    return id


def test_enough_new_corrections_are_a_reason(database: Database, config: Config) -> None:
    add_capitals(database, 4)
    admitted(database, config, NOW)
    few = decide(database, config, NOW)
    add_capitals(database, 1, begin=4)
    admitted(database, config, NOW)

    enough = decide(database, config, NOW)

    assert (few.retrain, few.reason) == (False, "new corrections: 4; 5 are enough")
    assert (enough.retrain, enough.reason) == (True, "new corrections: 5; 5 are enough")
    assert enough.counts["new_by_cluster"] == {"capitals": 5}


def test_without_corrections_there_is_never_one(database: Database, config: Config) -> None:
    add_bad(database, "What is the capital of Norway?")

    found = decide(database, config, NOW + 100 * DAY)

    assert (found.retrain, found.reason) == (False, "no new corrections: there is nothing to learn")


def test_the_same_answer_is_noted_once(database: Database, config: Config) -> None:
    first = decide(database, config, NOW)

    assert decide(database, config, NOW + HOUR).id == first.id
    assert decisions(database) == 1


def test_a_decision_to_train_holds_until_a_run_begins(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    first = decide(database, config, NOW)
    add_capitals(database, 3, begin=5)
    admitted(database, config, NOW)

    assert decide(database, config, NOW + 2 * DAY).id == first.id
    begin_run(database, config, first)
    assert decide(database, config, NOW + 2 * DAY).id != first.id


def test_a_decision_whose_corrections_are_withdrawn_does_not_hold(database: Database, config: Config) -> None:
    ids = add_capitals(database, 5)
    admitted(database, config, NOW)
    assert decide(database, config, NOW).retrain
    for bad in ids:
        add_said(database, bad, None, None)
    admitted(database, config, NOW)

    assert not decide(database, config, NOW).retrain


@pytest.mark.parametrize(("state", "told"), [("training", "is being trained"), ("trained", "waits for the gate")])
def test_one_run_at_a_time(database: Database, config: Config, state: str, told: str) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), state)
    add_capitals(database, 9, begin=5)
    admitted(database, config, NOW)

    found = decide(database, config, NOW + 30 * DAY)

    assert not found.retrain
    assert told in found.reason


def test_what_a_promoted_run_has_learnt_is_no_reason_for_another(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "promoted")

    assert "nothing to learn" in decide(database, config, NOW + 30 * DAY).reason


def test_what_a_refused_run_has_learnt_waits_for_something_new(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    run = begin_run(database, config, decide(database, config, NOW), "refused")

    same = decide(database, config, NOW + DAY)
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)
    more = decide(database, config, NOW + DAY)

    assert not same.retrain
    assert same.reason == (
        f"the 5 new corrections were learnt by run {run[:12]}, which the gate refused; it takes a new correction, "
        "other settings, or another checkpoint to begin with"
    )
    assert (more.retrain, more.reason) == (True, "new corrections: 6; 5 are enough")


def test_other_settings_and_another_checkpoint_are_something_new(
    database: Database, config: Config, tiny: Path
) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "refused")
    assert not decide(database, config, NOW + DAY).retrain

    longer = config.model_copy(update={"train": Train(replay=0, steps=201)})
    assert decide(database, longer, NOW + DAY).retrain

    assert not decide(database, config, NOW + DAY).retrain
    loaded = checkpoint.load(tiny)
    untaught = Llama(loaded.about.model, seed=1)
    other = checkpoint.find(save_model(config.folder / "other", untaught, loaded.vocabulary.read_bytes()))
    write_pointer(config.current, Pointer(other, checkpoint.read_about(other).id))
    assert decide(database, config, NOW + DAY).retrain


def test_other_older_data_are_something_new(database: Database, config: Config) -> None:
    replayed = config.model_copy(update={"train": Train(replay=1.0)})
    config.replay.write_text("".join(f'{{"prompt": "Say {n}.", "completion": "{n}"}}\n' for n in range(20)))
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, replayed, decide(database, replayed, NOW), "refused")
    assert not decide(database, replayed, NOW + DAY).retrain

    config.replay.write_text("".join(f'{{"prompt": "Tell {n}.", "completion": "{n}"}}\n' for n in range(20)))
    assert decide(database, replayed, NOW + DAY).retrain


def test_what_was_rolled_back_waits_again(database: Database, config: Config) -> None:
    """A rollback makes a promoted run a refused one, and the checkpoint before the one to begin with."""
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "promoted")
    with database.write() as session:
        session.execute(sql.update(Run).values(state="refused", note="rolled back"))
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)

    assert decide(database, config, NOW + DAY).counts["new_corrections"] == 6


def judged(database: Database, run: str, *groups: tuple[str, str, int]) -> None:
    """A verdict against the run: of clusters that it was for, what was found, and how many cases could not be put."""
    figures: Json = {"groups": [{"id": id, "target": True, "verdict": said, "unasked": n} for id, said, n in groups]}
    more: Json = {"passed": False, "reason": "no", "page": "", "figures": figures}
    with database.write() as session:
        session.add(Verdict(id=f"verdict on {run}", run=run, made=NOW, **more))


def test_a_cluster_that_its_corrections_did_not_mend_holds_up_no_other(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    add_cases(database, 2, cluster="rivers")
    for number in range(6):
        add_said(database, add_bad(database, f"Is river {number} long?", cluster="rivers"), *2 * [("wrong", "Very.")])
    admitted(database, config, NOW)
    run = begin_run(database, config, decide(database, config, NOW), "refused")
    judged(database, run, ("capitals", "no improvement shown", 0), ("rivers", "improves", 0))

    without = decide(database, config, NOW + DAY)

    assert without.retrain
    assert without.counts["new_by_cluster"] == {"rivers": 6}
    assert without.reason == (
        'new corrections: 6; 5 are enough; others wait: 5 of "about capitals" wait for others: run '
        f"{run[:12]} learnt these, and the cluster did not improve"
    )
    begin_run(database, config, without, "refused")
    assert not decide(database, config, NOW + 2 * DAY).retrain
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)
    assert decide(database, config, NOW + 2 * DAY).counts["new_by_cluster"] == {"capitals": 6, "rivers": 6}


@pytest.mark.parametrize("seed", range(3))
def test_a_gate_that_always_refuses_is_asked_no_more_often_than_there_are_clusters(
    database: Database, config: Config, seed: int
) -> None:
    draw, clusters = random.Random(seed), ("rivers", "towns", "birds")
    for cluster in clusters:
        add_cases(database, 2, cluster=cluster)
        for number in range(5):
            bad = add_bad(database, f"What is number {number} of the {cluster}?", cluster=cluster)
            add_said(database, bad, *2 * [("wrong", f"It is {cluster} {number}.")])
    admitted(database, config, NOW)
    begun = []
    for day in range(12):
        found = decide(database, config, NOW + day * DAY)
        if not found.retrain:
            continue
        targets = list(found.counts["new_by_cluster"])
        begun.append(targets)
        run = begin_run(database, config, found, "refused", took=day * DAY)
        said = draw.choices(("improves", "no improvement shown", "worse", "insufficient evidence"), k=len(targets))
        judged(database, run, *((cluster, verdict, 0) for cluster, verdict in zip(targets, said, strict=True)))

    assert begun[0] == sorted(clusters)
    assert len(begun) <= len(clusters)
    assert len({tuple(targets) for targets in begun}) == len(begun)


def test_a_cluster_with_too_few_cases_waits_for_them(database: Database, config: Config) -> None:
    add_cases(database, 1, cluster="rivers")
    for number in range(6):
        add_said(database, add_bad(database, f"Is river {number} long?", cluster="rivers"), *2 * [("wrong", "Very.")])
    admitted(database, config, NOW)

    few = decide(database, config, NOW)
    add_bad(database, "Is the Nile long?", cluster="rivers", held_out=True, check={"kind": "answers"})
    enough = decide(database, config, NOW)

    told = 'no new correction can be trained on yet: 6 of "about rivers" wait for cases: 1 of 2'
    assert (few.retrain, few.reason, few.counts["waiting"]) == (False, told, {"rivers": "6 wait for cases: 1 of 2"})
    assert enough.retrain


def test_cases_that_no_checkpoint_could_be_asked_do_not_count(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    run = begin_run(database, config, decide(database, config, NOW), "refused")
    judged(database, run, ("capitals", "insufficient evidence", 1))
    add_capitals(database, 5, begin=5)
    admitted(database, config, NOW)

    assert "wait for cases: 1 of 2" in decide(database, config, NOW + DAY).reason


LACKS = {
    "a cluster": "flywheel.yaml: gate: tolerances: no cluster has the id nowhere1; verdict pages tell the ids",
    "model": "current.json: no such file",
    "older data": "answers.jsonl: no such file",
    "general questions": "general.jsonl:1: the check's kind is 'match'; expected one of matches,",
}


@pytest.mark.parametrize("lack", LACKS)
def test_what_a_training_lacks_is_told_before_there_is_anything_to_learn(
    database: Database, config: Config, lack: str
) -> None:
    if lack == "model":
        config.current.unlink()
    elif lack == "older data":
        config = config.model_copy(update={"train": Train(replay=1.0)})
    elif lack == "a cluster":
        config = config.model_copy(update={"gate": Gate(tolerances={"nowhere1": 0.1})})
    else:
        path = config.folder / "general.jsonl"
        path.write_text('{"prompt": "Say one.", "check": {"kind": "match", "answer": "one"}}\n')
        config = config.model_copy(update={"gate": Gate(evaluation=path)})

    found = decide(database, config, NOW)

    assert not found.retrain
    assert found.reason.startswith("can't train: ")
    assert LACKS[lack] in found.reason


def test_a_training_that_fails_is_begun_three_times_and_then_waits(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    for day in range(ATTEMPTS):
        asked = decide(database, config, NOW + day * DAY)
        assert asked.retrain
        begin_run(database, config, asked, "failed", note="loading\nno device abacus")

    last = decide(database, config, NOW + 30 * DAY)

    assert not last.retrain
    assert "failed 3 times (no device abacus); mend it" in last.reason
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)
    assert decide(database, config, NOW + 30 * DAY).retrain


def test_what_a_failed_run_has_not_is_one_after_the_cool_down(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "failed")

    soon = decide(database, config, NOW + timedelta(hours=5, minutes=59))
    later = decide(database, config, NOW + timedelta(hours=6))

    assert (soon.retrain, later.retrain) == (False, True)
    assert soon.reason == "the last run ended less than 6 hours ago; new corrections: 5"


def test_a_run_that_ended_in_the_future_holds_up_nothing(database: Database, config: Config) -> None:
    """The clock stood a year ahead while it was trained."""
    add_capitals(database, 5)
    admitted(database, config, NOW)
    year = 365 * DAY
    first = decide(database, config, NOW + year)
    begin_run(database, config, first, "promoted")
    with database.write() as session:
        session.execute(sql.update(Run).values(began=NOW + year, ended=NOW + year))
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)

    assert not decide(database, config, NOW + HOUR).retrain
    assert decide(database, config, NOW + 7 * DAY).reason.startswith("the first correction was 7 days ago or more")


def test_a_person_may_order_it_with_a_reason_before_there_are_enough(database: Database, config: Config) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)
    assert not decide(database, config, NOW).retrain
    ordered = decide(database, config, NOW, "a release is due")
    assert (ordered.retrain, ordered.reason) == (True, "by hand: a release is due; new corrections: 1")
    assert decide(database, config, NOW, "a release is due").id == ordered.id, "ordered twice, it is one decision"
    assert decide(database, config, NOW).id == ordered.id, "it holds until a run begins"


def test_an_order_does_not_wait_for_the_time_to_cool_down(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "promoted")
    add_capitals(database, 1, begin=5)
    admitted(database, config, NOW)
    assert "less than 6 hours ago" in decide(database, config, NOW + HOUR).reason
    assert decide(database, config, NOW + HOUR, "a release is due").retrain


def test_an_order_trains_neither_beside_a_run_nor_where_nothing_is_new(database: Database, config: Config) -> None:
    assert not decide(database, config, NOW, "because").retrain
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW))
    refused = decide(database, config, NOW, "because")
    assert (refused.retrain, "one at a time" in refused.reason) == (False, True)


def test_what_was_found_since_a_run_that_began_in_the_future_is_all(database: Database, config: Config) -> None:
    add_capitals(database, 5)
    admitted(database, config, NOW)
    begin_run(database, config, decide(database, config, NOW), "promoted")
    with database.write() as session:
        session.execute(sql.update(Run).values(began=NOW + 365 * DAY, ended=NOW + 365 * DAY))
    add_capitals(database, 5, begin=5)
    admitted(database, config, NOW)
    rule = Decide(corrections=20, cluster_rate=0.5)

    found = decide(database, config.model_copy(update={"decide": rule}), NOW + HOUR)

    assert found.reason == '"about capitals" is 100.0% of the new misbehaviours, more than 50.0%'


def test_few_corrections_are_enough_after_a_week(database: Database, config: Config) -> None:
    add_capitals(database, 1)
    admitted(database, config, NOW)

    assert not decide(database, config, NOW + 7 * DAY - HOUR).retrain
    found = decide(database, config, NOW + 7 * DAY)
    assert found.retrain
    assert found.reason == "the first correction was 7 days ago or more; new corrections: 1"


@pytest.mark.parametrize(("rate", "corrected", "retrain"), [(0.49, 5, True), (0.5, 5, False), (0.49, 4, False)])
def test_a_cluster_that_is_too_frequent_is_a_reason_where_it_is_corrected(
    database: Database, config: Config, rate: float, corrected: int, retrain: bool
) -> None:
    add_capitals(database, corrected)
    for number in range(5 - corrected):
        add_bad(database, f"What is the capital of country {number}?")
    for number in range(7):
        add_bad(database, f"Why is the sky blue on day {number}?", cluster="sky")
    rule = Decide(corrections=20, cluster_rate=rate)
    admitted(database, config, NOW)

    found = decide(database, config.model_copy(update={"decide": rule}), NOW)

    assert found.retrain == retrain
    if retrain:
        assert found.reason == '"about capitals" is 50.0% of the new misbehaviours, more than 49.0%'
