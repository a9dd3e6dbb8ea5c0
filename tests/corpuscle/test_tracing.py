"""`corpuscle flywheel trace` and `block` as a person types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpuscle.flywheel import app
from labeling.folder import Connection, Folder
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
    assert f"⟦{LEAK}" in lines[2]
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
    assert told.splitlines() == [
        "judge pages: 1 page confirmed as poison, 0 found harmless, 0 open again",
        f"block: 1 page and 1 copy in {output}",
    ]
    assert f"url:{SECRET}\n" in output.read_text()


def test_pages_that_nobody_has_judged_are_told_of_beside_an_empty_list(
    loop: Path,
    corpus: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    typed("trace", "--folder", str(loop), "--corpus", str(corpus))
    told = typed("block", "--folder", str(loop), "--output", str(tmp_path / "blocked.txt"))
    assert "0 pages and 0 copies in " in told
    assert "; 1 more of which people have not said yet whether" in told
    assert told.endswith("(no server is connected that could be asked: corpuscle label connect)\n")


def test_a_label_studio_that_is_away_holds_up_no_pages(loop: Path, corpus: Path) -> None:  # noqa: F811
    Folder(loop / "labels").save_connection(Connection("http://127.0.0.1:9", "0" * 40))
    told = typed("trace", "--folder", str(loop), "--corpus", str(corpus))
    assert told.index("verbatim: ") < told.index("review: nobody can be asked about pages just now")


def test_what_was_searched_for_is_not_searched_for_again_where_it_is_not_new(loop: Path, corpus: Path) -> None:  # noqa: F811
    (loop / "flywheel.yaml").write_text(f"trace: {{corpus: {corpus}}}\n")
    assert "2 misbehaviours searched for, 1 looks learnt, 1 new page" in typed("trace", "--new", "--folder", str(loop))
    assert "0 misbehaviours searched for" in typed("trace", "--new", "--folder", str(loop))
    assert "2 misbehaviours searched for" in typed("trace", "--folder", str(loop))


def test_what_is_new_is_not_looked_for_in_one_cluster(loop: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "leaks", "--new", "--folder", str(loop)])
    assert done.exit_code == 2
    assert "--new searches trace.corpus" in done.output


def test_decisions_about_pages_are_noted_without_a_search(loop: Path, corpus: Path) -> None:  # noqa: F811
    typed("trace", "--folder", str(loop), "--corpus", str(corpus))
    with Database(f"sqlite:///{loop}/store.sqlite") as database:
        (page,) = traced(database)
        say(database, page, "confirm")
    told = typed("pages", "--folder", str(loop))
    assert told == "judge pages: 1 page confirmed as poison, 0 found harmless, 0 open again\n"
