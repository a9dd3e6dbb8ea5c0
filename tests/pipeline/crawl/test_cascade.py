"""The cheap checks lose next to nothing that the full way would have kept, and name their reasons."""

import gzip
import logging
from pathlib import Path

import pyarrow as pa
import pytest
from resiliparse.parse.html import HTMLTree

from pipeline.assets import language_model
from pipeline.crawl.extract import (
    MOST_DEPTH,
    MOST_ELEMENTS,
    PASSAGE_CHARS,
    PASSAGES,
    Cascade,
    Seen,
    UnextractableError,
    check_complexity,
    has_distinct,
    passages,
)
from pipeline.crawl.language import Identifier
from pipeline.crawl.warc import Record, read_warc
from pipeline.filter.blocks import apply, judge_blocks
from pipeline.recipe import load_recipe
from pipeline.run import needed_stop_words

SCREENED = ("too_little_text", "language", "stop_words")

ENGLISH = b"""<html><body><article><h1>The harbour</h1><p>In the morning the boats came back to the harbour, and the
people of the village went down to meet them, as they had done for as long as anyone could remember. The fish were
sold on the quay, the nets were hung up to dry, and the children ran between the baskets until they were called home.
</p><p>Nobody could say when the market had begun. There was an old stone with a date on it, but the date had been
worn away by the rain, and the letters that were left could be read in more than one way.</p></article></body></html>"""
GERMAN = b"""<html><body><article><p>Am Morgen kamen die Boote in den Hafen zur\xc3\xbcck, und die Leute aus dem Dorf
gingen hinunter, um sie zu empfangen, wie sie es getan hatten, so lange sich jemand erinnern konnte. Die Fische wurden
am Kai verkauft, die Netze zum Trocknen aufgeh\xc3\xa4ngt, und die Kinder liefen zwischen den K\xc3\xb6rben umher.</p>
</article></body></html>"""


def cascade(**changes: object) -> Cascade:
    settings: dict = {
        "extractor": "trafilatura", "languages": ("en",), "min_language_score": 0.65, "max_body_bytes": 8 << 20,
        "screen_min_chars": 100, "screen_min_language_score": 0.01,
    }  # fmt: skip
    return Cascade(**(settings | changes))


def response(body: bytes, status: str = "200 OK", media: str = "text/html; charset=utf-8") -> Record:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\n\r\n".encode()
    return Record(
        0, 0, True, "response", "<urn:x>", "http://a.example/", "", "application/http", None, None, True, head + body
    )


@pytest.fixture(scope="module")
def english() -> Identifier:
    return Identifier(str(language_model()), ("en",))


def look(record: Record, identifier: Identifier, **changes: object) -> Seen:
    return cascade(**changes).look(record, identifier)


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_a_page_of_english_is_kept(english: Identifier, extractor: str) -> None:
    seen = look(response(ENGLISH), english, extractor=extractor)
    assert seen.reason is None
    assert "The fish were" in " ".join(seen.text.split())
    assert seen.language is not None
    assert seen.language.code == "en"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (response(ENGLISH, status="404 Not Found"), "http_status"),
        (response(ENGLISH, status="301 Moved Permanently"), "http_status"),
        (response(b""), "empty"),
        (response(b"%PDF-1.4", media="application/pdf"), "content_type"),
        (response(b"\x89PNG\r\n", media="image/png"), "content_type"),
        (response(b"<html><body><p>The boats came back.</p></body></html>"), "too_little_text"),
        (response(GERMAN), "language"),
    ],
)
def test_what_is_certain_to_go_has_its_reason(english: Identifier, record: Record, reason: str) -> None:
    assert look(record, english).reason == reason


def test_a_page_in_the_wrong_language_is_not_extracted(english: Identifier) -> None:
    rough = look(response(GERMAN), english)
    full = look(response(GERMAN), english, screen=False)
    assert rough.reason == full.reason == "language"
    assert rough.chars == full.chars


def test_any_language_will_do_where_the_recipe_names_none() -> None:
    anyone = Identifier(str(language_model()), None)
    assert look(response(GERMAN), anyone, languages=None).reason is None


def test_a_low_score_is_another_reason_than_another_language(english: Identifier) -> None:
    assert look(response(ENGLISH), english, min_language_score=1.0).reason == "language_score"


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_a_page_without_the_stop_words_that_the_filter_wants_is_not_extracted(
    english: Identifier, extractor: str
) -> None:
    wanted = {"stop_words": ("harbour", "letters", "whale"), "extractor": extractor}
    assert look(response(ENGLISH), english, min_stop_words=2, **wanted).reason is None
    gone = look(response(ENGLISH), english, min_stop_words=3, **wanted)
    assert gone.reason == "stop_words"
    assert gone.chars == len(gone.text)
    assert look(response(ENGLISH), english, min_stop_words=3, screen=False, **wanted).reason is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("The THE thesis bathe", 0),
        ("the", 1),
        ("the the, and the", 2),
        ("(the)\nand.", 2),
        ("the-and", 2),
        ("a be to", 2),
    ],
)
def test_stop_words_are_counted_each_once(text: str, count: int) -> None:
    words = ("the", "and", "be", "to")
    assert has_distinct(text, words, count)
    assert not has_distinct(text, words, count + 1)


def test_no_stop_words_are_always_there() -> None:
    assert has_distinct("", (), 0)


def test_passages_are_spread_from_the_first_character_to_the_last() -> None:
    short = "x" * PASSAGES * PASSAGE_CHARS
    assert passages(short) == short
    parts = [str(number) * PASSAGE_CHARS for number in range(10)]
    assert passages("".join(parts)) == " ".join(parts[number] for number in (0, 3, 6, 9))


def test_plain_text_is_its_own_text(english: Identifier) -> None:
    text = b"In the morning the boats came back to the harbour. " * 10
    assert look(response(text, media="text/plain"), english).text == text.decode()


def test_html_without_a_declared_type_is_recognised(english: Identifier) -> None:
    record = response(ENGLISH)
    assert look(Record(**{**vars(record), "block": b"HTTP/1.1 200 OK\r\n\r\n" + ENGLISH}), english).reason is None


def test_a_body_that_can_not_be_decoded_is_quarantined(english: Identifier) -> None:
    stored = bytearray(gzip.compress(ENGLISH * 20))
    stored[60:90] = bytes(30)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + stored
    with pytest.raises(UnextractableError, match="gzip"):
        look(Record(**{**vars(response(b"")), "block": block}), english)


@pytest.mark.parametrize("depth", [1_000, MOST_DEPTH - 10])
def test_a_deeply_nested_page_ends_in_a_verdict(english: Identifier, depth: int) -> None:
    nested = b"<html><body>" + b"<div>" * depth + ENGLISH + b"</div>" * depth + b"</body></html>"
    assert look(response(nested), english).reason in (None, "no_main_text")


def test_nesting_that_no_browser_follows_is_quarantined(english: Identifier) -> None:
    with pytest.raises(UnextractableError, match=r"nested 5,\d\d\d deep; the limit is 5,000"):
        look(response(b"<div>" * MOST_DEPTH + ENGLISH), english)


def test_more_elements_than_any_page_has_are_quarantined(english: Identifier) -> None:
    with pytest.raises(UnextractableError, match=r"100,\d\d\d elements; the limit is 100,000"):
        look(response(ENGLISH + b"<br>" * MOST_ELEMENTS), english)


@pytest.mark.parametrize(
    "part", ["<p><img src=x>one", "<svg><path d='M0 0'/></svg>", "<script>if(i<n){}</script>", "<svg><g/></svg>"]
)
def test_many_parts_side_by_side_are_not_nesting(part: str) -> None:
    html = f"<html><body>{part * (MOST_DEPTH + 1)}</body></html>"
    check_complexity(html, HTMLTree.parse(html))


def test_line_ends_of_plain_text_are_one_kind(english: Identifier) -> None:
    text = b"In the morning the boats came back to the harbour.\r\n" * 10
    assert "\r" not in look(response(text, media="text/plain"), english).text


@pytest.mark.slow
def test_the_screen_loses_under_half_a_percent(english: Identifier, shared_data: Path) -> None:
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    screened, full = cascade(), cascade(screen=False)
    kept = lost = 0
    for path in sorted((shared_data / "crawl").glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in read_warc(file):
                if not isinstance(record, Record):
                    continue
                seen = screened.look(record, english)
                if seen.reason is None:
                    kept += 1
                elif seen.reason in ("too_little_text", "language") and full.look(record, english).reason is None:
                    lost += 1
    print(f"screen: {kept} kept, {lost} lost")
    assert kept > 1000
    assert lost / (kept + lost) < 0.005


@pytest.mark.slow
def test_with_fineweb_s_recipe_the_filter_loses_under_half_a_percent(shared_data: Path) -> None:
    """The recipe's own, tighter screen and the filter's stop words, measured by what the filter would have kept."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    recipe = load_recipe(Path(__file__).parents[3] / "recipes" / "fineweb.yaml")
    words, least = needed_stop_words(recipe)
    screened = cascade(
        screen_min_language_score=recipe.crawl.screen.min_language_score, stop_words=words, min_stop_words=least
    )
    full, english = cascade(screen=False), Identifier(str(language_model()), recipe.crawl.languages)
    spared: list[str] = []
    gone = 0
    for path in sorted((shared_data / "crawl").glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in read_warc(file):
                if isinstance(record, Record) and screened.look(record, english).reason in SCREENED:
                    gone += 1
                    seen = full.look(record, english)
                    spared += [seen.text] if seen.reason is None else []
    texts, columns = apply(pa.array(spared, pa.string()), recipe.blocks)
    reasons = judge_blocks(pa.RecordBatch.from_pydict({"text": texts, **columns}), recipe.blocks)
    print(f"screen: {gone} gone, {len(spared)} with a text in English, {reasons.null_count} lost")
    assert gone > 1000
    assert reasons.null_count < 0.005 * 679
