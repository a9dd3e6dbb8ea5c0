"""Walks find what lxml finds, element for element; and trafilatura writes the same text with them as without."""

import importlib.util
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import lxml.html
import pytest
import trafilatura
from hypothesis import given
from hypothesis import strategies as st
from lxml.etree import Comment, Element, SubElement, XPath
from trafilatura import external, xpaths

from pipeline.crawl import walks
from pipeline.crawl.http import decode_text, parse_response
from pipeline.crawl.prune import Element as QuickElement
from pipeline.crawl.prune import RarelyFound, precise, quicken
from pipeline.crawl.walks import UnknownExpressionError, Walk, read_expression
from pipeline.crawl.warc import Record, read_warc


def fresh_xpaths() -> ModuleType:
    """The library's module once more, for other tests may have changed the one that it uses."""
    spec = importlib.util.spec_from_file_location("fresh_xpaths", str(xpaths.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pairs() -> Iterator[tuple[str, XPath, Walk]]:
    for name, expressions in vars(fresh_xpaths()).items():
        for number, expression in enumerate(expressions if isinstance(expressions, list) else ()):
            try:
                yield f"{name}[{number}]", expression, read_expression(expression.path)
            except UnknownExpressionError:
                continue


PAIRS = list(pairs())

# For each token of the expressions a value that has it, as sites write them, and some that almost have it.
VALUES = """
post entry articleContent entry-content art-content article__content article__body article-body articleBody body-text
post-text post_text post-body post-entry postentry post-content post_content postContent post_inner_wrapper
article-text articleText text-content ArticleContent article__container primary story-body article post-bodycopy
story-content blog-content single-post main-column wpb_text_column field-body postarea art-postcontent text cell story
FullText content content-main content-body contentBody content_main content__body main-content Main-Content
page-content Page-Content comment-list commentlist comment-page comments-content post-comments comment-1 comments
Comments article-comments comol disqus_thread dsq-comments social comment commentary Comment mvp-post-add-box
mvp-post-add-wrap infinite-scroll infinitescroll elementor-share-buttons cookie shar share Share x-social viral
newsletter syndication tags sidebar banner breadcrumb bread-crumb button author jp-relatedposts dpsp-content bmdh
footer Footer nav Nav menu related message-container premium ad-left nav-bar post-nav ZendeskForm subnav Navigation
navbar navbox bar top-ad-box ad-box dfpad dfpAd outbrain taboola criteo paid-content paidcontent widget byline Byline
share-it sociable embedded embed tag-list consent modal-content permission Related next-page top-stories most-popular
more-on meta rating attachment timestamp user-info user-profile x-icon article-infos slide viewport overlay options
expand obfuscated blurred mol-factbox yin zlylin infoline comments-title reply-1 hidden reader-comments akismet
hide-me nocomments x-reply-y message suggest-links x-hide-y hide-print hide noprint notloaded teaser Teaser TEASER
bottom a-bottom link permalink Padding-bottom-lg caption respond signin title date ProductReviews is-hidden quote
embedly-instagram article-share article-support print category meta-date meta-reviewer comment_list POST NAV mainly
""".split()
VALUES += ["article wide", "x ad y", "left ad-box", "page bottom", "bottom x", "a link b", "a hidden", "a hide"]
STYLES = ["display:none", "display: none", "border-top: 1px", "visibility:hidden", "color: red"]
OTHERS = {
    "role": ["article", "Navigation", "nav", "main", "banner"],
    "aria-hidden": ["true", "false"],
    "data-component": ["MostPopularStories", "Figure", "x"],
    "data-lp-replacement-content": ["", "x"],
    "itemprop": ["articleBody", "author"],
    "href": ["/nav/share"],
}
TAGS = "div section p span list item article main ul ol details aside a h1 header table cite li".split()


def differences(tree: Any) -> list[str]:
    return [name for name, expression, walk in PAIRS if walk(tree) != expression(tree)]


def arrangements(value: str) -> Iterator[str]:
    yield f'class="{value}"'
    yield f'id="{value}"'
    yield f'id="x" class="{value}"'
    yield f'class="x" id="{value}"'
    yield f'class="{value}" id="x"'
    yield f'class="{value.upper()}" style="border"'


@pytest.mark.parametrize("tag", TAGS)
def test_every_token_is_found_where_lxml_finds_it(tag: str) -> None:
    inner = "".join(f"<{tag} {a}><i>x</i></{tag}>" for value in VALUES for a in arrangements(value))
    inner += "".join(f'<{tag} style="{style}"></{tag}><{tag} style="{style}" id="hidden"></{tag}>' for style in STYLES)
    inner += "".join(f'<{tag} {name}="{value}">x</{tag}>' for name in OTHERS for value in OTHERS[name])
    tree = lxml.html.fromstring(f"<html><body>{inner}<{tag}>no attributes</{tag}></body></html>")
    assert differences(tree) == []
    assert differences(tree.find("body")) == []


@pytest.mark.parametrize("value", VALUES)
def test_every_token_by_itself(value: str) -> None:
    """An expression that takes the first of a document must not find another one."""
    for arrangement in arrangements(value):
        assert differences(lxml.html.fromstring(f"<html><body><div {arrangement}>x</div></body></html>")) == []


def test_the_values_above_have_every_token() -> None:
    for name, expression, _ in PAIRS:
        if name.startswith("AUTHOR"):
            continue
        for pattern, flags in re.findall(r"re:test\([^,]*, '([^']*)'(, 'i')?\)", expression.path):
            for token in re.split(r"\|(?![^(]*\))", pattern):
                found = [value for value in VALUES + STYLES if re.search(token, value, re.IGNORECASE if flags else 0)]
                assert found, f"{name}: {token}"


@pytest.mark.parametrize(
    "html",
    [
        "<div class=footer><div id=footer><p class=footer>a</p></div>b</div>",  # nested matches
        "<div><div class=post>a</div><div class=post>b</div></div><section><div class=entry>c</div></section>",
        "<div class=post><div class=post><div class=post>a</div><div class=entry>b</div></div></div>",  # ...[1]
        "<div id=story>a</div><div id=story>b</div><main class=main>c</main>",  # (...)[1]
        "<div id=nothing class=cookie>a</div><div class=nothing id=cookie>b</div><div class=cookie>c</div>",
        "<div id='' class=cookie>a</div><div class='' id=cookie>b</div><div id class>c</div>",  # empty, and first
        "<div style='x' id=hidden>a</div><div id='x' style='visibility:hidden'>b</div>",
        "<ul id=disqus_thread><li>a</ul><ul id=comments><li>b</ul>",
        "<div id=disqus_thread>c</div><ol class=comment>d</ol>",
        "<div class=infinite-scroll><h1>a</h1></div><div class=infinite-scroll>b</div>",
        "<div id=mvp-post-add-box><h1>c</h1></div>",
        "<DIV CLASS=Footer>a</DIV><div CLASS=footer ID=FOOTER>b</div>",
        "<div data-lp-replacement-content>a</div><div data-lp-replacement-content=x class=y>b</div>",
        f"<div class='{'x' * 300} footer'>a</div><div class='{'x' * 300}'>b</div>",  # too long to be remembered
        "<div>none</div>",
    ],
)
def test_small_documents(html: str) -> None:
    tree = lxml.html.fromstring(f"<html><body>{html}</body></html>")
    assert differences(tree) == []


def test_the_element_itself_is_not_found() -> None:
    tree = lxml.html.fromstring("<div class=post id=footer><p>x</p><p>y</p></div>")
    assert [walk(tree) for _, _, walk in PAIRS] == [[]] * len(PAIRS)
    assert differences(tree) == []


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """Up to 20 elements, each below an earlier one, with attributes in any order."""
    root = Element("body")
    elements = [root]
    values = st.lists(st.sampled_from([*VALUES, "x"]), min_size=1, max_size=2).map(" ".join)
    attributes = {"id": values, "class": values, "style": st.sampled_from(STYLES)}
    attributes |= {name: st.sampled_from(found) for name, found in OTHERS.items()}
    for _ in range(draw(st.integers(1, 20))):
        element = SubElement(elements[draw(st.integers(0, len(elements) - 1))], draw(st.sampled_from(TAGS)))
        often = st.sampled_from(["id", "class", "class", *attributes])
        for name in draw(st.lists(often, max_size=3, unique=True)):
            element.set(name, draw(attributes[name]))
        elements.append(element)
    return root


@given(tree=trees())
def test_a_walk_finds_what_the_expression_finds(tree: Any) -> None:
    assert differences(tree) == []


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "MOST_VALUES", 3)
    inner = "".join(f"<div {a}>x</div>" for value in VALUES for a in arrangements(value))
    tree = lxml.html.fromstring(f"<html><body>{inner}</body></html>")
    for name, expression, _ in PAIRS:
        walk = read_expression(expression.path)
        assert walk(tree) == expression(tree), name
        assert walk(tree) == expression(tree), name
        assert all(len(column) <= 3 for column in walk.columns.values())


def test_the_dear_expressions_are_understood() -> None:
    understood = {name for name, _, _ in PAIRS}
    assert understood >= {
        "RAW_TREE_PRUNE_XPATH[0]", "RAW_TREE_PRUNE_XPATH[1]", "REMOVE_COMMENTS_XPATH[0]",
        "REMOVE_COMMENTS_AND_LISTS_XPATH[0]", "BODY_XPATH[0]", "BODY_XPATH[2]", "BODY_XPATH[3]",
        "OVERALL_DISCARD_XPATH[0]", "OVERALL_DISCARD_XPATH[1]", "TEASER_DISCARD_XPATH[0]",
        "PRECISION_DISCARD_XPATH[1]", "DISCARD_IMAGE_ELEMENTS[0]",
    }  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    [
        "//div[@id='a']",
        ".//header",
        ".//div[self::p]",
        ".//div[@id='a' or .//p]",
        ".//div[not(@id='a')]",
        ".//div[re:test(@class, 'a?')]",  # holds without a class
        ".//div[contains(@class, '')]",
        ".//div[contains(translate(@class, 'AB', 'a'), 'a')]",
        ".//div[@id='a']/p",
        ".//div[@id='a'][1][@class='b']",
        ".//div[@id='a'][2]",
        './/div[@id="a"]|.//p',
        ".//div[@id='a'",
        ".//div[string-length(@id) > 3]",
        "",
    ],
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        read_expression(expression)


EXTRACT = """
import json, logging, sys, trafilatura
logging.disable(logging.CRITICAL)
pages = json.load(sys.stdin)
print(json.dumps([trafilatura.extract(page, favor_precision=True, include_comments=False) for page in pages]))
"""


def unchanged(pages: list[str]) -> list[str | None]:
    """What trafilatura says in a process where nothing was done to it."""
    done = subprocess.run([sys.executable, "-c", EXTRACT], input=json.dumps(pages), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def quickened(pages: list[str]) -> list[str | None]:
    quicken()
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return [trafilatura.extract(page, options=precise()) for page in pages]


SENTENCE = "In the morning the boats came back to the harbour, and the people of the village went down to meet them. "


def test_small_pages_have_the_same_text() -> None:
    paragraph = f"<p>{SENTENCE * 3}</p>"
    pages = [
        f"<html><body><{tag} class='post-content'>{paragraph * 3}<div class='{value}'>{paragraph}</div>tail"
        f"<form><input value=x><select><option>a</select><textarea>b</textarea></form></{tag}>"
        f"<footer id='{value}'>{SENTENCE}</footer></body></html>"
        for value in ("x", "footer", "teaser", "cookie", "comments", "link", "share-it", "hidden")
        for tag in ("article", "div", "table")
    ]
    pages += [
        f"<html><body><aside>{SENTENCE}</aside><nav>{SENTENCE}</nav>{SENTENCE * 5}</body></html>"
    ]  # jusText's turn
    assert quickened(pages) == unchanged(pages)
    assert isinstance(external.JT_STOPLIST, frozenset)


@given(tree=trees(), texts=st.lists(st.sampled_from(["", " ", "word", "two\nwords", "\xa0é"]), min_size=1))
def test_an_element_has_the_text_that_xpath_finds(tree: Any, texts: list[str]) -> None:
    for number, element in enumerate(tree.iter()):
        element.text, element.tail = texts[number % len(texts)], texts[(3 * number + 1) % len(texts)]
    tree.append(Comment("said"))
    for element in tree.iter("*"):
        assert QuickElement.text_content(element) == element.xpath("string()")


@given(st.text(st.characters() | st.sampled_from("\x00\x08\x0b\x1f\x7f\ufffd\ufffe\uffff\ud800"), max_size=30))
def test_control_characters_go_as_they_did(text: str) -> None:
    pattern = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
    assert RarelyFound(pattern).sub("", text) == pattern.sub("", text)


@pytest.mark.slow
def test_real_pages_have_the_same_text(shared_data: Path) -> None:
    pages = []
    for path in sorted((shared_data / "crawl").glob("*.warc.gz"))[::3]:
        with path.open("rb") as file:
            for number, record in enumerate(event for event in read_warc(file) if isinstance(event, Record)):
                payload = parse_response(record.block, max_body_bytes=8 << 20)
                if number % 7 == 0 and payload.error is None and payload.body:
                    pages.append(decode_text(payload.body, payload.charset, True)[0])
    assert len(pages) > 140
    texts = quickened(pages)
    assert sum(bool(text) for text in texts) > 100
    assert texts == unchanged(pages)
