"""Every compression holds the same records, and reading can begin anywhere."""

import io
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from pipeline.crawl.warc import Record, read_warc
from tests.pipeline.crawl.warc_files import RECORDS, SEEKABLE, WAYS, Dribble, plain, read, record, restarts, spans


@pytest.mark.parametrize("way", WAYS)
def test_every_compression_holds_the_same_records(way: Callable[[list[bytes]], bytes]) -> None:
    events = read(way(RECORDS))
    assert spans(events) == []
    assert [e.block for e in events if isinstance(e, Record)] == [
        e.block for e in read(plain(RECORDS)) if isinstance(e, Record)
    ]
    assert [e.seekable for e in events if isinstance(e, Record)].count(True) == (12 if way in SEEKABLE else 0)


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
