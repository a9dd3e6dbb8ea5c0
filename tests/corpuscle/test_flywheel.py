"""`corpuscle flywheel` as a person types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpuscle.flywheel import app
from labeling.store.database import Database
from tests.flywheel.rows import add_round, report

COMMANDS = ["explain", "status"]


def typed(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """A folder with default settings, whose store has gone round once."""
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "flywheel.yaml").write_text("")
    with Database(f"sqlite:///{folder}/store.sqlite") as database:
        add_round(database)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_an_example(command: str) -> None:
    assert f"Example: corpuscle flywheel {command}" in typed(command, "--help")


def test_no_command_is_offered_that_is_not_tested_here() -> None:
    assert sorted(COMMANDS) == sorted(
        command.callback.__name__ for command in app.registered_commands if command.callback
    )


def test_a_report_is_told_up_to_its_promotion(loop: Path) -> None:
    lines = typed("explain", report(0), "--folder", str(loop)).splitlines()
    assert lines[0].startswith(f"report {report(0)}, ")
    assert lines[0].endswith(": api: refusal. it should know eggs")
    assert "comes from nothing" in lines
    assert lines[-1].strip() == "promotion 1, 2026-03-02 11:00: promote: passed the gate"


def test_the_status_is_told_and_written_as_a_page(loop: Path, tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    told = typed("status", "--folder", str(loop), "--output", str(page))
    assert "now      f0f0f0f0f0f0 models/f0f0f0" in told
    assert "<h1>Nothing waits</h1>" in page.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_folder_without_settings_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flywheel.yaml: no such file"):
        typed("status", "--folder", str(tmp_path))
