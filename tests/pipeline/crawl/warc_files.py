"""Archives for the tests: records by warcio and by hand, in every compression, and what is read of them."""

import gzip
import io
import random
from collections.abc import Callable

from fastwarc.stream_io import Lz4Writer, ZstdWriter, zstd_train_dictionary_from_samples
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.crawl.records import Event
from pipeline.crawl.warc import Record, Unreadable, read_warc

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


def restarts(stored: bytes, **options: int) -> int:
    """Reading from every seekable record gives what reading from the start gave. Returns how many there are."""
    events = read(stored, **options)
    places = [i for i, event in enumerate(events) if isinstance(event, Record) and event.seekable]
    for i in places:
        assert read(stored, offset=events[i].offset, row=events[i].row, **options) == events[i:]
    return len(places)


class Dribble(io.BytesIO):
    """A stream that returns less than it is asked for, as sockets do."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._random = random.Random(1)

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._random.randint(1, size) if size else size)
