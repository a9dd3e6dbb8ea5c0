"""Several at once, as processes, come to what one comes to."""

from pathlib import Path

import pytest

from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed, people_follow
from tests.flywheel.survive.harness import REFUSED, begin, came_to, copied

pytestmark = pytest.mark.slow


def test_three_ticks_at_once(undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = copied(undisturbed.before["admit"], tmp_path / "loop")
    ticks = [begin("tick", config, TIMES["train"]) for _ in range(3)]
    for tick in ticks:
        tick.join()
    codes = sorted(tick.exitcode or 0 for tick in ticks)
    assert set(codes) <= {0, REFUSED}
    assert codes[0] == 0
    wanted, found = came_to(undisturbed.end), came_to(config)
    # One that came after the first had ended found nothing to do, and says so.
    del found["decisions"][1:]
    assert found == wanted


@pytest.mark.parametrize("step", ORDER)
def test_three_at_once_of_one_step(step: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    after = dict(zip(ORDER, [*(undisturbed.before[one] for one in ORDER[1:]), undisturbed.end], strict=True))
    config = copied(undisturbed.before[step], tmp_path / "loop")
    processes = [begin(step, config, TIMES[step]) for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    people_follow(step, config)
    assert came_to(config) == came_to(after[step])
