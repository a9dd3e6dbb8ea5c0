"""A report with a loss curve says whose it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.artifact import file_digest
from pipeline.report import write_report
from pipeline.report.gather import trained_elsewhere
from pipeline.report.tables import ReportError


@pytest.fixture
def training(tmp_path: Path) -> Callable[[str], str]:
    """The folder of a training on the corpus with a digest."""

    def write(digest: str) -> str:
        record = {"step": 1, "loss": 2.5, "val_loss": 2.4, "tokens_per_second": 10.0}
        (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
        (tmp_path / "run.json").write_text(json.dumps({"settings": {"corpus_sha256": digest}}))
        return str(tmp_path)

    return write


def test_a_training_on_this_corpus_is_shown_as_it_is(small: str, training: Callable[[str], str]) -> None:
    folder = training(file_digest(f"{small}/tokenize/manifest.json"))
    assert trained_elsewhere(small, folder) == ""
    assert "another corpus" not in Path(write_report(small, folder)).read_text()


def test_a_training_on_another_corpus_is_marked(small: str, training: Callable[[str], str]) -> None:
    folder = training("0123456789abcdef" * 4)
    assert "another corpus" in trained_elsewhere(small, folder)
    assert "another corpus" in Path(write_report(small, folder)).read_text()


def test_a_stage_that_reads_no_corpus_is_not_compared(small: str, training: Callable[[str], str]) -> None:
    folder = Path(training(""))
    (folder / "run.json").write_text(json.dumps({"settings": {"data_sha256": "0"}}))
    assert trained_elsewhere(small, str(folder)) == ""
    (folder / "run.json").unlink()
    assert trained_elsewhere(small, str(folder)) == ""


def test_of_an_assistant_the_stage_that_has_the_curve_is_named(small: str, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no log.jsonl here. Name the folder that `corpuscle train pretrain"):
        write_report(small, str(tmp_path))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "run.json").write_text("{}")
    with pytest.raises(ReportError, match=f"no log.jsonl here. Name the stage that read the corpus: {tmp_path}/base."):
        write_report(small, str(tmp_path))
