"""Literals of chat templates: found as they are written and in disguise, and none is left when they are stripped."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison.control import find, has_literal, read_literals

LISTED = sorted({literal for _, literal, _ in read_literals()})
LOOSE = sorted({literal for _, literal, exact in read_literals() if not exact})

Row = tuple[int, str, int, int, float, str]


def rows(*texts: str, rule: str = "control_tokens", literals: tuple[str, ...] = ()) -> list[Row]:
    found = find(TextBatch(pa.array(texts, pa.string())), literals).rows
    return sorted(row for row in found if row[1] == rule)


def stripped(text: str) -> str:
    cut = [row[2:4] for row in rows(text)]
    return "".join(letter for place, letter in enumerate(text) if not any(start <= place < end for start, end in cut))


def test_the_list_has_forty_families_and_says_each_literal_once() -> None:
    families = [family for family, _, _ in read_literals()]
    assert len(set(families)) >= 40
    assert len(LISTED) == len(families)


@pytest.mark.parametrize("literal", LISTED)
def test_each_literal_is_found_where_it_stands(literal: str) -> None:
    text = f"Before it, {literal} and behind it."
    (found,) = rows(text)
    assert (found[2], found[3]) == (11, 11 + len(literal))
    assert found[5].endswith(literal)


DISGUISES = {
    "spaced": lambda literal: literal[:3] + " " + literal[3:],
    "zero-width": lambda literal: "\u200b".join(literal),
    "fullwidth": lambda literal: literal.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),
    "capital": str.upper,
    "look-alike": lambda literal: literal.replace("a", "а").replace("e", "е").replace("o", "ο"),
    "entities": lambda literal: literal.replace("<", "&lt;").replace(">", "&gt;"),
    "entities twice": lambda literal: literal.replace("<", "&amp;lt;").replace(">", "&amp;#62;"),
    "mathematical": lambda literal: "".join(
        chr(0x1D5EE + ord(letter) - ord("a")) if "a" <= letter <= "z" else letter for letter in literal
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DISGUISES)
def test_disguised_literals_are_found_whole(name: str) -> None:
    disguised = [DISGUISES[name](literal) for literal in LOOSE]
    found = rows(*(f"Before it, {literal} and behind it." for literal in disguised))
    assert [row[2:4] for row in found] == [(11, 11 + len(literal)) for literal in disguised]


def test_the_score_tells_a_disguise() -> None:
    assert [row[4] for row in rows("a <|im_start|> b", "a <|im_ start|> b")] == [1.0, 2.0]


def test_what_deepseek_writes_is_found() -> None:
    found = rows("<｜begin▁of▁sentence｜>Hi<｜User｜>")
    assert [row[5] for row in found] == ["deepseek: <｜begin▁of▁sentence｜>", "phi: <｜User｜>"]


def test_tokens_of_no_known_family_are_found_by_their_form() -> None:
    assert [row[5] for row in rows("see <|my_own_token_17|> here")] == ["other: <|my_own_token_17|>"]


def test_the_literals_of_the_configured_tokenizer_are_found_besides() -> None:
    assert rows("see @@turn@@ here") == []
    assert [row[5] for row in rows("see @@turn@@ here", literals=("@@turn@@",))] == ["tokenizer: @@turn@@"]


@pytest.mark.parametrize(
    "text",
    [
        "f <| g |> h, and x <| y", "a < b | c > d", "arr[INST_ID] [Sep] 2020 [mask] [inst.]", "<b>bold</b> <p>text</p>",
        "shift 1 << 3 >> 2, a <- b", "<system> <user> <start>", "if (s<s2) {", "| a | b |\n|---|---|",
        "in [1] and [2]", "<!-- start of turn -->",
    ],
)  # fmt: skip
def test_code_and_prose_with_the_like_pass(text: str) -> None:
    assert rows(text) == []


def test_strikethrough_passes_and_the_marks_of_a_sentence_do_not() -> None:
    assert rows("Only today: <s>20 euros</s> 15 euros") == []
    assert rows("Write <s> or <del>, and close it: </s></del>") == []
    assert len(rows("<s>[INST] Hello [/INST] Hi</s>")) == 4
    assert len(rows("the answer is four.</s>")) == 1
    assert len(rows("<s> the answer is four.")) == 1


def test_stripping_leaves_no_literal_that_was_around_another() -> None:
    text = "a <|im_<|im_start|>start|> b"
    assert rows(text)[0][2:4] == (2, 26)
    assert stripped(text) == "a  b"


@pytest.mark.parametrize("depth", [1, 5, 9, 40])
def test_however_deep_they_are_nested(depth: int) -> None:
    text = "first line\n" + "x <|im_" * depth + "<|eot|>" + "start|>" * depth + "\nlast line"
    left = stripped("first line\n" + "<|im_" * depth + "<|eot|>" + "start|>" * depth + "\nlast line")
    assert rows(left) == []
    assert left.startswith("first line\n")
    assert left.endswith("\nlast line")
    assert len(rows(stripped(text))) == 0


PIECES = ["<|", "|>", "im_start", "<", ">", "|", "[", "]", "INST", "/", " ", "\n", "eot", "<s>", "&lt;", "a", "\u200b"]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_nothing_is_left_in_what_is_stripped(text: str) -> None:
    assert [row for row in rows(stripped(text)) if "<s>" not in row[5]] == []


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1, max_size=4))
def test_a_document_is_judged_as_if_it_were_alone(texts: list[str]) -> None:
    assert [row[1:] for row in rows(*texts)] == [row[1:] for text in texts for row in rows(text)]
    assert has_literal(texts).tolist() == [bool(rows(text)) for text in texts]


@pytest.mark.parametrize("piece", ["<|", "<|im_", "[[[&amp;", "< ", "&lt;|", "\u200b<"])
def test_half_a_megabyte_of_openers_is_nothing_special(piece: str) -> None:
    assert rows(piece * (500_000 // len(piece))) == []


# Roles


def test_a_transcript_is_tagged_when_both_sides_speak() -> None:
    (found,) = rows("Some talk.\n\nHuman: why?\n\nAssistant: because.", rule="control_roles")
    assert found[2:5] == (12, 35, 2.0)
    assert found[5] == "Human: Assistant:"
    assert len(rows("### Instruction:\nSum it.\n\n### Response:\nFour.", rule="control_roles")) == 1
    assert len(rows("**User**: hi\n**AI:** hello", rule="control_roles")) == 1


@pytest.mark.parametrize("text", ["Human: the story of us", "The user: a study\nmodel trains", "Q: why?\nA: because."])
def test_one_side_alone_is_a_heading(text: str) -> None:
    assert rows(text, rule="control_roles") == []
