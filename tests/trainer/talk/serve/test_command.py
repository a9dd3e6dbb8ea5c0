"""`corpuscle serve` looks at what it was told before it makes anything."""

from pathlib import Path

import pytest

from corpuscle.main import main


@pytest.mark.parametrize("model", ["nowhere", "."])
def test_a_model_that_is_not_there_leaves_no_store(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORPUSCLE_STORE", raising=False)

    with pytest.raises(SystemExit, match="1"):
        main(["serve", model, "--port", "0"])

    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []
