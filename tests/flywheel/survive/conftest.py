"""A loop that nobody disturbs, as it stands after each step."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel.config import Config
from labeling.store.database import Database
from tests.flywheel.round import correct, make_loop, write_bad_model
from tests.flywheel.rows import HOUR, NOW
from tests.flywheel.survive.harness import copied, take

ORDER = ("collect", "admit", "decide", "train", "gate", "promote")
TIMES = {"collect": NOW + HOUR} | dict.fromkeys(ORDER[1:], NOW + 3 * HOUR)


@dataclass(frozen=True)
class Undisturbed:
    """Loops as they stand before each step, which nobody is to change: copy them."""

    before: dict[str, Config]
    end: Config


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bad_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def undisturbed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Reports are collected, people correct them, and the rest follows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = make_loop(folder / "loop", model)
    before = {}
    for step in ORDER:
        before[step] = copied(config, folder / f"before-{step}")
        assert take(step, config, TIMES[step])
        people_follow(step, config)
    return Undisturbed(before, config)


def people_follow(step: str, config: Config) -> None:
    """Behind `collect`, people correct what was collected."""
    if step == "collect":
        with Database(config.store) as database:
            correct(database, NOW + 2 * HOUR)
