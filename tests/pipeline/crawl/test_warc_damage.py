"""What becomes of damaged and of huge records: a span that says why, and the next one is read."""

import gzip
import io
import random
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl.decoded import Members
from pipeline.crawl.members import Raw, gzip_codec
from pipeline.crawl.records import CarefulReader, Event, row_numbers
from pipeline.crawl.warc import Ignored, Unreadable, read_warc
from tests.pipeline.crawl.warc_files import (
    RECORDS,
    WAYS,
    Dribble,
    by_hand,
    gz,
    ids,
    lz4,
    one_member,
    pages,
    plain,
    read,
    record,
    restarts,
    spans,
    zstd,
)

# ---- damage ---------------------------------------------------------------------------------------


def test_a_file_cut_off_in_its_last_member_keeps_the_records_before() -> None:
    stored = [gzip.compress(page) for page in pages(4)]
    whole, last = b"".join(stored[:3]), stored[3]
    for cut in range(1, len(last)):
        events = read(whole + last[:cut])
        complete = ids(events)[3:]  # only the member's trailer, or the line ends behind the block, are missing
        assert ids(events)[:3] == ["00000000", "00000001", "00000002"]
        reason = "bad_gzip" if cut < 4 else "truncated"  # less than a magic number is no member at all
        assert spans(events) == [(reason, len(whole), cut)]
        assert complete == [] or cut > len(last) - 20


def test_a_plain_file_cut_off_in_its_last_record_keeps_the_records_before() -> None:
    [first, second] = pages(2)
    events = read(first + second[:-9])
    assert ids(events) == ["00000000"]
    assert spans(events) == [("truncated", len(first), len(second) - 9)]


def test_only_the_line_ends_may_be_missing_at_the_end() -> None:
    assert ids(read(record(1)[:-4])) == ids(read(gzip.compress(record(1)[:-4]))) == ["00000001"]


def test_a_wrong_checksum_makes_a_record_unreadable() -> None:
    stored = [gzip.compress(page) for page in pages(3)]
    stored[1] = stored[1][:-8] + b"\0\0\0\0" + stored[1][-4:]
    events = read(b"".join(stored))
    assert ids(events) == ["00000000", "00000002"]
    assert spans(events) == [("bad_gzip", len(stored[0]), len(stored[1]))]


@pytest.mark.parametrize("junk", [b"junk", b"\0" * 1000, b"\x1f\x8b\x08\x00junk", b"line\r\n" * 30_000])
def test_junk_between_members_is_one_span(junk: bytes) -> None:
    stored = [gzip.compress(page) for page in pages(4)]
    events = read(stored[0] + stored[1] + junk + stored[2] + junk + stored[3])
    assert ids(events) == ["00000000", "00000001", "00000002", "00000003"]
    at = len(stored[0]) + len(stored[1])
    assert spans(events) == [("bad_gzip", at, len(junk)), ("bad_gzip", at + len(junk) + len(stored[2]), len(junk))]
    assert [e.row for e in events if not isinstance(e, Ignored)] == list(range(6))


def test_a_member_cut_off_before_another_does_not_swallow_it() -> None:
    stored = [gzip.compress(record(n, random.Random(n).randbytes(3000))) for n in range(3)]
    events = read(stored[0][:2000] + stored[1] + stored[2])
    assert ids(events) == ["00000001", "00000002"]
    assert [span[1:] for span in spans(events)] == [(0, 2000)]


def test_an_empty_member_is_nothing() -> None:
    stored = [gzip.compress(page) for page in pages(3)]
    events = read(stored[0] + gzip.compress(b"") + stored[1] + gzip.compress(b"\r\n\r\n") + stored[2])
    assert ids(events) == ["00000000", "00000001", "00000002"]
    assert spans(events) == []


def test_a_member_that_is_no_record_is_one_span() -> None:
    stored = [gzip.compress(page) for page in [record(0), b"some text\n\nmore\n", record(1)]]
    events = read(b"".join(stored))
    assert ids(events) == ["00000000", "00000001"]
    assert spans(events) == [("bad_record", len(stored[0]), len(stored[1]))]


def test_a_damaged_beginning_does_not_hide_the_rest() -> None:
    compressed, uncompressed = gz(pages(3)), plain(pages(3))
    assert ids(read(b"XX" + compressed[2:])) == ids(read(b"XX" + uncompressed[2:])) == ["00000001", "00000002"]


def with_length(page: bytes, length: int | str) -> bytes:
    head, block = page.split(b"\r\n\r\n", 1)
    lines = [b"Content-Length: %b" % str(length).encode() if b"Content-Length" in x else x for x in head.split(b"\r\n")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + block


@pytest.mark.parametrize("way", [plain, gz, one_member, lz4, zstd])
@pytest.mark.parametrize("length", [100, 900, 10**7, 10**17, "-1", "many", ""])
def test_a_record_of_a_wrong_length_is_a_span_and_the_next_is_read(way: Callable[..., bytes], length: int) -> None:
    stored = [record(0), with_length(record(1), length), record(2), record(3)]
    events = read(way(stored))
    [(reason, offset, _)] = spans(events)
    assert reason == "bad_record" or (way is one_member and length in (10**7, 10**17))
    if way is not one_member:
        assert offset == len(way(stored[:1]))
    if way is one_member and length in (10**7, 10**17):
        assert ids(events) == ["00000000"]  # over the limit, so what it would swallow cannot be read again
    else:
        assert ids(events) == ["00000000", "00000002", "00000003"]


def test_a_record_without_a_length_or_a_type_is_a_span() -> None:
    for head in ("WARC-Type: response", "Content-Length: LENGTH"):
        for way in (plain, gz, one_member):
            events = read(way([record(0), by_hand(head), record(1)]))
            assert ids(events) == ["00000000", "00000001"]
            assert [reason for reason, _, _ in spans(events)] == ["bad_record"]


def test_a_header_without_an_end_is_a_span() -> None:
    endless = b"WARC/1.0\r\nWARC-Type: response\r\nX: " + b"x" * 400_000
    for way in (plain, gz, one_member):
        events = read(way([record(0), endless + b"\r\n", record(1)]))
        assert ids(events) == ["00000000", "00000001"]
        assert [reason for reason, _, _ in spans(events)] == ["bad_record"]


def test_a_page_that_quotes_a_record_is_still_one_page() -> None:
    quoting = record(1, b"<pre>\n" + record(5) + b"</pre>")
    for way in WAYS[:4]:
        assert ids(read(way([record(0), quoting, record(2)]))) == ["00000000", "00000001", "00000002"]


# ---- memory ---------------------------------------------------------------------------------------


LIMIT = 1 << 20


@pytest.mark.parametrize("way", WAYS[:6])
def test_a_record_over_the_limit_is_a_span_and_the_next_is_read(way: Callable[[list[bytes]], bytes]) -> None:
    head = len(record(1, b"").split(b"\r\n\r\n", 1)[1]) - 4
    small, large = (record(1, b"x" * (LIMIT - head + more)) for more in (0, 1))
    assert spans(read(way([record(0), small, record(2)]), max_record_bytes=LIMIT)) == []
    events = read(way([record(0), large, record(2)]), max_record_bytes=LIMIT)
    assert ids(events) == ["00000000", "00000002"]
    assert [reason for reason, _, _ in spans(events)] == ["oversized"]
    restarts(way([record(0), large, record(2)]), max_record_bytes=LIMIT)


def bomb(head: bytes, megabytes: int) -> bytes:
    """A gzip member that inflates to `head` and megabytes of one letter."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [deflate.compress(head), *(deflate.compress(b"A" * 1_000_000) for _ in range(megabytes)), deflate.flush()]
    return b"".join(parts)


@pytest.mark.parametrize(
    "head",
    [
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 100000000\r\n\r\n",  # as long as it says
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 10\r\n\r\n",  # far longer
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 900000\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: response\r\nX: ",  # a header without an end
        b"",
    ],
)
def test_memory_is_bounded_whatever_a_member_inflates_to(head: bytes) -> None:
    stored = gz(pages(2)) + bomb(head, 100) + gz(pages(2, first=2))
    tracemalloc.start()
    events = read(stored, max_record_bytes=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ids(events) == ["00000000", "00000001", "00000002", "00000003"]
    assert len(spans(events)) == 1
    assert peak < 4 * LIMIT


def test_a_bomb_that_lies_in_a_plain_file_is_passed_over() -> None:
    stored = plain([record(0), with_length(record(1), 10**12), record(2), record(3, b"y" * 5 * LIMIT), record(4)])
    events = read(stored, max_record_bytes=LIMIT)
    assert ids(events) == ["00000000", "00000002", "00000004"]
    assert [reason for reason, _, _ in spans(events)] == ["bad_record", "oversized"]


# ---- any damage at all ----------------------------------------------------------------------------


def carefully(stored: bytes) -> list[Event]:
    """The twin of the quick reader: zlib and Python alone."""
    raw = Raw(io.BytesIO(stored))
    reader = CarefulReader(Members(raw, gzip_codec(), 0), raw.size, row_numbers(0), 8 << 20)
    return list(iter(reader.next_event, None))


MEMBERS = [gzip.compress(record(n, random.Random(n).randbytes(40 * n)), mtime=0) for n in range(8)]
STARTS = [sum(map(len, MEMBERS[:n])) for n in range(9)]
FIRST = 12
"""The gzip magic number and the rest of the first header stay, or the file would be of another kind."""


@st.composite
def damage(draw: st.DrawFn) -> tuple[int, int, bytes]:
    """(start, end, replacement) of a stretch of the archive."""
    start = draw(st.integers(FIRST, STARTS[-1] - 1))
    end = min(STARTS[-1], start + draw(st.sampled_from([0, 1, 2, 30, 700])))
    others = [
        b"",
        b"\0",
        b"\x1f\x8b\x08\0",
        MEMBERS[3],
        MEMBERS[1][:60],
        b"\r\nWARC/1.0\r\n",
        gzip.compress(b"WARC/1.0", mtime=0),
    ]
    return start, end, draw(st.one_of(st.binary(max_size=8), st.sampled_from(others)))


@settings(max_examples=300, deadline=None)
@given(damage())
def test_whatever_is_damaged_intact_records_are_read_or_lie_in_a_span(stretch: tuple[int, int, bytes]) -> None:
    start, end, replacement = stretch
    whole = b"".join(MEMBERS)
    stored = whole[:start] + replacement + whole[end:]
    events = read(stored)
    assert events == carefully(stored)
    assert events == list(read_warc(Dribble(stored)))
    assert [e.row for e in events if not isinstance(e, Ignored)] == list(range(len(events)))
    moved = len(replacement) - (end - start)
    for n, (at, behind) in enumerate(pairwise(STARTS)):
        if behind <= start:
            assert f"{n:08}" in ids(events)
        if at >= end:
            assert f"{n:08}" in ids(events) or any(_covers(e, at + moved) for e in events)
    restarts(stored)


def _covers(event: Event, at: int) -> bool:
    return (
        isinstance(event, Unreadable)
        and event.offset <= at
        and (event.length is None or at < event.offset + event.length)
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(WAYS))
def test_arbitrary_bytes_end_in_events(junk: bytes, way: Callable[[list[bytes]], bytes]) -> None:
    for stored in (junk, way([RECORDS[1]])[:40] + junk, way([RECORDS[1], junk, RECORDS[2]]) + junk):
        events = read(stored)
        assert events == read(stored)
        rows = [e.row for e in events if not isinstance(e, Ignored)]
        assert rows == list(range(len(rows)))
