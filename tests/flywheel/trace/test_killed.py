"""A search, a note of what people said, and a block list that are killed, wherever: again they come to the same."""

from pathlib import Path

import pytest

from flywheel.config import Config, load
from flywheel.trace.trace import trace
from labeling.store.database import Database
from tests.flywheel.asked import add_bad
from tests.flywheel.rows import NOW
from tests.flywheel.survive.harness import BLOCKED, came_to, take_killed
from tests.flywheel.trace.crawl import LEAK
from tests.flywheel.trace.said import say
from tests.flywheel.trace.test_trace import add_all, traced

pytestmark = pytest.mark.slow


@pytest.fixture
def loop(tmp_path: Path, corpus: Path) -> Config:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text(f"trace: {{corpus: {corpus}}}\n")
    return load(folder)


def test_a_search(loop: Config, tmp_path: Path) -> None:
    with Database(loop.store) as database:
        add_bad(database, "Where is the key?", f"I know that. {LEAK}", cluster="leaks")
    whole, kills = take_killed("trace", loop, tmp_path, NOW, every=3)
    assert kills > 1
    assert len(came_to(whole)["pages"]) == 1
    assert "traces.json" in came_to(whole)["files"]


def test_what_people_said_and_the_block_list(loop: Config, tmp_path: Path) -> None:
    with Database(loop.store) as database:
        add_all(database)
        trace(database, loop, NOW)
        for number, page in enumerate(traced(database)):
            say(database, page, "confirm" if number else "release")
    judged, kills = take_killed("judge pages", loop, tmp_path / "judged", NOW)
    assert kills > 3
    assert sorted(row[2] for row in came_to(judged)["pages"]) == ["confirm"] * 5 + ["release"]
    blocked, kills = take_killed("block", judged, tmp_path / "blocked", NOW)
    assert kills > 1
    assert (blocked.folder / BLOCKED).read_text().count("id:") >= 5
