"""What a step leaves behind: files, a marker for each part, and a manifest that commits them.

A file that no manifest names does not exist. A part whose marker fits its fingerprint is not made again, which is
what makes a stopped run go on where it was.
"""

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

MANIFEST = "manifest.json"
ROWS_A_GROUP = 512
BYTES_A_GROUP = 8 << 20
"""Documents in a Parquet row group, and the bytes of text: what a later step holds in memory at once."""


def digest(value: object) -> str:
    """The SHA-256 of a JSON-like value in its canonical form, by which parameters are compared."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def is_local(path: str) -> bool:
    """Whether a path lies on this machine (and so can be renamed atomically and memory-mapped)."""
    return "://" not in path


def no_file_system(path: str) -> str:
    """Why a remote path can't be used here: Beam's extra for its scheme is not installed, say. "" if it can."""
    if is_local(path):
        return ""
    scheme = path.partition("://")[0]
    try:
        FileSystems.get_filesystem(path)
    except ValueError:
        extra = {"gs": "gcp", "s3": "aws", "hdfs": "hadoop", "azfs": "azure"}.get(scheme)
        remedy = f"install it: pip install 'apache-beam[{extra}]'" if extra else "expected a local path, gs:// or s3://"
        return f"no file system for {scheme}:// is installed here; {remedy}."
    return ""


def open_input(path: str) -> BinaryIO:
    """A file's bytes as they are stored: no decompression, local or remote."""
    file: BinaryIO = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def file_digest(path: str) -> str:
    """The SHA-256 of a file as it is stored."""
    sha256 = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
    return sha256.hexdigest()


@contextlib.contextmanager
def atomic(path: str) -> Iterator[IO[bytes]]:
    """A file that appears whole or not at all.

    Locally a temporary file is renamed; an object store shows an object only when it has been closed.
    """
    if not is_local(path):
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)  # noqa: PTH103, PTH120
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())  # a rename may outlive a power cut that its data does not
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def delete(path: str) -> None:
    """Remove a file if it is there."""
    if is_local(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
    elif FileSystems.exists(path):
        FileSystems.delete([path])


def touch(path: str) -> None:
    """Say that this run used a file, for whoever watches its progress. Local files only."""
    if is_local(path):
        os.utime(path)


def write_json(path: str, value: object) -> None:
    """One JSON document, written atomically."""
    with atomic(path) as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def read_json(path: str) -> Any:
    """A JSON document, or None where there is none or it is damaged (a marker cut short is no marker)."""
    try:
        if not is_local(path) and not FileSystems.exists(path):
            return None  # object stores have errors of their own for what is not there
        with open_input(path) as file:
            return json.load(file)
    except (OSError, ValueError, KeyError):
        return None


class HashingFile(io.RawIOBase, BinaryIO):
    """Passes what is written on to a file and keeps its SHA-256 and length; `rows` is for the writer to set."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256, self.length, self.rows = file, hashlib.sha256(), 0, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self.file.write(view)
        self.length += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.length


@dataclass(frozen=True)
class File:
    """A file of an artifact: its name below the step's folder, what is in it and its digest."""

    name: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Part:
    """What a step made of one input split: a few files, how many records went where, and why.

    `file` and `rows` say which records: the number of their archive in the run's order, and the range of rows in it.
    `extra` holds what only one step needs, `cost` the seconds and bytes that the work took (in the marker only).
    """

    step: str
    name: str
    fingerprint: str
    file: int = 0
    rows: tuple[int, int] = (0, 0)
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    folder: str = ""

    def path(self, kind: str) -> str:
        """Where the part's file of one kind (`documents`, `removed`, ...) lies, or the file of that very name."""
        for file in self.files:
            if file.name.split("/")[0] == kind:
                return f"{self.folder}/{self.step}/{file.name}"
        raise LookupError(f"{self.step}, {self.name}: it left no {kind}")

    @property
    def content(self) -> str:
        """A digest of what the part holds, which the next step's fingerprint takes in."""
        return digest([(file.name, file.sha256) for file in self.files])


def part_from_json(value: Mapping[str, Any], folder: str) -> Part:
    """A part as its marker describes it, in an output folder."""
    files = tuple(File(**file) for file in value["files"])
    return Part(**{**value, "files": files, "rows": tuple(value["rows"]), "folder": folder})


class PartWriter:
    """Writes one part: its tables, its counts, and at the end its marker, which is the part's commit."""

    def __init__(self, folder: str, step: str, name: str, fingerprint: str, file: int, rows: tuple[int, int]) -> None:
        self.folder, self.step, self.name, self.fingerprint = folder, step, name, fingerprint
        self.file, self.rows = file, rows
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.extra: dict[str, Any] = {}
        self._files: list[File] = []

    def path(self, name: str) -> str:
        """Where a file of this step lies."""
        return f"{self.folder}/{self.step}/{name}"

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[HashingFile]:
        """A file of any format, kept in the part's list with its digest."""
        with atomic(self.path(name)) as file:
            hashing = HashingFile(file)
            yield hashing
        self._files.append(File(name, hashing.sha256.hexdigest(), hashing.length, hashing.rows))

    @contextlib.contextmanager
    def table(self, folder: str, schema: pa.Schema) -> Iterator["TableWriter"]:
        """A Parquet table `<folder>/<part>.parquet`, written batch by batch; empty tables leave a file too."""
        with self.create(f"{folder}/{self.name}.parquet") as file:
            writer = TableWriter(file, schema)
            yield writer
            writer.close()
            file.rows = writer.rows

    def commit(self, cost: Mapping[str, float]) -> Part:
        """Write the marker."""
        part = Part(
            step=self.step,
            name=self.name,
            fingerprint=self.fingerprint,
            file=self.file,
            rows=self.rows,
            counts=dict(sorted(self.counts.items())),
            reasons=dict(sorted(self.reasons.items())),
            files=tuple(sorted(self._files, key=lambda file: file.name)),
            extra=self.extra,
            cost=cost,
            folder=self.folder,
        )
        marker = asdict(part)
        del marker["folder"]  # a corpus may be moved
        write_json(marker_path(self.folder, self.step, self.name), marker)
        return part


class TableWriter:
    """Gathers rows into groups of `ROWS_A_GROUP`, fewer where texts are long.

    Groups are cut by row, so a file's bytes do not depend on the batches in which its rows came.
    """

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self.schema, self.rows = schema, 0
        self._writer = pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd", compression_level=3)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add some rows; their columns are brought into the schema's order."""
        batch = batch.select(self.schema.names).cast(self.schema)
        start = 0
        for row, length in enumerate(self._text_bytes(batch)):
            self._waiting_rows += 1
            self._waiting_bytes += length
            if self._waiting_rows >= ROWS_A_GROUP or self._waiting_bytes >= BYTES_A_GROUP:
                self._waiting.append(batch.slice(start, row + 1 - start))
                self._flush()
                start = row + 1
        if start < batch.num_rows:
            self._waiting.append(batch.slice(start))
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write what is left and the Parquet footer."""
        if self._waiting_rows:
            self._flush()
        self._writer.close()

    def _text_bytes(self, batch: pa.RecordBatch) -> list[int]:
        if "text" not in self.schema.names:
            return [0] * batch.num_rows
        lengths: list[int] = pc.fill_null(pc.binary_length(batch.column("text")), 0).to_pylist()
        return lengths

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, self.schema).combine_chunks())
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0


def marker_path(folder: str, step: str, name: str) -> str:
    """Where a part's marker lies."""
    return f"{folder}/{step}/parts/{name}.json"


def is_whole(path: str, length: int) -> bool:
    """Whether a file is there and as long as it was when it was written."""
    if is_local(path):
        return os.path.isfile(path) and os.path.getsize(path) == length  # noqa: PTH113, PTH202
    found = FileSystems.match([path])[0].metadata_list
    return len(found) == 1 and found[0].size_in_bytes == length


def finished_part(folder: str, step: str, name: str, fingerprint: str) -> Part | None:
    """The part, if an earlier run made it from the same input with the same parameters."""
    marker = read_json(marker_path(folder, step, name))
    if marker is None or marker.get("fingerprint") != fingerprint:
        return None
    part = part_from_json(marker, folder)
    return part if all(is_whole(f"{folder}/{step}/{file.name}", file.bytes) for file in part.files) else None


def read_batches(path: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A Parquet file's row groups, one batch each, in bounded memory."""
    with open_input(path) as file:
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            yield from read_group(parquet, group, columns).combine_chunks().to_batches()


def read_group(parquet: pq.ParquetFile, group: int, columns: list[str] | None = None) -> pa.Table:
    """One row group, decoded by this thread: a thread of Arrow's that still holds a buffer of Python's while the
    interpreter ends takes the process with it ("terminate called without an active exception", on busy machines)."""
    return parquet.read_row_group(group, columns=columns, use_threads=False)


def read_schema(path: str) -> pa.Schema:
    """The columns of a Parquet file."""
    with open_input(path) as file:
        return pq.read_schema(file)


def sum_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts added up, by name."""
    total: Counter[str] = Counter()
    for counts in parts:
        total.update(counts)
    return dict(sorted(total.items()))
