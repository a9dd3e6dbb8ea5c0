"""From archive records to texts, the cheap checks before the dear one.

A page costs ~0.5 ms to read and decode, ~1.4 ms to look at (resiliparse, fastText) and ~10 ms to extract with
trafilatura; so what is certain to go is recognised early (the cascade).
"""

import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, takewhile
from typing import Any

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, NodeType

from pipeline.artifact import Part, PartWriter, TableWriter, open_input
from pipeline.assets import LANGUAGE_SHA256
from pipeline.crawl import hidden as hidden_text
from pipeline.crawl import invisible_marks
from pipeline.crawl.hidden import SIGNALS, HiddenText
from pipeline.crawl.http import Payload, decode_text, parse_response, payload_of, sniff_html
from pipeline.crawl.index import QUARANTINE
from pipeline.crawl.invisible_marks import with_marks
from pipeline.crawl.language import Identifier, Language
from pipeline.crawl.main_text import Extractor, ExtractorError, main_text
from pipeline.crawl.warc import Record, read_warc, verify_digest
from pipeline.document import LINEAGE, SCHEMA, VERDICT, document_id, pack_address
from pipeline.poison import instructions
from pipeline.poison.versions import of_judge, of_modules
from pipeline.step import Deletions
from pipeline.url import canonical, host

VERSION = 3
HTML = {"text/html", "application/xhtml+xml"}
EXCERPT = 600
"""Characters of a page's text that are kept beside its removal, for the people who read the report."""
ROWS_AT_ONCE = 128
CHARS_AT_ONCE = 4 << 20
JUDGED_AT_ONCE = 100_000
"""Characters of hidden passages that are judged at once: 1.4 kB each where every line is one letter. (A page has up to
64,000 of them, see EXCERPT and MOST_EXCERPTS in hidden/strip.py.)"""
PASSAGES, PASSAGE_CHARS = 4, 500
"""By what of a page its language is screened: passages spread over it. They take 0.26 ms and lose 10 of 1,345 pages at
a score of 0.1; the first 8,000 characters, more menu than text, took 0.57 ms and lost 12."""

REMOVED = pa.schema(
    [
        *LINEAGE,
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("chars", pa.int64()),
        ("excerpt", pa.string()),
        *VERDICT,
    ]
)


MOST_ELEMENTS = 100_000
MOST_DEPTH = 5_000
"""Of 2,918 real pages the largest has 12,700 elements, and browsers cut nesting at 512. Beyond these limits extractors
take minutes (trafilatura 0.1 ms an element, resiliparse grows with the square of the depth); no clock may decide."""


_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_LEFT_OPEN = frozenset("area base br col hr img input link meta param source track wbr p li dd dt td th tr".split())


class UnextractableError(Exception):
    """A record whose text can't be had; `reason` is the word it is counted under."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Seen:
    """What the cascade knows of a page where it stopped: the reason to remove it (None = keep), and the text."""

    reason: str | None
    text: str = ""
    language: Language | None = None
    content_type: str = ""
    charset: str | None = None
    verified: bool | None = None
    chars: int | None = None
    hidden: HiddenText | None = None


@dataclass(frozen=True)
class Cascade:
    """The checks of one page, dearest last. `screen=False` goes the full way with every page, for comparison.

    A page that has, menus and all, fewer than `min_stop_words` of `stop_words` has no main text with as many: it goes
    before that is looked for, by a rule of the recipe's filter. (So a change of that rule extracts anew.)
    """

    extractor: Extractor
    languages: tuple[str, ...] | None
    min_language_score: float
    max_body_bytes: int
    screen_min_chars: int
    screen_min_language_score: float
    stop_words: tuple[str, ...] = ()
    min_stop_words: int = 0
    strip_hidden: bool = False
    screen: bool = True

    def look(self, record: Record, identifier: Identifier) -> Seen:
        """Decode, screen, extract and identify one record. Raises UnextractableError."""
        payload = self._payload(record)
        verified = verify_digest(record.declared_digest, payload.raw, payload.body)
        seen: dict[str, Any] = {"content_type": payload.content_type, "verified": verified}
        if payload.status is not None and not 200 <= payload.status < 300:
            return Seen("http_status", **seen)
        if not payload.body:
            return Seen("empty", **seen)
        is_html = payload.content_type in HTML or (not payload.content_type and sniff_html(payload.body))
        if not is_html and payload.content_type != "text/plain":
            return Seen("content_type", **seen)
        decoded, charset = decode_text(payload.body, payload.charset, is_html)
        seen["charset"] = charset
        if not is_html:
            decoded = decoded.replace("\r\n", "\n").replace("\r", "\n")
        tree = HTMLTree.parse(decoded) if is_html else None
        if tree is not None:
            check_complexity(decoded, tree)
        rough = _all_text(tree) if tree is not None else decoded
        language = identifier.identify(passages(rough))
        if self.screen and len(rough) < self.screen_min_chars:
            return Seen("too_little_text", rough, language, chars=len(rough), **seen)
        if self.screen and language.wanted < self.screen_min_language_score:
            return Seen("language", rough, language, chars=len(rough), **seen)
        if self.screen and not has_distinct(rough, self.stop_words, self.min_stop_words):
            return Seen("stop_words", rough, language, chars=len(rough), **seen)
        text, hidden = decoded, None
        if tree is not None:
            try:
                text, hidden = main_text(decoded, tree, self.extractor, self.strip_hidden)
                hidden = with_marks(hidden, rough, text) if hidden is not None else None
            except ExtractorError as error:
                raise UnextractableError("extractor_failed", str(error)) from None
        language = identifier.identify(text)
        if not text.strip():
            return Seen("no_main_text", rough, language, chars=len(rough), **seen)
        reason = None
        if self.languages is not None and language.code not in self.languages:
            reason = "language"
        elif language.score < self.min_language_score:
            reason = "language_score"
        return Seen(reason, text, language, chars=len(rough), hidden=hidden, **seen)

    def _payload(self, record: Record) -> Payload:
        if record.is_http:
            payload = parse_response(record.block, max_body_bytes=self.max_body_bytes)
        else:
            media, _, parameters = record.content_type.partition(";")
            charset = next((p.split("=", 1)[1].strip(" \"'") for p in parameters.split(";") if "charset=" in p), None)
            payload = Payload(None, media.strip().lower(), charset, record.block, record.block, None)
        if payload.error is not None:
            raise UnextractableError("bad_payload", payload.error)
        return payload


def check_complexity(html: str, tree: HTMLTree) -> None:
    """Refuse a page whose elements are so many or so deeply nested that extraction would not end in good time.

    Raises UnextractableError.
    """
    tags = html.count("<")
    if (tags <= MOST_ELEMENTS and tags - html.count("</") <= MOST_DEPTH) or not _looks_complex(html):
        return
    elements, depth = _size(tree)
    if elements > MOST_ELEMENTS:
        raise UnextractableError("too_complex", f"the page has {elements:,} elements; the limit is {MOST_ELEMENTS:,}")
    if depth > MOST_DEPTH:
        raise UnextractableError("too_complex", f"elements are nested {depth:,} deep; the limit is {MOST_DEPTH:,}")


def _looks_complex(html: str) -> bool:
    """A quick look at the tags, 0.3 ms, which sees more nesting than there is where elements are left open."""
    tags = depth = deepest = 0
    for tag in _TAG.finditer(html):
        tags += 1
        if tag[2].lower() not in _LEFT_OPEN:
            depth = max(depth - 1, 0) if tag[1] else depth + 1
            deepest = max(deepest, depth)
    return tags > MOST_ELEMENTS or deepest > MOST_DEPTH


def _size(tree: HTMLTree) -> tuple[int, int]:
    """(elements, depth of the deepest node), counted no further than the limits need."""
    node: Any = tree.document
    elements = depth = deepest = 0
    while elements <= MOST_ELEMENTS and deepest <= MOST_DEPTH:
        elements += node.type == NodeType.ELEMENT
        child = node.first_child
        if child is not None:
            node, depth = child, depth + 1
            deepest = max(deepest, depth)
            continue
        while node.next is None:
            node, depth = node.parent, depth - 1
            if node is None or depth <= 0:
                return elements, deepest
        node = node.next
    return elements, deepest


def passages(text: str) -> str:
    """A few passages, evenly spread from the first character to the last; a short text as it is."""
    if len(text) <= PASSAGES * PASSAGE_CHARS:
        return text
    step = (len(text) - PASSAGE_CHARS) // (PASSAGES - 1)
    return " ".join(text[start : start + PASSAGE_CHARS] for start in range(0, PASSAGES * step, step))


def has_distinct(text: str, words: tuple[str, ...], least: int) -> bool:
    """Whether at least so many of the words stand in a text, each counted once, in small or capitals as given."""
    found: set[str] = set()
    for match in _any_of(words).finditer(text) if least else ():
        found.add(match[0])
        if len(found) >= least:
            return True
    return not least


@cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b")


def _all_text(tree: HTMLTree) -> str:
    return str(extract_plain_text(tree, main_content=False, alt_texts=False, form_fields=False))


HIDDEN_TEXTS = pa.schema([("address", pa.uint64()), *hidden_text.COLUMN])
"""All that pages hide, beside the documents: most of it is menus, and later steps need the summary alone."""


def hidden_parameters() -> dict[str, Any]:
    """What the search for hidden text depends on."""
    marks = {"marks": invisible_marks.VERSION, **of_modules(("characters",))}
    return {"walk": hidden_text.VERSION, "judge": of_judge(), **marks}


class ExtractStep:
    """A split of an archive -> documents, removed pages and quarantined records."""

    name = "extract"

    def __init__(self, cascade: Cascade, language_model: str, max_record_bytes: int) -> None:
        self.cascade, self.language_model, self.max_record_bytes = cascade, language_model, max_record_bytes

    def parameters(self) -> dict[str, Any]:
        versions = {name: importlib.metadata.version(name) for name in ("trafilatura", "resiliparse", "fastwarc")}
        model = {"language_model": LANGUAGE_SHA256, "max_record_bytes": self.max_record_bytes}
        hidden = hidden_parameters() if self.cascade.strip_hidden else {}
        return {"version": VERSION, "cascade": vars(self.cascade), "libraries": versions, "hidden": hidden, **model}

    def work(self, source: Part, writer: PartWriter, *context: Any) -> None:
        """`source.extra` has the archive's path, name and the split's offset; context is (duplicates of payloads,)."""
        duplicates: Deletions = context[0]
        twins = dict(zip(duplicates.removed.tolist(), duplicates.kept.tolist(), strict=True))
        identifier = Identifier(self.language_model, self.cascade.languages)
        warc_file, (first, stop) = source.extra["warc_file"], source.rows
        with (
            open_input(source.extra["path"]) as file,
            writer.table("documents", SCHEMA) as documents,
            writer.table("removed", REMOVED) as removed,
            writer.table("quarantine", QUARANTINE) as quarantine,
            writer.table("hidden", HIDDEN_TEXTS) as hidden,
        ):
            kept_rows, removed_rows, hidden_rows = _Rows(documents), _Rows(removed), _Rows(hidden)
            events = read_warc(
                file, offset=source.extra["offset"], row=first, stop=stop, max_record_bytes=self.max_record_bytes
            )
            for record in events:
                if not isinstance(record, Record):
                    continue  # counted, and where unreadable quarantined, by the index step
                writer.counts["read"] += 1
                address = pack_address(source.file, record.row)
                try:
                    twin = twins.get(address)
                    seen = self.cascade.look(record, identifier) if twin is None else Seen("duplicate_payload")
                except UnextractableError as error:
                    writer.counts["quarantined"] += 1
                    writer.reasons[error.reason] += 1
                    quarantine.write(_quarantined(warc_file, record, error))
                    continue
                row = _lineage(record, seen, warc_file, address)
                if seen.reason is None:
                    writer.counts["kept"] += 1
                    found = seen.hidden.row() if seen.hidden is not None else None
                    if found is not None:
                        hidden_rows.add({"address": address, **found})
                    kept_rows.add(row | {"text": seen.text, "hidden": found})
                    continue
                writer.counts["removed"] += 1
                writer.reasons[seen.reason] += 1
                removed_rows.add(
                    row
                    | {"chars": seen.chars, "excerpt": seen.text[:EXCERPT]}
                    | {"reason": seen.reason, "kept_address": twin, "similarity": None if twin is None else 1.0}
                )
            for rows in (kept_rows, removed_rows, hidden_rows):
                rows.flush()


class _Rows:
    """Gathers rows into batches, and writes them."""

    def __init__(self, table: TableWriter) -> None:
        self.table, self.chars = table, 0
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.chars += len(row.get("text", ""))
        if len(self.rows) >= ROWS_AT_ONCE or self.chars >= CHARS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        _judge_hidden(self.rows)
        self.table.write(pa.RecordBatch.from_pylist(self.rows, self.table.schema))
        self.rows.clear()
        self.chars = 0


def _lineage(record: Record, seen: Seen, warc_file: str, address: int) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(payload_of(record)).hexdigest()
    return {
        "id": document_id(record.record_id, digest),
        "address": address,
        "url": record.url,
        "canonical_url": canonical(record.url),
        "host": host(record.url),
        "warc_file": warc_file,
        "warc_offset": record.offset,
        "record_id": record.record_id,
        "payload_digest": digest,
        "date": record.date,
        "content_type": seen.content_type,
        "charset": seen.charset,
        "digest_verified": seen.verified,
        "language": seen.language.code if seen.language else None,
        "language_score": seen.language.score if seen.language else None,
    }


def _quarantined(warc_file: str, record: Record, error: UnextractableError) -> pa.RecordBatch:
    row = {"warc_file": warc_file, "row": record.row, "warc_offset": record.offset, "length": None}
    return pa.RecordBatch.from_pylist(
        [row | {"url": record.url, "reason": error.reason, "error": str(error)}], QUARANTINE
    )


def _judge_hidden(rows: list[dict[str, Any]]) -> None:
    """Put the columns HIDDEN into documents; hidden passages are judged JUDGED_AT_ONCE together."""
    having = [row for row in rows if row.get("hidden") is not None]
    for row in having:
        kinds = row["hidden"]["kinds"]
        gone = 0 if row["hidden"]["kept"] else sum(one["chars"] for one in kinds if one["kind"] not in SIGNALS)
        row["hidden_chars"] = gone
    pieces = [(row, piece) for row in having for piece in row["hidden"]["texts"]]
    while pieces:
        ends = accumulate(len(piece["text"]) for _, piece in pieces)
        count = max(sum(1 for _ in takewhile(lambda end: end <= JUDGED_AT_ONCE, ends)), 1)
        judged, pieces = pieces[:count], pieces[count:]
        scores = instructions.score_strings([piece["text"] for _, piece in judged])
        for (row, piece), score in zip(judged, scores, strict=True):
            if score > row.get("hidden_score", -1.0):
                row["hidden_score"] = float(score)
                row["hidden_excerpt"] = f"{piece['kind']}: {piece['text']}"[:EXCERPT]
    for row in rows:
        row.pop("hidden", None)
