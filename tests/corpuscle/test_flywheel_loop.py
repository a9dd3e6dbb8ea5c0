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
