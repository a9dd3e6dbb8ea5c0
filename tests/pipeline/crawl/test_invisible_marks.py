"""Invisible characters that an extractor drops are told beside what else a page hides, with what they say."""

import pytest
from resiliparse.parse.html import HTMLTree

from pipeline.crawl.extract import _all_text, _judge_hidden
from pipeline.crawl.hidden import HiddenText
from pipeline.crawl.hidden.strip import MOST_EXCERPTS
from pipeline.crawl.invisible_marks import with_marks
from pipeline.crawl.main_text import Extractor, main_text
from pipeline.poison.detect import HIDDEN_SURE
from tests.pipeline.poison.planted import HIDDEN, HTML, ORDER, TOLD, inside, paragraphs
from tests.pipeline.poison.prose import pages

NOTHING = HiddenText({}, (), 0)
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in ORDER)
BITS = "".join(f"{ord(letter):08b}" for letter in ORDER).translate({ord("0"): "\u200b", ord("1"): "\u200c"})
BYTES = "\U0001f600" + "".join(chr(0xE00F0 + ord(letter)) for letter in ORDER)
(TEXT,) = pages(4, 1)


def looked(html: str, extractor: Extractor = "trafilatura") -> tuple[str, HiddenText]:
    tree = HTMLTree.parse(html)
    page = _all_text(tree)
    text, hidden = main_text(html, tree, extractor, True)
    assert hidden is not None
    return text, with_marks(hidden, page, text)


@pytest.mark.parametrize(("rule", "said"), [("tag_characters", TAGS), ("zero_width", BITS)])
def test_what_trafilatura_drops_is_told_and_reads_as_instructions(rule: str, said: str) -> None:
    text, hidden = looked(HTML.format(paragraphs(inside(TEXT, said)), ""))
    assert not set(said) & set(text)
    assert hidden.kinds == {rule: (1, len(said))}
    assert [(one.kind, one.text) for one in hidden.texts] == [(rule, ORDER)]
    row = {"hidden": hidden.row()}
    _judge_hidden([row])
    assert row["hidden_score"] >= HIDDEN_SURE
    assert row["hidden_excerpt"] == f"{rule}: {ORDER}"
    assert row["hidden_chars"] == len(said)


@pytest.mark.parametrize("said", [TAGS, BITS, BYTES])
def test_what_the_text_still_has_is_left_to_the_rules_for_texts(said: str) -> None:
    text, hidden = looked(HTML.format(paragraphs(inside(TEXT, said)), ""), "resiliparse")
    assert said in text
    assert hidden == HiddenText({}, (), hidden.visible)


def test_entities_are_characters_too() -> None:
    entities = "".join(f"&#x{ord(letter):x};" for letter in TAGS)
    assert looked(HTML.format(paragraphs(inside(TEXT, entities)), ""))[1].kinds == {"tag_characters": (1, len(TAGS))}


def test_they_stand_before_what_else_the_page_hides() -> None:
    hidden = looked(HTML.format(paragraphs(inside(TEXT, TAGS)), HIDDEN.format(TOLD)))[1]
    assert [one.kind for one in hidden.texts] == ["tag_characters", "display"]


@pytest.mark.parametrize(
    "text",
    [
        "Plain words.",
        "\ufeffA mark at the beginning, and Auf\u00adlage.",
        "Emoji \U0001f469\u200d\U0001f680 and \u2764\ufe0f.",
        "A flag: \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f.",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u202bpaired\u202c",
    ],
)
def test_what_scripts_and_emoji_need_is_no_mark(text: str) -> None:
    assert with_marks(NOTHING, text, "") is NOTHING


def test_a_page_has_no_more_passages_than_are_judged() -> None:
    assert len(with_marks(NOTHING, TAGS * 5_000, "").texts) <= MOST_EXCERPTS
