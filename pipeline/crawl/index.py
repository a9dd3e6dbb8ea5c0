"""The first look at an archive: where its records are, what their payloads' digests are, what can't be read.

It is cheap (inflating and hashing) and it is what makes even splits and exact duplicates possible before any page is
parsed.
"""

import hashlib
from typing import Any

import pyarrow as pa

from pipeline.artifact import Part, PartWriter, file_digest, open_input
from pipeline.crawl.http import payload_of, reading_of
from pipeline.crawl.warc import Ignored, Record, Unreadable, read_warc

RECORDS = pa.schema(
    [
        ("row", pa.uint32()),
        ("offset", pa.int64()),
        ("seekable", pa.bool_()),
        ("kind", pa.string()),
        ("record_id", pa.string()),
        ("url", pa.string()),
        ("twin_key", pa.binary(32)),
        ("payload_bytes", pa.int64()),
    ]
)
QUARANTINE = pa.schema(
    [
        ("warc_file", pa.string()),
        ("row", pa.uint32()),
        ("warc_offset", pa.int64()),
        ("length", pa.int64()),
        ("url", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)
"""A record or span that could not be read: where it is, and what was wrong."""

ROWS_AT_ONCE = 1000
VERSION = 2


class IndexStep:
    """One archive -> a table of its records. The source part's only file is the archive itself."""

    name = "index"

    def __init__(self, max_record_bytes: int) -> None:
        self.max_record_bytes = max_record_bytes

    def parameters(self) -> dict[str, Any]:
        return {"version": VERSION, "max_record_bytes": self.max_record_bytes}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        path, name = source.extra["path"], source.extra["warc_file"]
        sha256 = file_digest(path)
        stop = 0
        with (
            open_input(path) as file,
            writer.table("records", RECORDS) as records,
            writer.table("quarantine", QUARANTINE) as quarantine,
        ):
            waiting: list[dict[str, Any]] = []
            for event in read_warc(file, max_record_bytes=self.max_record_bytes):
                if isinstance(event, Ignored):
                    writer.counts["ignored"] += 1
                    continue
                writer.counts["read"] += 1
                stop = event.row + 1
                if isinstance(event, Unreadable):
                    writer.counts["quarantined"] += 1
                    writer.reasons[event.reason] += 1
                    quarantine.write(_quarantined(name, event))
                    continue
                writer.counts["kept"] += 1
                waiting.append(_indexed(event))
                if len(waiting) == ROWS_AT_ONCE:
                    records.write(pa.RecordBatch.from_pylist(waiting, RECORDS))
                    waiting.clear()
            records.write(pa.RecordBatch.from_pylist(waiting, RECORDS))
        writer.extra.update(path=path, warc_file=name, sha256=sha256, rows=stop, bytes=source.files[0].bytes)


def twin_key(record: Record) -> bytes:
    """What two records must share for one to stand for the other: payload, status, type, charset and codings.

    The payload alone is not enough: a page must not go because an error page before it had the same body.
    """
    sha256 = hashlib.sha256(repr(reading_of(record)).encode())
    sha256.update(b"\0")
    sha256.update(payload_of(record))
    return sha256.digest()


def _indexed(record: Record) -> dict[str, Any]:
    payload = payload_of(record)
    return {
        "row": record.row,
        "offset": record.offset,
        "seekable": record.seekable,
        "kind": record.kind,
        "record_id": record.record_id,
        "url": record.url,
        "twin_key": twin_key(record),
        "payload_bytes": len(payload),
    }


def _quarantined(warc_file: str, event: Unreadable) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "warc_file": warc_file,
                "row": event.row,
                "warc_offset": event.offset,
                "length": event.length,
                "url": None,
                "reason": event.reason,
                "error": event.error,
            }
        ],
        QUARANTINE,
    )
