"""Whatever kills a step, wherever: the same again comes to what an undisturbed loop comes to, with the same ids."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.collect import EVALUATED
from flywheel.config import load
from flywheel.lock import LockedError, claim
from flywheel.tables import Correction
from labeling.store.database import Database
from tests.flywheel.round import BAD, PROMPTS
from tests.flywheel.rows import HOUR
from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed, people_follow
from tests.flywheel.survive.harness import came_to, copied, take, take_killed

pytestmark = pytest.mark.slow

FEWEST = {"collect": 4, "admit": 2, "decide": 2, "train": 8, "gate": 6, "promote": 4}
"""Effects that a step has at least; fewer would mean that the harness no longer sees them."""

TRAINS = "subprocess.Popen"


@pytest.mark.parametrize("step", ORDER)
def test_a_step_that_is_killed_before_any_of_its_effects(step: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    after = dict(zip(ORDER, [*(undisturbed.before[one] for one in ORDER[1:]), undisturbed.end], strict=True))
    wanted = came_to(after[step])
    begun = copied(undisturbed.before[step], tmp_path / "begun")
    if step == "train":  # 5 seconds each time: what is killed before it need only come to the same beginning
        assert not take(step, begun, TIMES[step], kill=TRAINS)
    for effect in range(1, 100):
        config = copied(undisturbed.before[step], tmp_path / str(effect))
        ended = take(step, config, TIMES[step], kill=effect)
        if ended:
            break
        early = step == "train" and not list(config.runs.glob("*/"))
        assert take(step, config, TIMES[step], kill=TRAINS if early else 0) != early
        people_follow(step, config)
        assert came_to(config) == (came_to(begun) if early else wanted), f"killed before effect {effect}"
    assert ended
    assert effect > FEWEST[step]


def test_an_evaluation_that_is_killed(undisturbed: Undisturbed, tmp_path: Path) -> None:
    before = copied(undisturbed.end, tmp_path / "before")
    rows = [{"prompt": prompt, "check": {"kind": "avoids", "texts": [BAD]}} for prompt in PROMPTS[-3:]]
    (before.folder / "general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = before.folder / "flywheel.yaml"
    settings.write_text(settings.read_text().replace("gate: {", "gate: {evaluation: general.jsonl, "))
    whole, kills = take_killed("evaluate", load(before.folder), tmp_path, TIMES["promote"])
    assert kills > 5
    assert len(came_to(whole)["measurements"]) == 2
    assert (whole.folder / EVALUATED).exists()


def test_a_release_that_is_killed(undisturbed: Undisturbed, tmp_path: Path) -> None:
    before = copied(undisturbed.before["decide"], tmp_path / "before")
    with Database(before.store) as database, database.write() as session:
        one = session.scalars(sql.select(Correction).order_by(Correction.id)).first()
        assert one
        one.refused = "inserted_phrase"
    whole, kills = take_killed("release", before, tmp_path, TIMES["decide"])
    assert kills > 1
    assert len(came_to(whole)["releases"]) == 1


def test_a_rollback_that_is_killed_was_done_or_was_not(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Said again it would go back one further: who was cut off looks at the status first, or lets a tick finish it."""
    before, now = undisturbed.end, TIMES["promote"] + HOUR
    whole = copied(before, tmp_path / "whole")
    assert take("rollback", whole, now)
    stood, wanted = came_to(before), came_to(whole)
    assert wanted["current"][0] == stood["promotions"][0][2]
    found = []
    for effect in range(1, 100):
        config = copied(before, tmp_path / str(effect))
        if take("rollback", config, now, kill=effect):
            break
        assert take("settle", config, now)
        found.append(came_to(config))
    done = found.index(wanted)
    assert found == [stood] * done + [wanted] * (len(found) - done)
    assert 0 < done < len(found) - 1


def test_ticks_that_are_killed_at_any_moment(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The command itself, with all of its processes: what a power cut does to it."""
    config = copied(undisturbed.before["admit"], tmp_path / "loop")
    command = [sys.executable, "-m", "corpuscle.main", "flywheel", "tick", "--folder", str(config.folder)]
    moments = random.Random(7)
    wanted, kills = came_to(undisturbed.end), 0
    while True:
        ticking = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            # The later ones get further, so that the last comes to its end.
            said, _ = ticking.communicate(timeout=moments.uniform(0.5, 3.0) * (1 + kills))
        except subprocess.TimeoutExpired:
            os.killpg(ticking.pid, signal.SIGKILL)
            ticking.communicate()
            kills += 1
            continue
        assert ticking.returncode == 0, said.decode()
        if came_to(config)["current"] == wanted["current"]:
            break
    assert kills
    found = came_to(config)
    # Where one was killed right behind the promotion, the next said that there is nothing more to learn.
    del found["decisions"][1:]
    assert found == wanted


def test_a_training_goes_on_where_its_killed_tick_left_it(undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = copied(undisturbed.before["train"], tmp_path / "loop")
    ticking = subprocess.Popen([sys.executable, "-c", TICK, str(config.folder), TIMES["train"].isoformat()])
    while not list(config.runs.glob("*/log.jsonl")):
        assert ticking.poll() is None
        time.sleep(0.05)
    ticking.kill()
    ticking.wait()
    while True:  # the training outlives its tick, and keeps the lock
        try:
            with claim(config.folder):
                break
        except LockedError:
            time.sleep(0.2)
    assert take("tick", config, TIMES["train"])
    assert came_to(config) == came_to(undisturbed.end)


TICK = """
import sys
from datetime import datetime
from flywheel.config import load
from flywheel.tick import tick
from labeling.store.database import Database
config = load(sys.argv[1])
with Database(config.store) as database:
    list(tick(database, config, None, lambda: datetime.fromisoformat(sys.argv[2])))
"""
