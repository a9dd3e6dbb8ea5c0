"""Reading archives: what a record is, which files are archives, and what a digest says."""

import gzip
import hashlib
import random
from base64 import b32encode
from collections.abc import Iterator

import pytest

from pipeline.crawl.warc import Ignored, Record, Unreadable, file_kind, verify_digest
from tests.pipeline.crawl.warc_files import (
    DATE,
    RECORDS,
    WAYS,
    by_hand,
    gz,
    ids,
    one,
    pages,
    read,
    record,
    spans,
)

# ---- what a record is -----------------------------------------------------------------------------


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


# ---- other files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [b"", b"\r\n"])
def test_an_empty_file_has_no_events(stored: bytes) -> None:
    assert read(stored) == []


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"<html>no archive</html>", "not_warc"),
        (gzip.compress(b"<html>no archive</html>", mtime=0), "not_warc"),
        (b"\n".join([b"text"] * 50_000), "not_warc"),
        (random.Random(1).randbytes(300_000), "not_warc"),
        (b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 InternetArchive\n", "arc"),
        (gzip.compress(b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n", mtime=0), "arc"),
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


# ---- digests --------------------------------------------------------------------------------------


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
