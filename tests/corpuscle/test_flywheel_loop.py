"""The commands of the loop keep to one folder for one store."""

from pathlib import Path

import pytest

from corpuscle.main import main


def test_a_copied_settings_file_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flywheel.yaml").write_text(f"store: sqlite:///{tmp_path}/store.sqlite\n")
    with pytest.raises(SystemExit) as ended:
        main(["flywheel", "decide", "--folder", str(tmp_path / "one")])
    assert ended.value.code == 0
    id = (tmp_path / "one" / "loop.id").read_text().strip()
    with pytest.raises(SystemExit) as ended:
        main(["flywheel", "tick", "--folder", str(tmp_path / "two")])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert f"is the store of loop {id}" in told
    assert f"{tmp_path / 'two'} has no loop.id" in told
    assert not (tmp_path / "two" / "tick.lock").exists()


def test_a_mistyped_store_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, loop = tmp_path / "flywheel.yaml", ["--folder", str(tmp_path)]
    settings.write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["flywheel", "decide", *loop])
    assert ended.value.code == 0
    settings.write_text("store: sqlite:///stroe.sqlite\n")
    for command in ("tick", "status"):
        with pytest.raises(SystemExit) as ended:
            main(["flywheel", command, *loop])
        assert ended.value.code == 1
    assert f"looked for {tmp_path}/stroe.sqlite" in capsys.readouterr().err
    assert not (tmp_path / "stroe.sqlite").exists()


def test_corpuscle_label_finds_the_loop_s_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flywheel.yaml").write_text("")
    for command in (
        ["flywheel", "decide", "--folder", str(tmp_path)],
        ["label", "status", "--folder", f"{tmp_path}/labels"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
    assert f"no project in sqlite:///{tmp_path}/store.sqlite yet" in capsys.readouterr().out
    assert not (tmp_path / "labels" / "store.sqlite").exists()
