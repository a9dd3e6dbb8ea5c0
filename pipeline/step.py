"""How a step runs over its parts: the one DoFn that every step's work goes through.

It skips a part that is already there, writes the marker when the work is done, checks that no record went missing,
and says which part failed when one does.
"""

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import apache_beam as beam
import numpy as np

from pipeline.artifact import Part, PartWriter, delete, digest, finished_part, marker_path, touch
from pipeline.versions import versions

OUTCOMES = ("kept", "removed", "held", "quarantined")


class StepError(Exception):
    """A step that could not go on; the message names the part, the cause and the remedy."""


@dataclass(frozen=True)
class Deletions:
    """Documents to leave out: their addresses, sorted, with the kept twins and, where known, the similarities."""

    removed: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    kept: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    similarity: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    exact: np.ndarray = field(default_factory=lambda: np.empty(0, np.bool_))

    def select(self, chosen: np.ndarray) -> "Deletions":
        """The deletions at the chosen places (a mask, or an order)."""
        return Deletions(self.removed[chosen], self.kept[chosen], self.similarity[chosen], self.exact[chosen])

    def between(self, low: int, high: int) -> "Deletions":
        """Those whose address is in low <= address < high."""
        start, stop = np.searchsorted(self.removed, np.array([low, high], np.uint64))
        return self.select(np.arange(start, stop))

    @property
    def content(self) -> str:
        """A digest, for fingerprints."""
        return digest([column.tobytes().hex() for column in (self.removed, self.kept, self.similarity, self.exact)])


class PartStep(Protocol):
    """A step's work on one part. `name` is its folder, `parameters` is all that its result depends on."""

    name: str

    def parameters(self) -> dict[str, Any]: ...

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None: ...


def fingerprint(step: PartStep, source: Part, *context: Any) -> str:
    """What a part's bytes depend on: versions, the step, its parameters, its input and what came from elsewhere."""
    contents = [getattr(value, "content", value) for value in context]
    return digest(
        [versions(), step.name, step.parameters(), source.name, source.file, source.rows, source.content, contents]
    )


class RunPart(beam.DoFn):
    """Part -> Part: the step's work on it, unless that has been done before."""

    def __init__(self, step: PartStep, folder: str) -> None:
        self.step, self.folder = step, folder

    def process(self, source: Any, *context: Any) -> Iterator[Part]:
        """`source` is a part, or (part, deletions)."""
        if isinstance(source, tuple):
            source, context = source[0], (*source[1:], *context)
        yield run_part(self.step, self.folder, source, *context)


def run_part(step: PartStep, folder: str, source: Part, *context: Any) -> Part:
    """The part that `step` makes of `source`: found, or made now."""
    mark = fingerprint(step, source, *context)
    done = finished_part(folder, step.name, source.name, mark)
    if done is not None:
        touch(marker_path(folder, step.name, source.name))
        return done
    # The marker goes first: a stopped run must not leave an old marker beside new files.
    delete(marker_path(folder, step.name, source.name))
    clock, processor = time.perf_counter(), time.process_time()
    writer = PartWriter(folder, step.name, source.name, mark, source.file, source.rows)
    try:
        step.work(source, writer, *context)
    except StepError:
        raise
    except OSError as error:
        raise StepError(f"{step.name}, {_called(source)}: {disk_advice(error)}") from error
    except Exception as error:
        raise StepError(f"{step.name}, {_called(source)}: {type(error).__name__}: {error}") from error
    check_balance(step.name, source.name, writer.counts)
    cost = {
        "seconds": time.perf_counter() - clock,
        "core_seconds": time.process_time() - processor,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    }
    return writer.commit(cost)


def _called(source: Part) -> str:
    """A part's name for people: an archive's own, not the digest that stands for it; of a split both."""
    archive = source.extra.get("warc_file")
    if archive is None:
        return source.name
    return str(archive) if source.name == digest(archive)[:16] else f"{source.name} of {archive}"


def check_balance(step: str, name: str, counts: Any) -> None:
    """read = kept + removed + held + quarantined, or the program has a fault and says so."""
    outcomes = sum(counts.get(outcome, 0) for outcome in OUTCOMES)
    if counts.get("read", outcomes) != outcomes:
        raise StepError(f"{step}, {name}: {counts['read']} records read, but {outcomes} accounted for: {dict(counts)}")


def disk_advice(error: OSError) -> str:
    """An operating-system error with what to do about it."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}. Free some space and run the same command again: finished parts are kept."
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
