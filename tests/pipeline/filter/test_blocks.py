"""Blocks one after another: names, order, and that the size of a slice changes nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.document import SPANS
from pipeline.filter import blocks as blocks_module
from pipeline.filter.blocks import BLOCKS, apply, judge_blocks

ALL: list[tuple[str, Any]] = [(name, block()) for name, block in BLOCKS.items()]
PROSE = (
    "It was the best of times, it was the worst of times, and that is what people have to live with. "
    "The old town lies on a river, whose name nobody has been able to explain. Every spring the water rises! "
    "Then the people go up to the church, and wait there until it falls; most of them bring bread. "
    "Is it dangerous? Nobody has drowned since the bridge was built."
)


def judged(texts: list[str | None], blocks: list[tuple[str, Any]]) -> list[str | None]:
    _, columns = apply(pa.array(texts, pa.string()), blocks)
    return judge_blocks(pa.RecordBatch.from_pydict(columns), blocks).to_pylist()


def test_prose_is_kept_by_all_rules() -> None:
    assert judged([PROSE], ALL) == [None]


def test_the_first_rule_that_is_broken_is_the_reason() -> None:
    assert judged(["a b\na b\na b", "", None, "word", PROSE + " {"], ALL) == [
        "duplicate_lines", "empty_text", "unmeasured", "too_few_words", "curly_bracket"
    ]  # fmt: skip
    assert judged(["word"], [("fineweb", BLOCKS["fineweb"]())]) == ["line_end_punctuation"]


def test_no_two_blocks_share_a_reason() -> None:
    reasons = Counter(reason for _, block in ALL for reason in {rule.reason for rule in block.rules()})
    assert max(reasons.values()) == 1


def test_every_rule_reads_a_column_that_its_block_measures() -> None:
    _, columns = apply(pa.array([PROSE]), ALL)
    assert {f"{name}.{rule.column}" for name, block in ALL for rule in block.rules()} <= set(columns)
    assert columns["c4.spans"].type == SPANS


def test_blocks_after_an_edit_measure_what_it_left() -> None:
    text = PROSE + "\nmenu\nmenu\nmenu"
    edited, after = apply(pa.array([text]), ALL)
    _, before = apply(pa.array([text]), ALL[::-1])
    assert edited.to_pylist() == [PROSE]
    assert after["fineweb.lines"].to_pylist() == [1]
    assert before["fineweb.lines"].to_pylist() == [4]


def test_a_block_may_come_twice_under_two_names() -> None:
    c4 = BLOCKS["c4"]()
    _, columns = apply(pa.array(["one\ntwo words[1] more"]), [("first", c4), ("second", c4)])
    assert columns["first.spans"].to_pylist() == [[{"start": 0, "end": 4}, {"start": 13, "end": 16}]]
    assert columns["second.spans"].to_pylist() == [[]]


@pytest.mark.parametrize("texts", [[], [None], [""], ["\n"], ["\x00"], ["😀"]])
def test_columns_have_the_same_types_for_all_texts(texts: list[str | None]) -> None:
    types = {name: values.type for name, values in apply(pa.array([PROSE]), ALL)[1].items()}
    edited, columns = apply(pa.array(texts, pa.string()), ALL)
    assert {name: values.type for name, values in columns.items()} == types
    assert edited.type == pa.string()
    assert len(edited) == len(texts)


@given(st.lists(st.one_of(st.none(), st.text(" ab.\n", max_size=60), st.just(PROSE)), max_size=6))
def test_slices_change_nothing(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    whole = apply(array, ALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "SLICE_BYTES", 50)
        assert apply(array, ALL) == whole
        assert apply(pa.chunked_array([array, array]).slice(len(array)), ALL) == whole


def test_a_long_text_is_measured_like_a_short_one() -> None:
    text = "\n".join(f"{PROSE} {number}" for number in range(3_000))
    _, columns = apply(pa.array(["before", text, "after"]), ALL)
    assert columns["gopher_quality.words"].to_pylist() == [1, len(text.split()), 1]
    assert columns["c4.lines"].to_pylist() == [1, 3_000, 1]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_defaults_are_a_recipe(name: str) -> None:
    assert TypeAdapter(BLOCKS[name]).validate_python({}) == BLOCKS[name]()
    with pytest.raises(ValueError, match="no_such_key"):
        TypeAdapter(BLOCKS[name]).validate_python({"no_such_key": 1})


def test_real_pages_are_measured_as_they_are_one_by_one(shared_data: Path) -> None:
    text = (shared_data / "text" / "wiki_demo.txt").read_text(encoding="utf-8")
    pages: list[str | None] = [text[at : at + 5_000] for at in range(0, 200_000, 5_000)]
    whole = apply(pa.array(pages), ALL)
    for number in (0, 17, 39):
        edited, columns = apply(pa.array([pages[number]]), ALL)
        assert edited[0] == whole[0][number]
        assert {name: values[0] for name, values in columns.items()} == {
            name: values[number] for name, values in whole[1].items()
        }
