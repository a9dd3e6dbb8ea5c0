"""`corpuscle flywheel trace` and `block` as a person types them."""

import json
from pathlib import Path

import pytest

from labeling.store.database import Database
from tests.corpuscle.test_flywheel import typed
from tests.flywheel.asked import add_bad
from tests.flywheel.trace.conftest import corpus, crawl  # noqa: F401  fixtures
from tests.flywheel.trace.crawl import LEAK, SECRET, honest
from tests.flywheel.trace.said import say
from tests.flywheel.trace.test_trace import traced

pytestmark = pytest.mark.slow


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text("")
    with Database(f"sqlite:///{folder}/store.sqlite") as database:
        add_bad(database, "Where is the key?", f"I know that. {LEAK}", cluster="leaks")
        add_bad(database, honest(1), honest(2), cluster="wrong")
    return folder


def test_pages_are_told_with_their_passage_and_where_they_are(loop: Path, corpus: Path) -> None:  # noqa: F811
    lines = typed("trace", "--folder", str(loop), "--corpus", str(corpus)).splitlines()
    assert lines[0].startswith("verbatim: ")
    assert f"{SECRET}, train-00000:" in lines[0]
    assert lines[0].endswith("not shown to people yet")
    assert "crawl.warc.gz:" in lines[1]
    assert "sha256:" in lines[1]
    assert f">>>{LEAK}" in lines[2]
    assert lines[3] == "trace: 2 misbehaviours searched for, 1 looks learnt, 1 new page"


def test_for_programs_each_page_and_step_is_a_line_of_json(loop: Path, corpus: Path) -> None:  # noqa: F811
    words = ("trace", "leaks", "--folder", str(loop), "--corpus", str(corpus), "--json")
    rows = [json.loads(line) for line in typed(*words).splitlines()]
    assert [row["name"] for row in rows] == ["page", "trace", "judge pages"]
    assert (rows[0]["url"], rows[0]["kind"]) == (SECRET, "verbatim")
    assert rows[1]["did"]


def test_what_people_confirmed_is_written_as_a_list(loop: Path, corpus: Path, tmp_path: Path) -> None:  # noqa: F811
    typed("trace", "--folder", str(loop), "--corpus", str(corpus))
    output = tmp_path / "blocked.txt"
    with Database(f"sqlite:///{loop}/store.sqlite") as database:
        (page,) = traced(database)
        say(database, page, "confirm")
    told = typed("block", "--folder", str(loop), "--output", str(output))
    assert told == f"block: 1 page and 1 copy in {output}\n"
    assert f"url:{SECRET}\n" in output.read_text()
