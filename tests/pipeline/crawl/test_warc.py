"""Reading archives: what a record is, what becomes of everything else, and that reading can begin anywhere."""

import gzip
import hashlib
import io
import random
import tracemalloc
import zlib
from base64 import b32encode
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter, zstd_train_dictionary_from_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.crawl.decoded import Members
from pipeline.crawl.members import Raw, gzip_codec
from pipeline.crawl.records import CarefulReader, Event, row_numbers
from pipeline.crawl.warc import Ignored, Record, Unreadable, file_kind, read_warc, verify_digest

DATE = "2024-05-06T07:08:09Z"


def record(n: int, body: bytes | None = None, kind: str = "response") -> bytes:
    """One record as warcio writes it, uncompressed."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    body = (b"<p>Page %d. " % n) * (n % 7 * 40 + 3) if body is None else body
    http = {
        "response": StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1"),
        "revisit": StatusAndHeaders("200 OK", [], protocol="HTTP/1.1"),
        "request": StatusAndHeaders("GET / HTTP/1.1", [("Host", "example.org")], is_http_request=True),
    }
    fields = {"WARC-Record-ID": f"<urn:uuid:{n:08}>", "WARC-Date": DATE}
    if kind == "warcinfo":
        made = writer.create_warcinfo_record("test.warc", {"software": "test"})
    else:
        made = writer.create_warc_record(
            f"https://example.org/{n}",
            kind,
            payload=io.BytesIO(body),
            http_headers=http.get(kind),
            warc_headers_dict=fields,
        )
    writer.write_record(made)
    return out.getvalue()


def pages(count: int, first: int = 0) -> list[bytes]:
    return [record(n) for n in range(first, first + count)]


def by_hand(head: str, block: bytes = b"HTTP/1.1 200 OK\r\n\r\nhello") -> bytes:
    """A record whose header lines are given; LENGTH stands for the block's."""
    lines = head.replace("LENGTH", str(len(block))).split("\n")
    return "\r\n".join(["WARC/1.0", *lines, "", ""]).encode("utf-8", "surrogateescape") + block + b"\r\n\r\n"


class Kept(io.BytesIO):
    """fastwarc's writers close what they write to."""

    def close(self) -> None:
        pass


def framed(writer: Callable[..., object], data: bytes, **options: object) -> bytes:
    out = Kept()
    stream = writer(out, **options)
    stream.write(data)  # type: ignore[attr-defined]
    stream.close()  # type: ignore[attr-defined]
    return out.getvalue()


def gz(records: list[bytes]) -> bytes:
    return b"".join(map(gzip.compress, records))


def read(stored: bytes, **options: int) -> list[Event]:
    return list(read_warc(io.BytesIO(stored), **options))


def ids(events: list[Event]) -> list[str]:
    return [event.record_id[-9:-1] for event in events if isinstance(event, Record)]


def spans(events: list[Event]) -> list[tuple[str, int, int | None]]:
    return [(event.reason, event.offset, event.length) for event in events if isinstance(event, Unreadable)]


def one(events: list[Event]) -> Record:
    [event] = events
    assert isinstance(event, Record)
    return event


# ---- what a record is ---------------------------------------------------------------------------


def test_a_response_has_its_fields_and_its_block() -> None:
    stored = record(7)
    got = one(read(stored))
    assert (got.row, got.offset, got.seekable, got.kind) == (0, 0, True, "response")
    assert (got.url, got.date, got.record_id) == ("https://example.org/7", DATE, "<urn:uuid:00000007>")
    assert got.content_type == "application/http; msgtype=response"
    assert got.is_http
    assert got.truncated is None
    assert got.declared_digest is not None
    assert got.block == stored.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n\r\n")


def test_requests_and_metadata_are_ignored_and_are_no_rows() -> None:
    kinds = ["warcinfo", "request", "metadata", "revisit", "conversion", "resource"]
    events = read(gz([record(n, kind=kind) for n, kind in enumerate(kinds)]))
    assert [e.kind for e in events if isinstance(e, Ignored)] == kinds[:4]
    assert [(e.row, e.kind) for e in events if isinstance(e, Record)] == [(0, "conversion"), (1, "resource")]


def test_an_unknown_type_is_ignored_as_the_standard_says() -> None:
    assert read(by_hand("WARC-Type: holiday\nContent-Length: LENGTH")) == [Ignored(0, "unknown")]


def test_a_resource_is_not_http_even_if_it_looks_so() -> None:
    assert not one(read(by_hand("WARC-Type: resource\nContent-Type: message/http\nContent-Length: LENGTH"))).is_http


def test_a_response_to_a_dns_query_is_not_http() -> None:
    stored = by_hand("WARC-Type: response\nContent-Type: text/dns\nContent-Length: LENGTH", b"20240101\nexample.org.")
    assert not one(read(stored)).is_http


def test_missing_fields_are_empty_and_http_is_told_by_the_block() -> None:
    got = one(read(by_hand("WARC-Type: response\nContent-Length: LENGTH")))
    assert (got.url, got.date, got.content_type, got.declared_digest) == ("", "", "", None)
    assert got.is_http


def test_a_made_up_id_is_the_same_in_another_file_and_compression() -> None:
    fields = ["WARC-Type: response", "WARC-Target-URI: http://a.b/", "Content-Length: LENGTH"]
    here = by_hand("\n".join(["WARC-Warcinfo-ID: <urn:x:1>", *fields]))
    there = by_hand("\n".join(["WARC-Warcinfo-ID: <urn:x:2>", *reversed(fields)]))
    first, second = (one(read(s)).record_id for s in (here, gzip.compress(there)))
    assert first == second
    assert first.startswith("urn:corpuscle:")
    other = by_hand("\n".join(fields), b"HTTP/1.1 200 OK\r\n\r\nsomething else")
    assert one(read(other)).record_id != first


def test_wget_writes_urls_in_angle_brackets() -> None:
    stored = by_hand("WARC-Type: response\nWARC-Target-URI: <http://a.b/c>\nContent-Length: LENGTH")
    assert one(read(stored)).url == "http://a.b/c"


def test_the_first_of_repeated_fields_counts_and_folded_lines_are_joined() -> None:
    head = "WARC-Type: response\nWARC-Target-URI: http://first/\nWARC-Target-URI: http://second/\n  folded"
    got = one(read(by_hand(head + "\nWARC-Date:\n \t2020-01-01\nContent-Length:\n LENGTH\nno colon here")))
    assert (got.url, got.date) == ("http://first/", "2020-01-01")


def test_bad_utf8_in_a_field_becomes_the_replacement_character() -> None:
    stored = by_hand("WARC-Type: response\nWARC-Target-URI: http://a/\udcff\nContent-Length: LENGTH")
    assert one(read(stored)).url == "http://a/\ufffd"


def test_a_first_segment_is_marked_as_such() -> None:
    stored = by_hand("WARC-Type: response\nWARC-Segment-Number: 1\nContent-Length: LENGTH")
    assert one(read(stored)).truncated == "segmented"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\r\n"])
def test_other_line_ends_in_headers_are_read(line_end: bytes) -> None:
    stored = b""
    for page in pages(3):
        head, block = page.split(b"\r\n\r\n", 1)
        stored += head.replace(b"\r\n", line_end) + 2 * line_end + block
    assert ids(read(stored)) == ids(read(gzip.compress(stored))) == ["00000000", "00000001", "00000002"]


def test_lower_case_versions_and_types_are_read() -> None:
    stored = by_hand("WARC-Type: RESPONSE\nContent-Length: LENGTH").replace(b"WARC/1.0", b"warc/1.0")
    assert [one(read(s)).kind for s in (stored, gzip.compress(stored))] == ["response"] * 2


# ---- compressions -------------------------------------------------------------------------------


def plain(records: list[bytes]) -> bytes:
    return b"".join(records)


def one_member(records: list[bytes]) -> bytes:
    return gzip.compress(plain(records))


def blocks(records: list[bytes]) -> bytes:
    """bgzip: members of a fixed length that records begin and end in the midst of."""
    data = plain(records)
    return gz([data[i : i + 500] for i in range(0, len(data), 500)])


def lz4(records: list[bytes]) -> bytes:
    return b"".join(framed(Lz4Writer, r) for r in records)


def zstd(records: list[bytes]) -> bytes:
    return b"".join(framed(ZstdWriter, r) for r in records)


def zstd_with_dictionary(records: list[bytes]) -> bytes:
    dictionary = zstd_train_dictionary_from_samples(records * 20, 2000)
    frames = [framed(ZstdWriter, r, dictionary=dictionary, compress_dictionary_frame=True) for r in records]
    bare = [frame[8 + int.from_bytes(frame[4:8], "little") :] for frame in frames]
    return frames[0] + b"".join(bare[1:])


WAYS = [plain, gz, one_member, blocks, lz4, zstd, zstd_with_dictionary]
RECORDS = [record(0, kind="warcinfo"), *pages(9), record(90, kind="request"), *pages(3, first=20)]
SEEKABLE = [plain, gz, lz4, zstd, zstd_with_dictionary]


@pytest.mark.parametrize("way", WAYS)
def test_every_compression_holds_the_same_records(way: Callable[[list[bytes]], bytes]) -> None:
    events = read(way(RECORDS))
    assert spans(events) == []
    assert [e.block for e in events if isinstance(e, Record)] == [
        e.block for e in read(plain(RECORDS)) if isinstance(e, Record)
    ]
    assert [e.seekable for e in events if isinstance(e, Record)].count(True) == (12 if way in SEEKABLE else 0)


def restarts(stored: bytes, **options: int) -> int:
    """Reading from every seekable record gives what reading from the start gave. Returns how many there are."""
    events = read(stored, **options)
    places = [i for i, event in enumerate(events) if isinstance(event, Record) and event.seekable]
    for i in places:
        assert read(stored, offset=events[i].offset, row=events[i].row, **options) == events[i:]
    return len(places)


@pytest.mark.parametrize("way", WAYS)
def test_reading_can_begin_at_every_seekable_record(way: Callable[[list[bytes]], bytes]) -> None:
    assert restarts(way(RECORDS)) == (12 if way in SEEKABLE else 0)


@pytest.mark.parametrize("way", WAYS)
def test_splits_have_every_event_once(way: Callable[[list[bytes]], bytes]) -> None:
    stored = way([*RECORDS[:5], b"junk\r\n\r\n", *RECORDS[5:]])
    events = read(stored)
    starts = [e for e in events if isinstance(e, Record) and e.seekable][2::3]
    cuts = [(0, 0), *[(e.offset, e.row) for e in starts], (-1, len(events))]
    split = [read(stored, offset=at, row=row, stop=stop) for (at, row), (_, stop) in pairwise(cuts)]
    assert [event for part in split for event in part] == events


class Dribble(io.BytesIO):
    """A stream that returns less than it is asked for, as sockets do."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._random = random.Random(1)

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._random.randint(1, size) if size else size)


@pytest.mark.parametrize("way", WAYS)
def test_short_reads_change_nothing(way: Callable[[list[bytes]], bytes]) -> None:
    stored = way(RECORDS)
    for damaged in (stored, stored[:-9], stored[:300] + b"\xff" * 9 + stored[309:]):
        assert list(read_warc(Dribble(damaged))) == read(damaged)


class Vanishing(io.BytesIO):
    """A disk that goes away."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = 3

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_of_the_stream_itself_is_raised(way: Callable[[list[bytes]], bytes]) -> None:
    with pytest.raises(OSError, match="Input/output"):
        list(read_warc(Vanishing(way([record(n, random.Random(n).randbytes(90_000)) for n in range(4)]))))


# ---- damage -------------------------------------------------------------------------------------


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


# ---- other files --------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [b"", b"\r\n"])
def test_an_empty_file_has_no_events(stored: bytes) -> None:
    assert read(stored) == []


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"<html>no archive</html>", "not_warc"),
        (gzip.compress(b"<html>no archive</html>"), "not_warc"),
        (b"\n".join([b"text"] * 50_000), "not_warc"),
        (random.Random(1).randbytes(300_000), "not_warc"),
        (b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 InternetArchive\n", "arc"),
        (gzip.compress(b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n"), "arc"),
        (b"PK\x03\x04" + b"\0" * 99, "wacz"),
    ],
)
def test_a_file_that_is_no_warc_is_one_span(stored: bytes, reason: str) -> None:
    assert spans(read(stored)) == [(reason, 0, len(stored))]


def test_an_arc_file_says_how_to_convert_it() -> None:
    [event] = read(b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n")
    assert isinstance(event, Unreadable)
    assert "warcio recompress in.arc.gz out.warc.gz" in event.error


def test_kinds_are_told_by_the_first_bytes() -> None:
    files = {way.__name__: way(RECORDS) for way in WAYS}
    assert {name: file_kind(stored[:1024]) for name, stored in files.items()} == {
        "plain": "warc",
        "gz": "gzip",
        "one_member": "gzip",
        "blocks": "gzip",
        "lz4": "lz4",
        "zstd": "zstd",
        "zstd_with_dictionary": "zstd",
    }
    assert [file_kind(head) for head in (b"", b"hello", b"\x1f\x8b\x08\x00")] == ["empty", "unknown", "gzip"]


# ---- memory -------------------------------------------------------------------------------------

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


# ---- any damage at all --------------------------------------------------------------------------


def carefully(stored: bytes) -> list[Event]:
    """The twin of the quick reader: zlib and Python alone."""
    raw = Raw(io.BytesIO(stored))
    reader = CarefulReader(Members(raw, gzip_codec(), 0), raw.size, row_numbers(0), 8 << 20)
    return list(iter(reader.next_event, None))


MEMBERS = [gzip.compress(record(n, random.Random(n).randbytes(40 * n))) for n in range(8)]
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
        gzip.compress(b"WARC/1.0"),
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


# ---- digests ------------------------------------------------------------------------------------


def sha1(data: bytes) -> str:
    return "sha1:" + b32encode(hashlib.sha1(data).digest()).decode()


def digests(data: bytes) -> Iterator[str]:
    yield sha1(data)
    yield sha1(data).lower()
    yield sha1(data).replace("sha1", "SHA-1")
    yield "sha1:" + hashlib.sha1(data).hexdigest().upper()
    yield "sha256:" + hashlib.sha256(data).hexdigest()
    yield "sha256:" + b32encode(hashlib.sha256(data).digest()).decode()
    yield "md5:" + hashlib.md5(data).hexdigest()


def test_a_digest_of_the_transferred_or_the_decoded_payload_is_right() -> None:
    for declared in digests(b"payload"):
        assert verify_digest(declared, b"payload", b"decoded") is True
        assert verify_digest(declared, b"transferred", b"payload") is True
        assert verify_digest(declared, b"transferred", b"decoded") is False


@pytest.mark.parametrize("declared", [None, "", "sha1", "sha1:", "sha1:ABC", "crc32:00000000", "sha1:" + "!" * 32])
def test_a_digest_that_is_unknown_or_malformed_tells_nothing(declared: str | None) -> None:
    assert verify_digest(declared, b"payload", b"payload") is None
