"""The whole loop with a real small model: reported, corrected, trained, judged, promoted, by ticks alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config
from flywheel.explain.explain import explain
from flywheel.lock import LockedError, claim
from flywheel.status.standing import standing
from flywheel.steps import Step
from flywheel.tables import Cluster, Correction, Dataset, Decision, Misbehaviour, Promotion, Run, Verdict
from flywheel.tick import tick
from labeling.client import Client
from labeling.store.database import Database
from tests.flywheel.round import correct, make_loop, write_bad_model
from tests.flywheel.rows import DAY, HOUR, NOW
from trainer.pointer import read_pointer

pytestmark = pytest.mark.slow

LATER = NOW + 3 * HOUR


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def turn(config: Config, moment: datetime, client: Client | None = None) -> dict[str, Step]:
    with Database(config.store) as database:
        return {step.name: step for step in tick(database, config, client, at(moment))}


def state(config: Config) -> list[object]:
    """What the loop has come to, but for times and folders."""
    columns = (
        (Misbehaviour.id, Misbehaviour.cluster, Misbehaviour.held_out, Misbehaviour.sample),
        (Cluster.id, Cluster.name),
        (Correction.id, Correction.refused),
        (Decision.id, Decision.retrain, Decision.reason),
        (Dataset.id, Dataset.replay),
        (Run.id, Run.decision, Run.state, Run.checkpoint_id),
        (Verdict.id, Verdict.passed, Verdict.reason),
        (Promotion.id, Promotion.action, Promotion.checkpoint_id),
    )
    with Database(config.store) as database, database.read() as session:
        rows = [[tuple(row) for row in session.execute(sql.select(*some).order_by(some[0]))] for some in columns]
    return [*rows, read_pointer(config.current).id]


@dataclass(frozen=True)
class Round:
    config: Config
    asked: int
    """How many misbehaviours people corrected."""
    before: str
    """The checkpoint with the bad habit."""
    first: dict[str, Step]
    second: dict[str, Step]
    came_to: list[object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bad_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def round(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """A tick, people's corrections, and another tick."""
    config = make_loop(tmp_path_factory.mktemp("round") / "loop", model)
    before = read_pointer(config.current).id
    first = turn(config, NOW + HOUR)
    with Database(config.store) as database:
        asked = correct(database, NOW + 2 * HOUR)
    second = turn(config, LATER)
    return Round(config, asked, before, first, second, state(config))


def test_reports_alone_train_nothing(round: Round) -> None:
    assert [name for name, step in round.first.items() if step.did] == ["collect"]
    assert round.first["decide"].said == "wait: no new corrections: there is nothing to learn"


def test_two_people_s_corrections_make_a_better_checkpoint(round: Round) -> None:
    assert [name for name, step in round.second.items() if step.did] == ["admit", "decide", "train", "gate", "promote"]
    assert round.second["decide"].said.startswith("train: ")
    assert str(round.asked) in round.second["decide"].said
    assert "100% bad before, 0% after" in round.second["gate"].said
    assert read_pointer(round.config.current).id != round.before


def test_the_new_checkpoint_is_told_back_to_each_report_that_was_corrected(round: Round) -> None:
    with Database(round.config.store) as database:
        found = explain(database, round.config, read_pointer(round.config.current).id, NOW)
        kinds = [fact.kind for _, fact in found.came_from]
        assert kinds.count("report") == kinds.count("correction") == round.asked
        assert kinds.count("annotation") == 2 * round.asked
        assert [fact.kind for _, fact in found.led_to] == ["verdict", "promotion"]


def test_after_a_round_nothing_waits(round: Round) -> None:
    with Database(round.config.store) as database:
        found = standing(database, round.config, LATER)
    assert [stage.waits for stage in found.stages] == [(), (), (), (), (), ()]
    assert found.current
    assert found.before
    current = read_pointer(round.config.current).id
    assert (found.current.checkpoint_id, found.before.checkpoint_id, found.amiss) == (current, round.before, "")
    (cluster,) = found.clusters
    assert cluster.history
    assert [point.rate for point in cluster.history.served] == [1.0, 0.0]


def test_a_tick_with_nothing_to_do_changes_nothing(round: Round) -> None:
    steps = turn(round.config, NOW + 9 * DAY)
    assert not [step for step in steps.values() if step.did]
    # That nothing is to be learnt is said once.
    assert state(round.config)[:3] == round.came_to[:3]
    assert state(round.config)[4:] == round.came_to[4:]


def test_the_rest_goes_on_while_label_studio_is_down(model: Path, tmp_path: Path) -> None:
    config = make_loop(tmp_path / "loop", model)
    with Client("http://127.0.0.1:9", "0" * 40, patience=0) as client:
        steps = turn(config, NOW + HOUR, client)
    assert steps["label"].said.startswith("nobody can be asked, each tick tries again: ")
    assert steps["collect"].did
    assert "decide" in steps


def test_a_tick_beside_another_does_nothing(tmp_path: Path) -> None:
    config = Config(folder=tmp_path)
    with Database(config.store) as database, claim(config.folder), pytest.raises(LockedError):
        list(tick(database, config, None, at(NOW)))


KILLED = """
import os, signal, sys
from datetime import datetime
from flywheel.config import load
from flywheel.tick import tick
from labeling.store.database import Database

config = load(sys.argv[1])
with Database(config.store) as database:
    for step in tick(database, config, None, lambda: datetime.fromisoformat(sys.argv[2])):
        if step.name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def begin_tick(config: Config, last: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KILLED, str(config.folder), LATER.isoformat(), last])


def wait_for_the_lock(config: Config) -> None:
    """The training outlives its tick, and keeps the lock."""
    while True:
        try:
            with claim(config.folder):
                return
        except LockedError:
            time.sleep(0.2)


def test_a_loop_that_is_killed_at_every_step_comes_to_the_same(model: Path, tmp_path: Path, round: Round) -> None:
    config = make_loop(tmp_path / "loop", model)
    turn(config, NOW + HOUR)
    with Database(config.store) as database:
        correct(database, NOW + 2 * HOUR)
    for last in ("collect", "admit", "decide"):
        assert begin_tick(config, last).wait() == -signal.SIGKILL
    training = begin_tick(config, "train")
    while not list(config.runs.glob("*/log.jsonl")):
        assert training.poll() is None
        time.sleep(0.05)
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    wait_for_the_lock(config)
    for last in ("train", "gate"):
        assert begin_tick(config, last).wait() == -signal.SIGKILL
    assert [name for name, step in turn(config, LATER).items() if step.did] == ["promote"]
    assert state(config) == round.came_to
