"""Properties that are left out of a page's cascade decide nothing there: what is hidden is the same as with all."""

from collections.abc import Iterator
from unittest.mock import patch

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crawl.hidden import style, walk
from pipeline.crawl.hidden.dangers import block_of, followed
from pipeline.crawl.hidden.values import READERS
from tests.pipeline.crawl.hidden.tricks import HIDES, HIDING, SECRET, SHOWS, page

EVERYTHING = frozenset(
    longhand
    for name, read in READERS.items()
    for text in ("inherit", "1px", "none")
    for longhand in (name, *read(text))
)


def properties(body: str, *blocks: str) -> frozenset[str]:
    return followed(map(block_of, blocks), lxml.html.document_fromstring(body))


def test_a_page_that_can_hide_nothing_is_not_asked_about() -> None:
    assert properties("<p>x</p>", "margin:-10px;padding:4px;color:#333;background:#fff", "width:10px") == frozenset()


def test_sizes_count_where_a_box_may_be_cut() -> None:
    assert "width" not in properties("<p>x</p>", "width:0")
    assert "width" in properties("<p>x</p>", "width:0", "overflow:hidden")


def test_sizes_in_em_need_the_font() -> None:
    assert "font-size" in properties("<p>x</p>", "height:.01em;overflow:hidden")
    assert properties("<p>x</p>", "height:3em;overflow:hidden") == frozenset()
    assert "height" in properties("<p>x</p>", "height:3em;overflow:hidden", "font-size:10%")


@pytest.mark.parametrize(
    ("body", "counts"),
    [("<p>x</p>", False), ("<a>x</a>", True), ("<p bgcolor=white>x</p>", False),
     ("<table bgcolor=black><tr><td>x</table>", True)],
)  # fmt: skip
def test_colours_count_where_two_may_be_alike(body: str, counts: bool) -> None:
    assert ("color" in properties(body, "background:#00d")) == counts


def test_a_box_counts_where_an_attribute_takes_it_away() -> None:
    assert "display" not in properties("<p>x</p>", "display:block")
    assert "display" in properties("<p hidden>x</p>", "display:block")


DECLARATIONS = [
    f"{name}:{value}"
    for names, values in [
        ("display", "none block inline flex table"), ("visibility", "hidden visible"), ("opacity", "0 .2 .9 1"),
        ("font-size font", "1px .2em 50% 16px 2em inherit"), ("position", "absolute fixed relative static"),
        ("float", "left none"), ("text-indent", "-9999px 99em 100% 1em 0"), ("white-space", "nowrap normal"),
        ("left top right bottom", "-9999px -60px -99em 5000px 0 auto"),
        ("margin-left margin-top margin", "-9999px -60px -70em 0"),
        ("width height max-height min-height", "0 1px .4em 3em 60px auto"), ("padding padding-left", "0 4px"),
        ("overflow overflow-x", "hidden visible"), ("transform", "scale(0) translateX(-100%) translateY(-5000px) none"),
        ("clip", "rect(0,0,0,0) auto"), ("clip-path", "inset(50%) none"), ("filter", "opacity(0) none"),
        ("color -webkit-text-fill-color", "#fff #000 #7f7f7f inherit transparent rgba(0,0,0,.02)"),
        ("background background-color", "#fff #000 #7f7f7f rgba(0,0,0,.5) transparent"), ("text-shadow", "red none"),
    ]
    for name in names.split()
    for value in values.split()
]  # fmt: skip
STYLES = st.lists(st.sampled_from(DECLARATIONS), max_size=5).map(";".join)
TREES: st.SearchStrategy[tuple] = st.recursive(
    st.tuples(st.sampled_from(["div", "p", "span", "a", "button", "font"]), STYLES, st.just([])),
    lambda inner: st.tuples(
        st.sampled_from(["div", "td", "span", "a"]), STYLES, st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150)
@given(TREES)
def test_what_is_left_out_decides_nothing(shape: tuple) -> None:
    tree = lxml.html.document_fromstring(f"<html><body>{''.join(written(shape))}</body></html>")
    with patch.object(style, "followed", lambda *_: EVERYTHING):
        expected = texts(tree)
    assert texts(tree) == expected


INDENTED = ("", f'<p style="text-indent:100%;white-space:nowrap;overflow:hidden">{SECRET}</p>')


@pytest.mark.parametrize("trick", [INDENTED, *(HIDES[kind][name] for kind, name in HIDING), *SHOWS.values()])
def test_nor_in_pages_made_to_hide(trick: tuple[str, str]) -> None:
    tree = lxml.html.document_fromstring(page(trick))
    with patch.object(style, "followed", lambda *_: EVERYTHING):
        expected = texts(tree)
    assert texts(tree) == expected


def written(shape: tuple) -> Iterator[str]:
    tag, declared, children = shape
    yield f'<{tag} href="x" style="{declared}">in '
    for child in children:
        yield from written(child)
    yield f"</{tag}>behind "


def texts(tree: lxml.html.HtmlElement) -> tuple[list[tuple[str, str]], int]:
    """(kind, text) of what is hidden, piece by piece; characters of what is not."""
    walked = walk.Walker(tree).walk()
    return [(region.kind, text) for region in walked.hidden for text in region.texts], walked.visible
