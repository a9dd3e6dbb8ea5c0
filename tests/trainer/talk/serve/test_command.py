"""`corpuscle serve` looks at what it was told before it makes anything."""

import signal
import subprocess
from pathlib import Path

import pytest

from corpuscle.main import main
from tests.trainer.talk.serve.conftest import Serve


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


@pytest.mark.slow
def test_ctrl_c_ends_a_server_with_a_word(serve: Serve, model: Path, tmp_path: Path) -> None:
    with serve(model, tmp_path / "store.db", says=subprocess.PIPE) as served:
        served.process.send_signal(signal.SIGINT)
        told = served.process.communicate(timeout=30)[0].decode()
    assert told.endswith("Ctrl-C stops it.\nstopped\n")
    assert served.process.returncode == 0
