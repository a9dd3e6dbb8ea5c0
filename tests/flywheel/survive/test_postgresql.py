"""The same with the store on PostgreSQL, whose sequences leave out numbers where a transaction was killed."""

from pathlib import Path
from typing import Any

import pytest

from flywheel.config import Config
from labeling.store.database import Database
from tests.flywheel import round
from tests.flywheel.rows import HOUR, NOW
from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed
from tests.flywheel.survive.harness import REFUSED, begin, came_to, take

pytestmark = pytest.mark.slow


@pytest.fixture
def loop(postgresql: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A loop that people have reported to."""
    monkeypatch.setattr(round, "SETTINGS", f"{round.SETTINGS}\nstore: {postgresql!r}\n")
    return round.make_loop(tmp_path / "loop", model)


@pytest.fixture
def config(loop: Config) -> Config:
    """A loop whose misbehaviours people have corrected."""
    assert take("collect", loop, TIMES["collect"])
    with Database(loop.store) as database:
        round.correct(database, NOW + 2 * HOUR)
    return loop


def unnumbered(found: dict[str, Any]) -> dict[str, Any]:
    """Without the numbers of decisions and promotions."""
    runs = [(run[0], *run[2:]) for run in found["runs"]]
    unnumbered = {name: [row[1:] for row in found[name]] for name in ("decisions", "promotions")}
    return found | unnumbered | {"runs": runs, "current": (found["current"][0], *found["current"][2:])}


def test_three_at_once_of_each_step(loop: Config, undisturbed: Undisturbed) -> None:
    after = [*(undisturbed.before[one] for one in ORDER[1:]), undisturbed.end]
    for step, wanted in zip(ORDER, after, strict=True):
        processes = [begin(step, loop, TIMES[step]) for _ in range(3)]
        for process in processes:
            process.join()
        assert (step, [process.exitcode for process in processes]) == (step, [0, 0, 0])
        if step == "collect":
            with Database(loop.store) as database:
                round.correct(database, NOW + 2 * HOUR)
        assert unnumbered(came_to(loop)) == unnumbered(came_to(wanted)), step


def test_ticks_that_are_killed_and_ticks_at_once(config: Config, undisturbed: Undisturbed) -> None:
    for effect in range(1, 9):
        assert not take("tick", config, TIMES["train"], kill=effect)
    ticks = [begin("tick", config, TIMES["train"]) for _ in range(3)]
    for tick in ticks:
        tick.join()
    codes = {tick.exitcode for tick in ticks}
    assert 0 in codes
    assert codes <= {0, REFUSED}
    wanted, found = came_to(undisturbed.end), came_to(config)
    # One that came after the first had ended found nothing to do, and says so.
    del found["decisions"][1:]
    assert unnumbered(found) == unnumbered(wanted)
