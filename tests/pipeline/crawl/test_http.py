"""HTTP responses as crawls hold them: heads and bodies in due form, and all the other forms."""

import gzip
import io
import random
import tracemalloc
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
from fastwarc.stream_io import ZstdWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl.http import Payload, decode_text, parse_response, payload_of, sniff_html
from pipeline.crawl.warc import Record

LIMIT = 1 << 20
PAGE = ("<p>Über den Wolken muss die Freiheit wohl grenzenlos sein.</p>\n" * 40).encode()
ZIPPED = gzip.compress(PAGE, mtime=0)  # else its header has the time


def parse(head: str, body: bytes = PAGE, limit: int = LIMIT) -> Payload:
    lines = head.split("\n")
    return parse_response("\r\n".join([*lines, "", ""]).encode("latin-1") + body, max_body_bytes=limit)


def encoded(coding: str, body: bytes, limit: int = LIMIT) -> Payload:
    return parse(f"HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Type: text/html", body, limit)


# ---- heads --------------------------------------------------------------------------------------


def test_a_response_has_a_status_a_type_and_a_body() -> None:
    got = parse("HTTP/1.1 200 OK\nContent-Type: text/html; charset=ISO-8859-1\nServer: x")
    assert got == Payload(200, "text/html", "ISO-8859-1", PAGE, PAGE, None)


@pytest.mark.parametrize(
    ("value", "media_type", "charset"),
    [
        ("TEXT/HTML;Charset='utf-8'", "text/html", "utf-8"),
        ('text/html; foo=bar; charset = "koi8-r"; x', "text/html", "koi8-r"),
        ("text/html, text/html; charset=big5", "text/html", "big5"),
        ("application/xhtml+xml", "application/xhtml+xml", None),
        ("text/html;charset=", "text/html", None),
        ("html", "", None),
        ("", "", None),
    ],
)
def test_content_types_are_read_leniently(value: str, media_type: str, charset: str | None) -> None:
    got = parse(f"HTTP/1.1 200 OK\nContent-Type: {value}")
    assert (got.content_type, got.charset) == (media_type, charset)


def test_the_last_of_repeated_types_counts_as_in_browsers() -> None:
    got = parse("HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\ncontent-type: text/html\nContent-Type: -")
    assert (got.content_type, got.charset) == ("text/html", "utf-8")


@pytest.mark.parametrize("line", ["HTTP/1.1 404", "HTTP/1.0 404 ", "HTTP/2 404", "http/1.1 404 Not Found"])
def test_a_status_line_may_lack_its_text(line: str) -> None:
    got = parse(f"{line}\nContent-Type: text/html")
    assert (got.status, got.content_type, got.body) == (404, "text/html", PAGE)


@pytest.mark.parametrize("line_end", ["\n", "\r\r\n"])
def test_other_line_ends_are_read(line_end: str) -> None:
    head = line_end.join(["HTTP/1.1 200 OK", "Content-Type: text/html", "", ""])
    got = parse_response(head.encode() + PAGE, max_body_bytes=LIMIT)
    assert (got.status, got.content_type, got.body) == (200, "text/html", PAGE)


def test_bytes_that_are_no_utf8_and_lines_that_are_no_fields_do_no_harm() -> None:
    got = parse("HTTP/1.1 200 \xff\nX-\xe9: \xff\nwhat is this\nContent-Type:\n  text/html")
    assert (got.status, got.content_type, got.body) == (200, "text/html", PAGE)


def test_interim_responses_and_a_proxys_head_are_passed_over() -> None:
    final = "HTTP/1.1 404 Not Found\nContent-Type: text/html"
    for before in ("HTTP/1.1 100 Continue\n\n", "HTTP/1.1 103 Early Hints\nLink: </a>\n\n" * 2):
        got = parse(before.replace("\n", "\r\n") + final)
        assert (got.status, got.body) == (404, PAGE)
    assert parse("HTTP/1.0 200 Connection established\r\n\r\n" + final).status == 404
    assert parse("HTTP/1.1 200 OK\nContent-Type: text/plain", b"HTTP/1.1 500 Oops\r\n\r\n").status == 200


def test_a_head_without_a_blank_line_ends_before_the_first_tag() -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n<html>\n\nhello</html>"
    got = parse_response(block, max_body_bytes=LIMIT)
    assert (got.content_type, got.body) == ("text/html", b"<html>\n\nhello</html>")


def test_a_head_without_an_end_has_an_empty_body() -> None:
    for block in (b"HTTP/1.1 204 No Content", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 204\r\nContent-Type: a/b"):
        got = parse_response(block, max_body_bytes=LIMIT)
        assert (got.status, got.raw, got.body, got.error) == (204, b"", b"", None)


def test_http_09_is_a_body_alone() -> None:
    assert parse_response(PAGE, max_body_bytes=LIMIT) == Payload(None, "", None, PAGE, PAGE, None)
    assert parse_response(b"", max_body_bytes=LIMIT) == Payload(None, "", None, b"", b"", None)


def test_the_payload_of_a_record_is_what_was_transferred() -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + ZIPPED
    response = Record(0, 0, True, "response", "", "", "", "", None, None, True, block)
    assert payload_of(response) == ZIPPED == parse_response(block, max_body_bytes=LIMIT).raw
    assert payload_of(Record(0, 0, True, "resource", "", "", "", "", None, None, False, block)) == block


# ---- transfer codings ---------------------------------------------------------------------------


def chunked(body: bytes, size: int = 300, line_end: bytes = b"\r\n") -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x%b%b%b" % (len(piece), line_end, piece, line_end) for piece in pieces)
    return framed + b"0" + line_end + line_end


def transferred(body: bytes, coding: str = "chunked") -> Payload:
    return parse(f"HTTP/1.1 200 OK\nTransfer-Encoding: {coding}\nContent-Type: text/html", body)


@pytest.mark.parametrize(
    "body",
    [
        chunked(PAGE),
        chunked(PAGE, line_end=b"\n"),
        chunked(PAGE)[:-2] + b"Expires: never\r\nX: y\r\n\r\n",
        chunked(PAGE) + b"left over",
        chunked(PAGE).replace(b"12c\r\n", b"0012C  ; name=value\r\n"),
    ],
)
def test_chunks_are_joined(body: bytes) -> None:
    got = transferred(body)
    assert (got.raw, got.body, got.error, got.truncated) == (body, PAGE, None, False)


@pytest.mark.parametrize("body", [PAGE, b"Add\nto cart", b"add\r\nitems\r\n" * 400, b"zz\r\n" + PAGE, b"-1\r\n\r\n"])
def test_a_body_whose_chunks_were_joined_already_stays_as_it_is(body: bytes) -> None:
    got = transferred(body)
    assert (got.body, got.truncated) == (body, False)


def test_chunks_that_are_cut_off_or_break_keep_what_came_before() -> None:
    body = chunked(PAGE)
    cut = transferred(body[:1000])
    assert cut.truncated
    assert PAGE.startswith(cut.body)
    assert len(cut.body) > 900
    broken = transferred(chunked(PAGE[:600])[:-5] + b"not a size\r\nmore")
    assert (broken.body, broken.truncated) == (PAGE[:600], True)


def test_chunks_of_a_coded_body_are_joined_first() -> None:
    got = parse("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\nContent-Encoding: gzip", chunked(gzip.compress(PAGE), 50))
    assert got.body == PAGE
    assert transferred(chunked(gzip.compress(PAGE), 50), "gzip, chunked").body == PAGE


# ---- content codings ----------------------------------------------------------------------------


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-15)


def zstd(body: bytes) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None:
            pass

    out = Kept()
    writer = ZstdWriter(out)
    writer.write(body)
    writer.close()
    return out.getvalue()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("coding", CODINGS)
def test_codings_are_undone(coding: str) -> None:
    for body in (PAGE, b"short", random.Random(1).randbytes(300_000)):
        got = encoded(coding.upper(), CODINGS[coding](body))
        assert (got.body, got.error, got.truncated) == (body, None, False)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("body", [PAGE, b"short", b"", b"{}", "日本語のページ".encode() * 9, "Grüße".encode("latin-1")])
def test_a_coding_that_was_declared_but_not_applied_is_passed_over(coding: str, body: bytes) -> None:
    got = encoded(coding, body)
    assert (got.body, got.error, got.truncated) == (body, None, False)


@pytest.mark.parametrize("coding", ["gzip, br", "br,gzip", "deflate, gzip, gzip"])
def test_several_codings_are_undone_from_the_last_to_the_first(coding: str) -> None:
    body = PAGE
    for name in coding.split(","):
        body = CODINGS[name.strip()](body)
    assert encoded(coding, body).body == PAGE


def test_one_of_two_declared_codings_may_have_been_undone() -> None:
    assert encoded("gzip, gzip", gzip.compress(PAGE)).body == PAGE


@pytest.mark.parametrize("coding", ["identity", "none", "UTF-8", "", ",", "text/html"])
def test_names_that_are_no_codings_are_passed_over(coding: str) -> None:
    assert encoded(coding, PAGE).body == PAGE


def test_a_coding_that_nothing_can_undo_is_an_error() -> None:
    got = encoded("compress", b"\x1f\x9d\x90abc")
    assert got.error == "content coding 'compress' is not supported"
    assert got.body == b""


def test_text_that_is_gzip_without_saying_so_is_undone() -> None:
    assert parse("HTTP/1.1 200 OK\nContent-Type: text/html", ZIPPED).body == PAGE
    archive = parse("HTTP/1.1 200 OK\nContent-Type: application/gzip", ZIPPED)
    assert archive.body == ZIPPED


def test_gzip_members_are_joined_and_what_follows_them_is_dropped() -> None:
    assert encoded("gzip", gzip.compress(PAGE) + gzip.compress(b"more") + b"\0\0").body == PAGE + b"more"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_stream_that_ends_early_keeps_its_beginning(coding: str) -> None:
    body = bytes(random.Random(2).choices(b"abcdefgh \n", k=400_000))
    coded = CODINGS[coding](body)
    got = encoded(coding, coded[: len(coded) // 2])
    assert got.error is None
    assert got.truncated
    assert body.startswith(got.body)
    assert len(got.body) > 100_000


@pytest.mark.parametrize("coding", CODINGS)
def test_a_damaged_stream_is_an_error(coding: str) -> None:
    body = bytes(random.Random(3).choices(b"abcdefgh \n", k=400_000))
    coded = bytearray(CODINGS[coding](body))
    coded[2000:3000] = random.Random(4).randbytes(1000)
    got = encoded(coding, bytes(coded))
    assert got.body == b""
    assert "damaged" in (got.error or "")


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_an_error(coding: str) -> None:
    coded = CODINGS[coding](PAGE)
    assert encoded(coding, coded, limit=len(PAGE)).body == PAGE
    got = encoded(coding, coded, limit=len(PAGE) - 1)
    assert got.body == b""
    assert f"longer than {len(PAGE) - 1:,} bytes" in (got.error or "")


def test_a_plain_body_over_the_limit_is_an_error() -> None:
    assert parse("HTTP/1.1 200 OK", PAGE, limit=len(PAGE)).error is None
    assert parse("HTTP/1.1 200 OK", PAGE, limit=len(PAGE) - 1).error is not None


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_memory_is_bounded_whatever_a_body_inflates_to(coding: str) -> None:
    bomb = b"A" * 60_000_000
    for name in coding.split(","):
        bomb = CODINGS[name.strip()](bomb)
    tracemalloc.start()
    got = encoded(coding, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "longer than" in (got.error or "")
    assert peak < 6 * LIMIT


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*CODINGS, "gzip, br", "nonsense"]), st.booleans(), st.booleans())
def test_no_block_raises(junk: bytes, coding: str, in_chunks: bool, in_head: bool) -> None:
    fields = f"Content-Encoding: {coding}\r\n" + "Transfer-Encoding: chunked\r\n" * in_chunks
    body = CODINGS.get(coding, bytes)(PAGE)
    body = body[: len(junk)] + junk + body[len(junk) :]
    block = b"HTTP/1.1 200 OK\r\n" + junk * in_head + fields.encode() + b"\r\n" + body
    got = parse_response(block, max_body_bytes=LIMIT)
    assert len(got.body) <= LIMIT
    text, _ = decode_text(got.body, got.charset, True)
    assert text.encode().decode() == text  # half a character would raise


# ---- HTML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><p>",
        b"\xef\xbb\xbf\r\n <HTML lang=en>",
        b"<?xml version='1.0'?>\n<!doctype HTML PUBLIC>",
        b"<!-- hello --><p>",
        b"<p>hello",
        b"<meta charset=utf-8>",
        "\ufeff<html>".encode("utf-16-le"),
    ],
)
def test_html_is_told_by_its_beginning(body: bytes) -> None:
    assert sniff_html(body)


@pytest.mark.parametrize(
    "body", [b"", b"hello <p>", b"<?xml version='1.0'?><rss>", b"<svg>", b"<pre-history>", b"%PDF-1.4", b"{}", b"<"]
)
def test_other_beginnings_are_not_html(body: bytes) -> None:
    assert not sniff_html(body)


# ---- charsets -----------------------------------------------------------------------------------

RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"


def meta(charset: str) -> str:
    return f'<html><head><meta http-equiv="Content-Type" content="text/html; charset={charset}"></head>'


def test_a_byte_order_mark_is_stronger_than_the_header() -> None:
    for codec, name in [("utf-8", "utf-8"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be")]:
        assert decode_text(("\ufeff" + RUSSIAN).encode(codec), "windows-1252", True) == (RUSSIAN, name)


def test_the_header_is_stronger_than_the_meta_element() -> None:
    page = meta("koi8-r") + RUSSIAN
    assert decode_text(page.encode("cp1251"), "Windows-1251", True) == (page, "windows-1251")


def test_the_meta_element_is_stronger_than_what_the_bytes_look_like() -> None:
    page = meta("koi8-r") + RUSSIAN
    assert decode_text(page.encode("koi8-r"), None, True) == (page, "koi8-r")
    french = meta("iso-8859-15") + "À 3 € l'œuvre"
    assert decode_text(french.encode("iso-8859-15"), None, True) == (french, "iso-8859-15")


def test_utf8_beyond_doubt_is_stronger_than_the_meta_element_but_not_than_the_header() -> None:
    page = meta("windows-1252") + "© 2012"
    assert decode_text(page.encode(), None, True) == (page, "utf-8")
    assert decode_text(page.encode(), "windows-1252", True)[1] == "windows-1252"
    chinese = "他来到了网易大厦"
    for length, charset in [(3, "gbk"), (4, "utf-8")]:  # nine bytes that are UTF-8 by chance are not beyond doubt
        assert decode_text((meta("gbk") + chinese[:length]).encode(), None, True)[1] == charset


def test_a_meta_element_counts_in_html_only_and_not_in_comments() -> None:
    page = meta("koi8-r") + "é"
    assert decode_text(page.encode(), None, False) == (page, "utf-8")
    page = "<!-- <meta charset=koi8-r> -->é"
    assert decode_text(page.encode(), None, True) == (page, "utf-8")


def test_a_meta_element_that_says_utf16_means_utf8() -> None:
    page = meta("utf-16") + RUSSIAN
    assert decode_text(page.encode(), None, True) == (page, "utf-8")


def test_an_xml_declaration_names_the_charset_of_xhtml() -> None:
    page = '<?xml version="1.0" encoding="windows-1251"?><html>' + RUSSIAN
    assert decode_text(page.encode("cp1251"), None, True) == (page, "windows-1251")


@pytest.mark.parametrize("bogus", ["none", "", "utf-99", "\0", "text/html", "x" * 1000, "ÿ"])
def test_a_bogus_charset_is_passed_over(bogus: str) -> None:
    assert decode_text((meta("koi8-r") + RUSSIAN).encode("koi8-r"), bogus, True)[1] == "koi8-r"
    page = meta(bogus) + RUSSIAN
    assert decode_text(page.encode(), None, True) == (page.replace("\0", ""), "utf-8")


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [(RUSSIAN, "cp1251", "windows-1251"), (JAPANESE, "shift_jis", "shift_jis"), (JAPANESE, "euc_jp", "euc-jp")],
)
def test_an_undeclared_charset_is_detected(text: str, codec: str, name: str) -> None:
    assert decode_text(text.encode(codec), None, True) == (text, name)


def test_utf8_that_is_cut_off_within_a_character_is_still_utf8() -> None:
    text, charset = decode_text(RUSSIAN.encode()[:-2], None, True)
    assert (text, charset) == (RUSSIAN[:-2] + "\ufffd", "utf-8")


@pytest.mark.parametrize(
    ("label", "name", "data", "text"),
    [
        ("latin1", "windows-1252", b"\x80\xe9", "€é"),
        ("us-ascii", "windows-1252", b"caf\xe9", "café"),
        ("gb2312", "gbk", "镕".encode("gb18030"), "镕"),
        ("shift_jis", "shift_jis", "①".encode("cp932"), "①"),
        ("ks_c_5601-1987", "euc-kr", "똠".encode("cp949"), "똠"),
        ("big5", "big5", "嘅".encode("big5hkscs"), "嘅"),
        ("tis-620", "iso-8859-11", "ก".encode("cp874"), "ก"),
        ("utf-16", "utf-16le", "é".encode("utf-16-le"), "é"),
        ("iso-2022-jp", "iso-2022-jp", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ('"UTF8"', "utf-8", "é".encode(), "é"),
    ],
)
def test_labels_mean_what_they_mean_in_browsers(label: str, name: str, data: bytes, text: str) -> None:
    assert decode_text(data, label, True) == (text, name)


def test_what_cannot_be_decoded_becomes_the_replacement_character_and_nul_goes() -> None:
    assert decode_text(b"a\xff\x00b", "utf-8", True) == ("a\ufffdb", "utf-8")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["utf-8", "gbk", "big5", "utf-16", "iso-2022-jp", "euc-kr", None, "?"]))
def test_any_bytes_become_text_without_nul(body: bytes, charset: str | None) -> None:
    for is_html in (True, False):
        text, used = decode_text(body, charset, is_html)
        assert "\0" not in text
        assert used
        text.encode()
