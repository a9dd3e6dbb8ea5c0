"""What a scheduler asks of `corpuscle flywheel`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpuscle.flywheel import app
from flywheel.config import ConfigError
from labeling.store.database import Database
from tests.flywheel.rows import add_round


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text('schedule: {recipe: mine.yaml, crawl: "crawl/{month}/*.warc.gz"}\n')
    return folder


def asked(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def read(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked(*words, "--json"))
    return found


def test_settings_are_those_of_the_file_and_the_defaults(loop: Path) -> None:
    found = read("settings", "--folder", str(loop))
    assert found["schedule"] == {
        "recipe": f"{loop}/mine.yaml",
        "crawl": f"{loop}/crawl/{{month}}/*.warc.gz",
        "corpora": f"{loop}/corpora",
    }
    assert found["decide"]["corrections"] == 20
    lines = asked("settings", "--folder", str(loop)).splitlines()
    assert "decide.corrections: 20" in lines
    assert f'store: "sqlite:///{loop}/store.sqlite"' in lines


def test_a_password_of_the_store_is_not_told(loop: Path) -> None:
    url = "postgresql+psycopg://me:geheim@db/loop?password=geheim"
    (loop / "flywheel.yaml").write_text(f"store: {url}\n")
    assert read("settings", "--folder", str(loop))["store"] == "postgresql+psycopg://me:***@db/loop"
    assert "geheim" not in asked("settings", "--folder", str(loop))


def test_settings_that_can_not_be_used_are_an_error(loop: Path) -> None:
    (loop / "flywheel.yaml").write_text("decide: {corrections: none}\n")
    with pytest.raises(ConfigError, match=r"flywheel\.yaml:1"):
        read("settings", "--folder", str(loop))


def test_work_says_whether_there_is_any(loop: Path) -> None:
    nothing = read("work", "--folder", str(loop))
    assert nothing == {
        "said": "nothing is to be begun; no run was begun yet",
        "ready": False,
        "decided": False,
        "run": None,
        "state": None,
        "note": "",
    }
    with Database(f"sqlite:///{loop}/store.sqlite") as database:
        add_round(database)
    assert asked("work", "--folder", str(loop)) == "nothing is to be begun; run e0e0e0e0e0e0 is promoted\n"


def test_where_no_server_is_connected_nobody_is_sentand_what_is_there_is_admitted(loop: Path) -> None:
    lines = asked("label", "--if-connected", "--folder", str(loop), "--json").splitlines()
    sent, admitted = (json.loads(line) for line in lines)
    assert sent == {"name": "label", "said": "no Label Studio server is connected: nobody is asked", "did": False}
    assert admitted["name"] == "admit"
    assert not admitted["did"]


def test_a_training_is_ordered_with_a_reason_and_only_where_there_is_something_new(loop: Path) -> None:
    ordered = read("decide", "--now", "a release is due", "--folder", str(loop))
    assert ordered["said"].startswith("wait: ")
    assert not ordered["did"]
    done = CliRunner().invoke(app, ["decide", "--now", " ", "--folder", str(loop)])
    assert done.exit_code == 2


def test_where_no_server_is_connected_nobody_is_asked_about_pages(loop: Path) -> None:
    assert asked("pages", "--folder", str(loop)) == (
        "judge pages: 0 pages confirmed as poison, 0 found harmless, 0 open again\n"
    )


def test_an_index_needs_a_corpus(loop: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="corpora/2026-01: no tokenized corpus here"):
        asked("index", "2026-01", "--folder", str(loop))
