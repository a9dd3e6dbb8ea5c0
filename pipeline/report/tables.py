"""Reads what a finished run left, a few columns and one row group at a time, so that memory does not grow with it."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifact import MANIFEST, no_file_system, open_input, read_group
from pipeline.manifest import FORMAT, read_manifest
from pipeline.stage import Rule

Addresses = npt.NDArray[np.uint64]


class ReportError(Exception):
    """A report that can't be made; the message says of which folder, why, and what to do."""


class Place(NamedTuple):
    """A row group of a Parquet file."""

    path: str
    group: int


class Corpus:
    """The folder of a finished run. Raises ReportError where there is none, or a file of it can't be read."""

    def __init__(self, folder: str) -> None:
        self.folder = folder.rstrip("/")
        if fault := no_file_system(self.folder):
            raise ReportError(f"{folder}: {fault}")
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise ReportError(
                f"{folder}: no finished corpus here (no {MANIFEST} that can be read). "
                "Name the --output folder of `corpuscle run`; a run that was stopped goes on when it is given again."
            )
        if manifest.get("format") != FORMAT:
            raise ReportError(
                f"{folder}/{MANIFEST}: format {manifest.get('format')!r}, but this version reads format {FORMAT}. "
                "Make the corpus again with this version, or the report with the one that made the corpus."
            )
        self.manifest: dict[str, Any] = manifest
        self._steps: dict[str, dict[str, Any]] = {}

    def step(self, name: str) -> dict[str, Any]:
        """A step's manifest."""
        if name not in self._steps:
            found = read_manifest(self.folder, name)
            if found is None:
                raise ReportError(
                    f"{self.folder}/{name}/{MANIFEST} is missing or damaged. Run `corpuscle run` again: "
                    "it makes what is missing and keeps the rest."
                )
            self._steps[name] = found
        return self._steps[name]

    def counts(self, step: str) -> dict[str, int]:
        """A step's counts: read, kept, removed..."""
        counts: dict[str, int] = self.step(step)["counts"]
        return counts

    @cached_property
    def rules(self) -> list[tuple[str, Rule]]:
        """The filter's thresholds with their blocks, in the order in which they were tried."""
        return [(block, Rule(**rule)) for block, rules in self.step("filter")["parameters"]["rules"] for rule in rules]

    def files(self, step: str, kind: str) -> list[str]:
        """The paths of a step's tables of one kind (`documents`, `removed`, `quarantine`)."""
        names = [file["name"] for file in self.step(step)["files"]]
        return [f"{self.folder}/{step}/{name}" for name in names if name.startswith(kind + "/")]

    def rows(self, step: str, kind: str) -> int:
        """How many rows a step's tables of one kind have."""
        return sum(file["rows"] for file in self.step(step)["files"] if file["name"].startswith(kind + "/"))

    def schema(self, step: str, kind: str) -> pa.Schema:
        """The columns of a step's tables of one kind; none where it left no table."""
        for path in self.files(step, kind):
            with _Reading(path), open_input(path) as file:
                return pq.read_schema(file)
        return pa.schema([])

    def batches(
        self, step: str, kind: str, columns: list[str], stride: int = 1
    ) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """Every `stride`-th row group of a step's tables of one kind."""
        number = 0
        for path in self.files(step, kind):
            with _Reading(path), open_input(path) as file:
                parquet = pq.ParquetFile(file)
                for group in range(parquet.num_row_groups):
                    if number % stride == 0:
                        for batch in read_group(parquet, group, columns).combine_chunks().to_batches():
                            yield Place(path, group), batch
                    number += 1

    def groups(self, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """One of the `files`, row group by row group."""
        with _Reading(path), open_input(path) as file:
            parquet = pq.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                yield from read_group(parquet, group, columns).combine_chunks().to_batches()

    def read_group(self, place: Place, columns: list[str]) -> pa.Table:
        """One row group again, with other columns."""
        with _Reading(place.path), open_input(place.path) as file:
            return read_group(pq.ParquetFile(file), place.group, columns)

    def text_bytes(self, step: str, kind: str) -> int:
        """UTF-8 bytes of the texts to about 1%, from the files' footers: no text is read.

        Parquet writes a text as four bytes of length and its bytes; headers and dictionary indices are the error.
        """
        total = 0
        for path in self.files(step, kind):
            with _Reading(path), open_input(path) as file:
                metadata = pq.read_metadata(file)
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                columns = (row_group.column(number) for number in range(row_group.num_columns))
                text = next(column for column in columns if column.path_in_schema == "text")
                total += max(0, text.total_uncompressed_size - 4 * row_group.num_rows)
        return total

    def urls(self, addresses: Iterable[int]) -> dict[int, str]:
        """The URLs of documents by their addresses, which the extract step's tables know."""
        wanted: Addresses = np.unique(np.fromiter(addresses, np.uint64))
        found: dict[int, str] = {}
        for kind in ("documents", "removed") if len(wanted) else ():
            for _, batch in self.batches("extract", kind, ["address", "url"]):
                hit = np.flatnonzero(np.isin(batch.column("address").to_numpy(), wanted))
                rows = batch.take(pa.array(hit))
                found |= dict(zip(rows.column("address").to_pylist(), rows.column("url").to_pylist(), strict=True))
        return found


class _Reading:
    """Says which file it was when reading fails."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | pa.ArrowException):
            raise ReportError(
                f"{self.path} can't be read: {error}. Run `corpuscle run` again: it makes what is missing."
            ) from error
