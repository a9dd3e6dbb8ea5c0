"""Paragraphs are jusText's own, one by one."""

from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from justext.core import ParagraphMaker as Library  # type: ignore[import-untyped]
from justext.core import classify_paragraphs, revise_paragraph_classification
from lxml.etree import Comment, Element, SubElement

from pipeline.crawl.paragraphs import ParagraphMaker

STOP_WORDS = frozenset(["the", "of", "and", "to", "in"])
SENTENCE = "In the morning the boats came back to the harbour, and the people of the village went down to meet them. "


def found(maker: Any, root: Any) -> list[tuple[object, ...]]:
    """All that is known of each paragraph, after its classification."""
    paragraphs = maker.make_paragraphs(root)
    classify_paragraphs(paragraphs, STOP_WORDS, 50, 150, 0.1, 0.2, 0.25, True)
    revise_paragraph_classification(paragraphs, 150)
    return [
        (p.text, p.dom_path, p.tags_count, p.chars_count_in_links, p.class_type, len(p), p.words_count, p.is_heading)
        for p in paragraphs
    ]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "text by itself",
        f"<p>{SENTENCE * 2}</p><p>short</p><h2>A heading</h2><p>{SENTENCE * 3}</p>",
        f"<div>{SENTENCE}<a href=/x>{SENTENCE}</a> tail<br>after a break<br><br>after two<br> <br>after two more</div>",
        "<p>a  b\n\tc\r\nd \xa0 e</p><p>  </p><p>&nbsp;</p><pre>x\n\n y</pre>",
        "<ul><li><a href=/1>one</a><li><a href=/2>two <b>bold</b></a></ul><select><option>x</select>",
        "<p>one <span>two <i>three</i> four</span> five<p>&copy; 2020 the owners",
        "<div>before<!-- said -->after<p>x</p><!-- said -->tail</div>end",
        "<table><tr><td>a<td>b<tr><td><p>c</table><br><br><br>d",
    ],
)
def test_small_documents(body: str) -> None:
    tree = lxml.html.fromstring(f"<html><head><title>t</title></head><body>{body}</body></html>")
    assert found(ParagraphMaker, tree) == found(Library, tree)


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """Up to 20 elements, each below an earlier one, with texts and tails."""
    root = Element("body")
    elements = [root]
    texts = st.sampled_from(["", " ", "\n ", "word", " two  words ", SENTENCE, "\xa0x"])
    for _ in range(draw(st.integers(1, 20))):
        parent = elements[draw(st.integers(0, len(elements) - 1))]
        tag = draw(st.sampled_from("p div br br a a span h1 li td select pre !".split()))
        if tag == "!":
            parent.append(element := Comment("said"))
        else:
            elements.append(element := SubElement(parent, tag))
            element.text = draw(texts)
        element.tail = draw(texts)
    return root


@given(tree=trees())
def test_any_tree(tree: Any) -> None:
    assert found(ParagraphMaker, tree) == found(Library, tree)
