"""A part's work is done once, accounts for every record, and says where it failed."""

import errno
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifact import File, Part, PartWriter
from pipeline.step import Deletions, StepError, check_balance, fingerprint, run_part


class Copy:
    """A step that writes its input's digest, and counts how often it was asked to."""

    name = "copy"

    def __init__(self, setting: int = 1, error: OSError | None = None, lost: int = 0) -> None:
        self.setting, self.error, self.lost, self.worked = setting, error, lost, 0

    def parameters(self) -> dict[str, Any]:
        return {"setting": self.setting}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        self.worked += 1
        if self.error is not None:
            raise self.error
        with writer.create(f"documents/{source.name}") as file:
            file.write(source.content.encode())
        writer.counts.update(read=5, kept=5 - self.lost)


def source(sha: str = "aa") -> Part:
    return Part("input", "part-00000-0000", "", files=(File("x", sha, 1, 1),))


def test_a_part_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    step = Copy()
    first, second = (run_part(step, str(tmp_path), source()) for _ in range(2))
    assert first == second
    assert step.worked == 1


def test_another_setting_makes_it_again(tmp_path: Path) -> None:
    run_part(Copy(1), str(tmp_path), source())
    step = Copy(2)
    run_part(step, str(tmp_path), source())
    assert step.worked == 1


def test_another_input_makes_it_again(tmp_path: Path) -> None:
    step = Copy()
    run_part(step, str(tmp_path), source("aa"))
    run_part(step, str(tmp_path), source("bb"))
    assert step.worked == 2


def test_other_deletions_are_another_fingerprint() -> None:
    import numpy as np

    one = Deletions(np.array([1], np.uint64), np.array([0], np.uint64), np.ones(1, np.float32), np.ones(1, np.bool_))
    assert fingerprint(Copy(), source(), one) != fingerprint(Copy(), source(), Deletions())


def test_a_failed_part_leaves_no_marker_of_an_earlier_one(tmp_path: Path) -> None:
    run_part(Copy(1), str(tmp_path), source())
    with pytest.raises(StepError):
        run_part(Copy(2, OSError(errno.EIO, "Input/output error")), str(tmp_path), source())
    step = Copy(1)
    run_part(step, str(tmp_path), source())
    assert step.worked == 1


def test_a_full_disk_says_so_and_what_to_do(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StepError, match="copy, part-00000-0000: the disk is full.*run the same command again"):
        run_part(Copy(error=full), str(tmp_path), source())


def test_a_lost_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="5 records read, but 4 accounted for"):
        run_part(Copy(lost=1), str(tmp_path), source())


def test_every_outcome_counts() -> None:
    check_balance("step", "part", {"read": 10, "kept": 1, "removed": 2, "held": 3, "quarantined": 4})
