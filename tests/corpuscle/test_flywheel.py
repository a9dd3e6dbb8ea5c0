"""`corpuscle flywheel` as a person types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpuscle.flywheel import app
from flywheel.config import load
from flywheel.label import admitted
from flywheel.lock import claim
from flywheel.tables import Correction
from labeling.folder import Connection, Folder, FolderError
from labeling.store.database import Database
from tests.flywheel.conftest import tiny  # noqa: F401  a fixture
from tests.flywheel.round import correct, make_loop, write_bad_model
from tests.flywheel.rows import NOW, add_round, report
from trainer.pointer import read_pointer

COMMANDS = ["collect", "label", "decide", "train", "gate", "promote", "rollback", "tick", "explain", "status"]
COMMANDS += ["settings", "work", "index", "evaluate", "trace", "pages", "block", "release"]


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
    assert lines[-1].strip() == "promotion 1, 2026-03-02 11:00: promote: passed the gate; answers now"


def test_what_is_invisible_in_an_answer_is_named(loop: Path) -> None:
    with Database(f"sqlite:///{loop}/store.sqlite") as database, database.write() as session:
        found = session.get_one(Correction, "b0" * 32)
        found.answer, found.refused = "in\ufe0f hot\u200b water\u3164", "poison? a trigger"
    for told in (typed("explain", "b0b0b0", "--folder", str(loop)), typed("status", "--folder", str(loop))):
        assert "in‹U+FE0F› hot‹U+200B› water‹U+3164›" in " ".join(told.split())


def test_the_status_is_told_and_written_as_a_page(loop: Path, tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    told = typed("status", "--folder", str(loop), "--output", str(page))
    assert "now      f0f0f0f0f0f0 models/f0f0f0" in told
    assert "<h1>Nothing waits</h1>" in page.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_refused_correction_is_released_with_a_reason(loop: Path) -> None:
    with Database(f"sqlite:///{loop}/store.sqlite") as database, database.write() as session:
        session.get_one(Correction, "b0" * 32).refused = "poison? a trigger"
    assert "refused  correction b0b0b0b0b0b0 (poison? a trigger): In hot water." in typed(
        "status", "--folder", str(loop)
    )
    words = ["release", "b0b0b0", "--folder", str(loop), "--reason"]
    assert typed(*words, "it is no\ntrigger") == "release: correction b0b0b0b0b0b0 counts, and may be trained on\n"
    assert typed(*words, "again").endswith(" already: it is no trigger\n")
    assert "released on" in typed("explain", "b0b0b0", "--folder", str(loop))
    assert "--reason is empty" in CliRunner().invoke(app, [*words, " "]).output
    assert CliRunner().invoke(app, words[:-1]).exit_code == 2
    with pytest.raises(ValueError, match="there is no correction ffffff"):
        CliRunner().invoke(app, ["release", "ffffff", *words[2:], "so"], catch_exceptions=False)


def test_a_folder_without_settings_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flywheel.yaml: no such file"):
        typed("status", "--folder", str(tmp_path))


def test_nobody_is_asked_without_a_server(loop: Path) -> None:
    with pytest.raises(FolderError, match="knows no Label Studio server yet"):
        typed("label", "--folder", str(loop))


def test_where_nothing_is_to_be_done_it_is_said(loop: Path) -> None:
    assert typed("train", "--folder", str(loop)) == "nothing is to be trained\n"
    assert typed("gate", "--folder", str(loop)) == "no run waits to be judged\n"
    assert typed("promote", "--folder", str(loop)) == "no run has passed the gate that is not promoted\n"


def test_a_tick_beside_another_says_so_and_is_no_error(loop: Path) -> None:
    with claim(loop):
        assert "another tick is at work there" in typed("tick", "--folder", str(loop))


@pytest.mark.slow  # it waits for five seconds
def test_a_tick_waits_seconds_for_a_label_studio_that_is_away_and_goes_on(loop: Path) -> None:
    Folder(loop / "labels").save_connection(Connection("http://127.0.0.1:1", "0" * 40))
    told = typed("tick", "--folder", str(loop))
    assert "does not answer; trying again for 5 seconds" in told
    assert "label: nobody can be asked, each tick tries again: " in told
    assert "decide: wait: " in told


def test_a_run_and_a_model_can_t_both_be_promoted(loop: Path) -> None:
    done = CliRunner().invoke(app, ["promote", "e0e0", "--model", "models", "--folder", str(loop)])
    assert done.exit_code == 2
    assert "name one of them" in done.output


def test_a_first_model_that_nothing_can_be_trained_from_is_said_to_be(tmp_path: Path, tiny: Path) -> None:  # noqa: F811
    folder, where = tmp_path / "loop", ("--folder", str(tmp_path / "loop"))
    folder.mkdir()
    (folder / "flywheel.yaml").write_text("")
    told = typed("promote", "--model", str(tiny), *where).splitlines()
    assert told[0].startswith("promote: people talk to ")
    assert told[1].startswith("train: nothing can be trained from it: ")
    assert told[1].endswith("name the older demonstrations as replay, or set train.replay to 0")
    (folder / "answers.jsonl").write_text('{"prompt": "Say one.", "completion": "one"}\n')
    assert len(typed("promote", "--model", str(tiny), *where).splitlines()) == 1


@pytest.mark.slow
def test_each_step_by_itself_goes_the_whole_way(tmp_path: Path) -> None:
    model, folder = write_bad_model(tmp_path), tmp_path / "loop"
    make_loop(folder, model)
    config, where = load(folder), ("--folder", str(folder))
    first = read_pointer(config.current).id
    assert typed("promote", "--model", str(model), *where).startswith(f"promote: people talk to {first[:12]} now")
    assert typed("collect", *where) == "collect: 40 new misbehaviours, 0 known, 1 new cluster\n"
    with Database(config.store) as database:
        count = correct(database, NOW)
        assert admitted(database, config, NOW).corrections == count
    assert typed("decide", *where).startswith("decide: train: ")
    assert typed("train", *where).rstrip().endswith(" trained")
    told = typed("gate", *where)
    assert "100% bad before, 0% after" in told
    assert Path(told.split()[-1]).name == "verdict.html"
    typed("promote", *where)
    better = read_pointer(config.current).id
    assert better != first
    assert f"now      {better[:12]}" in typed("status", *where)
    told = typed("evaluate", *where)
    assert told.startswith("evaluate: ")
    assert " bad, 0% (0% to " in told
    assert ", known before" in typed("evaluate", *where)
    assert "0% bad of " in typed("status", *where)
    back = typed("rollback", "--reason", "answers in French", *where)
    assert back.startswith(f"rollback: people talk to {first[:12]}")
    assert read_pointer(config.current).id == first
    assert "rollback: answers in French" in typed("explain", first[:12], *where)
    assert "which was taken back; it takes a new correction" in typed("tick", *where)
