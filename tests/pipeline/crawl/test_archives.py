"""Archives that 22 projects test their readers with, and a crawl of real pages: nothing is lost, nothing raises."""

import hashlib
import io
from collections import Counter
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipeline.crawl.http import decode_text, parse_response, payload_of
from pipeline.crawl.records import Event
from pipeline.crawl.warc import Ignored, Record, Unreadable, read_warc, verify_digest

NO_EVENTS = {"invalid-empty.warc", "invalid-warcheaderversion-20.warc"}
"""Nothing but line ends, or nothing."""

WARCIO_PASSES_OVER = {"valid-warcfile-upper-lower-case.warc": 2}
"""Records that warcio 1.8 leaves out without an error: their version is in lower case, which the suite calls valid."""


@pytest.fixture(scope="module")
def archives(shared_data: Path) -> list[Path]:
    files = sorted(path for path in (shared_data / "archives").rglob("*") if path.is_file())
    assert len(files) == 169
    return files


def events_of(path: Path, **options: int) -> list[Event]:
    with path.open("rb") as file:
        return list(read_warc(file, **options))


def short_name(path: Path) -> str:
    return path.name.rsplit("__", 1)[-1]


def test_every_file_has_a_record_a_span_or_ignored_records(archives: list[Path]) -> None:
    assert {short_name(path) for path in archives if not events_of(path)} == NO_EVENTS


def test_what_the_files_hold(archives: list[Path]) -> None:
    counts = Counter(
        event.reason if isinstance(event, Unreadable) else type(event).__name__
        for path in archives
        for event in events_of(path)
    )
    assert counts == {
        "Record": 1003,
        "Ignored": 1618,
        "truncated": 33,
        "bad_record": 26,
        "arc": 8,
        "not_warc": 5,
        "wacz": 2,
    }


def test_rows_are_counted_and_spans_lie_within_the_file(archives: list[Path]) -> None:
    for path in archives:
        events, size = events_of(path), path.stat().st_size
        rows = [event.row for event in events if not isinstance(event, Ignored)]
        assert rows == list(range(len(rows)))
        assert [e.offset for e in events] == sorted(e.offset for e in events)
        for event in events:
            if isinstance(event, Unreadable):
                assert event.length is None or 0 < event.length <= size - event.offset
                assert event.error


def test_reading_can_begin_at_every_seekable_record(archives: list[Path]) -> None:
    for path in archives:
        events = events_of(path)
        starts = [i for i, event in enumerate(events) if isinstance(event, Record) and event.seekable]
        for i in starts if len(starts) < 20 else starts[:: len(starts) // 8]:
            start = events[i]
            assert isinstance(start, Record)
            assert events_of(path, offset=start.offset, row=start.row) == events[i:], (path, i)


def test_all_records_are_seekable_but_those_of_a_file_that_is_one_gzip_member(archives: list[Path]) -> None:
    unseekable = {
        path for path in archives for event in events_of(path) if isinstance(event, Record) and not event.seekable
    }
    assert {short_name(path) for path in unseekable} == {"skip-non-open.warc.gz", "unparsable-date.warc.gz"}


def warcio_blocks(path: Path) -> tuple[list[str], bool]:
    """The SHA-1 of each capture's block as warcio reads it, and whether it came to the end without complaint."""
    blocks = []
    with path.open("rb") as file:
        iterator = ArchiveIterator(file, no_record_parse=True)
        try:
            for record in iterator:
                block = record.raw_stream.read()
                if record.rec_type in ("response", "resource", "conversion"):
                    blocks.append(hashlib.sha1(block).hexdigest())
        except (ArchiveLoadFailed, EOFError, ValueError, IndexError):
            return blocks, False
    return blocks, iterator.err_count == 0


def test_what_warcio_reads_is_read_alike_or_lies_in_a_span(
    archives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    compared = 0
    for path in archives:
        if ".arc" in path.suffixes or path.suffix in (".lz4", ".wacz"):
            continue  # warcio reads ARC and no lz4; a WACZ is refused by both
        events = events_of(path)
        mine = [hashlib.sha1(e.block).hexdigest() for e in events if isinstance(e, Record)]
        unreadable = sum(isinstance(e, Unreadable) for e in events)
        theirs, is_clean = warcio_blocks(path)
        if is_clean and not unreadable:
            compared += 1
            surplus = WARCIO_PASSES_OVER.get(short_name(path), 0)
            assert len(mine) == len(theirs) + surplus, path
            assert Counter(theirs) <= Counter(mine), path
            assert surplus or mine == theirs, path
        elif is_clean:  # warcio gives a record that is cut off as if it were whole
            assert Counter(mine) <= Counter(theirs), path
            assert len(mine) + unreadable >= len(theirs), path
    capsys.readouterr()  # warcio prints its complaints
    assert compared == 100


def test_payloads_decode_and_their_digests_are_right(archives: list[Path], shared_data: Path) -> None:
    verified: Counter[bool | None] = Counter()
    crawl = sorted((shared_data / "crawl").glob("*.warc.gz"))[:1]
    for path in [*archives, *crawl]:
        for event in events_of(path):
            if not isinstance(event, Record) or not event.is_http:
                continue
            payload = parse_response(event.block, max_body_bytes=16 << 20)
            assert payload.error is None, (path, event.offset)
            assert payload.raw == payload_of(event)
            verified[verify_digest(event.declared_digest, payload.raw, payload.body)] += 1
            text, charset = decode_text(payload.body, payload.charset, payload.content_type == "text/html")
            assert charset
            text.encode()
    # Most of the 44 that are wrong are pages that a project wrote by hand, with any digest.
    assert (verified[True] > 1000, verified[False]) == (True, 44)


def test_a_crawl_is_read_without_a_span_and_in_pieces_as_in_one(shared_data: Path) -> None:
    paths = sorted((shared_data / "crawl").glob("*.warc.gz"))
    records = [event for path in paths for event in events_of(path) if isinstance(event, Record)]
    assert len(records) == 2918
    assert all(record.seekable and record.declared_digest for record in records)
    whole = paths[0].read_bytes()
    events = list(read_warc(io.BytesIO(whole)))
    assert not any(isinstance(event, Unreadable) for event in events)
    middle = events[len(events) // 2]
    assert isinstance(middle, Record)
    first = list(read_warc(io.BytesIO(whole), stop=middle.row))
    second = list(read_warc(io.BytesIO(whole), offset=middle.offset, row=middle.row))
    assert first + second == events
