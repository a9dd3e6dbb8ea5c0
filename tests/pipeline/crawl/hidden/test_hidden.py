"""What a person would not see goes, what a person sees stays, whatever the page holds."""

import logging
import re
from pathlib import Path

import lxml.html
import pytest
import trafilatura
from hypothesis import example, given
from hypothesis import strategies as st
from trafilatura.utils import load_html

from pipeline.crawl.hidden import COLUMN, find_hidden, strip_hidden
from pipeline.crawl.hidden.colours import alike, colour
from pipeline.crawl.hidden.css import media_holds
from pipeline.crawl.hidden.lengths import length
from pipeline.crawl.hidden.names import may_be_met, names_on
from pipeline.crawl.hidden.prose import is_prose, of_json
from pipeline.crawl.hidden.selector_reader import read_selector
from pipeline.crawl.hidden.selectors import Budget
from pipeline.crawl.hidden.strip import EXCERPT, MOST_EXCERPTS
from pipeline.crawl.http import decode_text, parse_response
from pipeline.crawl.warc import Record, read_warc
from tests.pipeline.crawl.hidden.tricks import HIDES, HIDING, SECRET, SEEN, SHOWS, page

PROSE = "one two three four five six"


def stripped(html: str) -> str:
    tree = load_html(html)
    strip_hidden(tree, html)
    return " ".join(tree.find("body").itertext())


@pytest.mark.parametrize(("kind", "name"), HIDING)
def test_a_trick_is_seen_through(kind: str, name: str) -> None:
    html = page(HIDES[kind][name])
    assert [one.kind for one in find_hidden(load_html(html), html) if SECRET in one.text] == [kind]
    assert SECRET not in stripped(html)
    assert SEEN in stripped(html)


@pytest.mark.parametrize("name", SHOWS)
def test_what_only_looks_like_a_trick_stays(name: str) -> None:
    html = page(SHOWS[name])
    assert SECRET in stripped(html)


def test_what_follows_a_hidden_element_stays() -> None:
    assert stripped(page(("", "<p>a<b hidden>x</b>c<i hidden>y</i>d</p>"))).split() == [*SEEN.split(), "acd"]


def test_a_template_goes_and_is_kept_as_a_signal() -> None:
    html = page(("", f"<template><p>{SECRET}</p></template>"))
    assert [one.kind for one in find_hidden(load_html(html))] == ["template"]
    assert SECRET not in stripped(html)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("comment", f"<!-- {PROSE} -->"),
        ("noscript", f"<noscript>{PROSE}</noscript>"),
        ("alt", f'<img alt="{PROSE}">'),
        ("title", f'<p title="{PROSE}">x</p>'),
        ("form", f'<input value="{PROSE}">'),
        ("form", f"<textarea>{PROSE}</textarea>"),
        ("form", f"<select><option>{PROSE}</option></select>"),
        ("meta", f'<meta name="description" content="{PROSE}">'),
        ("json_ld", f'<script type="application/ld+json">{{"a": ["{PROSE}"]}}</script>'),
        ("aria_hidden", f'<p aria-hidden="true">{PROSE}</p>'),
    ],
)
def test_prose_where_nobody_reads_is_a_signal(kind: str, body: str) -> None:
    html = page(("", body))
    assert [(one.kind, one.text) for one in find_hidden(load_html(html), html)] == [(kind, PROSE)]


@pytest.mark.parametrize(
    "text",
    [
        "four words are few",
        "<!--[if IE]> one two three four five <![endif]-->"[4:],
        "a{b:c} d{e:f} g{h:i} j{k:l} m{n:o}",
    ],
)
def test_what_is_no_prose_is_no_signal(text: str) -> None:
    assert not is_prose(text) or find_hidden(load_html(page(("", ""))), f"<!--{text}-->") == []


def test_a_closed_details_is_on_demand() -> None:
    html = page(("", f"<details><summary>More</summary><p>{SECRET}</p></details>"))
    assert find_hidden(load_html(html)) == []


def test_a_page_that_shows_nothing_is_left_as_it_is() -> None:
    html = f"<html><body style='opacity:0'><p>{SECRET}</p></body></html>"
    tree = load_html(html)
    found = strip_hidden(tree, html)
    assert found.kept
    assert SECRET in tree.text_content()


DARK = '<body style="color:#fff"><p>{}</p><p style="color:#222">{}</p></body>'
OUTSIDE = '<head><link rel="stylesheet" href="x.css"></head>'


@pytest.mark.parametrize(
    ("head", "white", "dark", "stays"),
    [
        (OUTSIDE, f"{SECRET} {SECRET}", "short line", True),
        (OUTSIDE, SECRET, f"{SEEN} {SEEN} {SEEN}", False),
        ("<head><title>x</title></head>", f"{SECRET} {SECRET}", "short line", False),
    ],
)
def test_a_page_mostly_in_white_is_painted_by_a_sheet_outside(head: str, white: str, dark: str, stays: bool) -> None:
    assert (SECRET in stripped(f"<html>{head}{DARK.format(white, dark)}</html>")) == stays


def test_texts_are_cut_into_windows_and_counted_in_full() -> None:
    html = page(("", f"<div hidden>{PROSE + ' ' + 'word ' * 40_000}</div>"))
    found = strip_hidden(load_html(html))
    assert len(found.texts) == MOST_EXCERPTS
    assert all(len(one.text) <= EXCERPT for one in found.texts)
    assert found.kinds["hidden_attribute"] == (1, found.texts[0].chars)
    assert found.texts[0].chars > 200_000


def test_a_row_fits_the_column() -> None:
    import pyarrow as pa

    html = page(HIDES["display"]["inline"])
    row = strip_hidden(load_html(html), html).row()
    assert pa.array([row, None], COLUMN).to_pylist()[0] == row


def test_a_page_without_anything_has_no_row() -> None:
    assert strip_hidden(load_html(page(("", "")))).row() is None


def test_trees_5_000_deep_are_walked() -> None:
    root = lxml.html.Element("html")
    here = lxml.html.etree.SubElement(root, "body")
    for _ in range(5_000):
        here = lxml.html.etree.SubElement(here, "div")
        here.set("class", "a")
    here.text = SECRET
    style = lxml.html.etree.Element("style")
    style.text = ".a .a .a .a .a .a .b .a{color:red} .a > .a .a ~ .a{opacity:0}"
    root.insert(0, style)
    assert strip_hidden(root).visible == len(SECRET)


@pytest.mark.parametrize(
    ("sheet", "body", "skipped"),
    [
        ("a{b:c}" * 400_000, "<p>x</p>", True),
        ("a,b{" * 100_000 + "display:none", "<a>x</a>", False),
        ("{" * 500_000, "<p>x</p>", False),
        ("\"'" * 500_000, "<p>x</p>", False),
        ("/*" * 500_000, "<p>x</p>", False),
        ("".join(f"p{{color:#{n % 999:03}}}" for n in range(50_000))
         + "".join(f".c{n}{{color:#fff}}" for n in range(300)),
         "".join(f"<p class=c{n}>x</p>" for n in range(300)), True),
        (":root{--a:red red;" + "".join(f"--b{n}:var(--b{n - 1}) var(--b{n - 1});" for n in range(60))
         + "} p{color:var(--b59)}", "<p>x</p>", False),
    ],
    ids=["rules", "nesting", "braces", "quotes", "comments", "matches", "variables"],
)  # fmt: skip
def test_bombs_are_bounded_and_said(sheet: str, body: str, skipped: bool) -> None:
    html = page((sheet, body))
    found = strip_hidden(load_html(html), html)
    assert found.skipped == skipped
    assert found.visible > 0


def test_a_million_quotation_marks_are_read_once() -> None:
    assert list(of_json('"' + '\\"' * 500_000)) == []


@pytest.mark.parametrize(
    ("query", "holds"),
    [("", True), ("screen", True), ("print", False), ("not print", True), ("(max-width: 40em)", False),
     ("screen and (min-width:768px)", True), ("print, screen", True), ("(width >= 600px)", True), ("(foo: bar)", None)],
)  # fmt: skip
def test_media_queries(query: str, holds: bool | None) -> None:
    assert media_holds(query) is holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-9999px", (-9999.0, "px")), ("0", (0.0, "px")), ("12", None), ("1.5em", (1.5, "em")), ("50%", (50.0, "%")),
     ("calc(2px + 3px * 2)", (8.0, "px")), ("calc(1px + 1%)", None), ("auto", None)],
)  # fmt: skip
def test_lengths(text: str, expected: tuple[float, str] | None) -> None:
    assert length(text) == expected


def test_colours_that_differ_in_one_channel_only_are_told_apart() -> None:
    assert not alike(colour("#f00"), colour("#008200"))
    assert alike(colour("#eee"), colour("white"))
    assert not alike(colour("#ddd"), colour("white"))


NAMES = st.sampled_from(["a", "b", "c"])
COMPOUNDS = st.builds(
    lambda tag, classes, extra: (tag + "".join(f".{name}" for name in classes) + extra) or "*",
    st.sampled_from(["", "div", "p"]),
    st.lists(NAMES, max_size=2),
    st.sampled_from(["", "", ":first-child", ":not(.a)", "[class]", ":nth-child(2)", ":last-child"]),
)
SELECTORS = st.builds(
    lambda first, rest: first + "".join(combinator + part for combinator, part in rest),
    COMPOUNDS,
    st.lists(st.tuples(st.sampled_from([" ", " > ", " + ", " ~ "]), COMPOUNDS), max_size=3),
)
TREES = st.recursive(
    st.builds(lambda tag, names: (tag, names, []), st.sampled_from(["div", "p"]), st.lists(NAMES, max_size=2)),
    lambda inner: st.builds(
        lambda tag, names, children: (tag, names, children),
        st.sampled_from(["div", "p"]), st.lists(NAMES, max_size=2), st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


@given(TREES, SELECTORS)
def test_selectors_match_as_a_plain_definition_does(shape: tuple, text: str) -> None:
    root = lxml.html.Element("html")
    build(root, shape)
    selector = read_selector(text)
    assert selector is not None
    budget = Budget(100_000)
    for element in root.iter():
        got = selector.parts[-1].holds(element, budget) and selector.leads_to(element, budget)
        assert got == plainly(selector, element, len(selector.parts) - 1)


@given(TREES, SELECTORS)
def test_a_selector_that_matches_is_never_passed_over(shape: tuple, text: str) -> None:
    root = lxml.html.Element("html")
    build(root, shape)
    selector = read_selector(text)
    assert selector is not None
    if any(plainly(selector, element, len(selector.parts) - 1) for element in root.iter()):
        assert may_be_met(text, names_on(root))


@pytest.mark.parametrize(
    ("text", "met"),
    [(".a", True), (".b", False), ("#i p", True), ("#j p", False), ("P.a", True), (r".md\:flex", True),
     (r".b\:x", False), (r".w-\[1px\]", True), ("p:not(.b)", True), (".b:not(.a)", False), ('[title=".b"].a', True),
     ("p:hover", False),
     ("p:not(:hover)", True), (":is(.a, .b) p", True), ("p::before", False)],
)  # fmt: skip
def test_a_selector_is_read_where_all_that_it_names_is_there(text: str, met: bool) -> None:
    tree = lxml.html.document_fromstring('<p id=i class="a md:flex w-[1px]"><b>x</b></p>')
    assert may_be_met(text, names_on(tree)) is met


def build(parent: lxml.html.HtmlElement, shape: tuple) -> None:
    tag, names, children = shape
    element = lxml.html.etree.SubElement(parent, tag)
    if names:
        element.set("class", " ".join(names))
    for child in children:
        build(element, child)


def plainly(selector: object, element: lxml.html.HtmlElement, part: int) -> bool:
    if not selector.parts[part].holds(element, Budget(1000)):
        return False
    if part == 0:
        return True
    combinator = selector.combinators[part - 1]
    others = {
        " ": lambda: list(element.iterancestors()),
        ">": lambda: list(element.iterancestors())[:1],
        "~": lambda: list(element.itersiblings(preceding=True)),
        "+": lambda: list(element.itersiblings(preceding=True))[:1],
    }[combinator]()
    return any(plainly(selector, other, part - 1) for other in others)


@given(st.text(alphabet="ab.#{}:;,>+~ ()[]\"'\\/*@!-&\n", max_size=60))
def test_a_sheet_of_broken_syntax_hides_nothing(sheet: str) -> None:
    tree = load_html(page((re.sub("</", "", sheet), "<a class=a id=b style='x'>x</a>")))
    found = strip_hidden(tree)
    assert (found.kinds, found.visible) == ({}, len(SEEN) + 1)
    assert " ".join(tree.find("body").itertext()) == f"{SEEN} x"


@given(st.text(alphabet="displaynoe:;()!%#0123px -,/\\\"'", max_size=60))
@example("display:none")
@example("display:none!important;display:x")
def test_whatever_a_style_says_text_is_either_seen_or_hidden(style: str) -> None:
    tree = load_html(page(("", "<p>x</p>")))
    tree.find("body")[0].set("style", style)
    found = strip_hidden(tree)
    assert found.visible + sum(chars for _, chars in found.kinds.values()) == len(SEEN) + 1
    assert len(tree.find("body").text_content()) == found.visible


@pytest.mark.slow
def test_pages_without_hidden_text_are_extracted_to_the_same_bytes(shared_data: Path) -> None:
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    compared = 0
    with (shared_data / "crawl" / "pages-00000.warc.gz").open("rb") as file:
        for record in read_warc(file):
            if not isinstance(record, Record) or not record.is_http or record.row % 5:
                continue
            payload = parse_response(record.block, max_body_bytes=8 << 20)
            html = decode_text(payload.body, payload.charset, True)[0]
            tree = load_html(html)
            if tree is None:
                continue
            before = lxml.html.tostring(tree)
            strip_hidden(tree, html)
            if lxml.html.tostring(tree) != before:
                continue
            compared += 1
            options = {"favor_precision": True, "include_comments": False}
            assert trafilatura.extract(tree, **options) == trafilatura.extract(html, **options)
    assert compared > 20
