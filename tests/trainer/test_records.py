import contextlib
import gzip
import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.conversation import Call, Message, to_json
from trainer.records import (
    Demonstration,
    Limits,
    RecordsError,
    digest,
    read_comparisons,
    read_demonstrations,
    read_prompts,
    read_unpaired,
    split,
)
from trainer.records.kinds import demonstration, prompt, ranking, unpaired
from trainer.records.read import KINDS, READ, kind_of
from trainer.records.rows import parse
from trainer.records.turns import hh_turns

USER, ANSWER = {"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}
ASKED, ANSWERED = Message("user", "2 + 2?"), Message("assistant", "4")
GOOD = {"messages": [USER, ANSWER]}


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Rows (objects, or lines as they stand) -> a JSONL file."""

    def write(*rows: object, name: str = "data.jsonl") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return tmp_path / name

    return write


def complaint(path: Path, read: Any = read_demonstrations, **options: Any) -> str:
    with pytest.raises(RecordsError) as raised:
        read(path, **options)
    return str(raised.value)


# Demonstrations


def test_messages_are_a_demonstration(write: Any) -> None:
    (record,) = read_demonstrations(write({"messages": [{"role": "system", "content": "Count."}, USER, ANSWER]}))
    assert record.messages == (Message("system", "Count."), ASKED, ANSWERED)
    assert record.weight == 1
    assert record.prompt == record.messages[:2]


def test_prompt_and_completion_are_one_too(write: Any) -> None:
    path = write(
        {"prompt": "2 + 2?", "completion": "4", "weight": 0.5},
        {"prompt": [USER, ANSWER, USER], "completion": [ANSWER]},
    )
    texts, lists = read_demonstrations(path)
    assert texts.messages == (ASKED, ANSWERED)
    assert texts.weight == 0.5
    assert [turn.trained for turn in lists.messages if turn.role == "assistant"] == [False, True]


def test_tools_are_called_in_openais_form(write: Any) -> None:
    def call(arguments: object, **more: object) -> dict[str, Any]:
        return {"type": "function", "function": {"name": "calculator", "arguments": arguments}, **more}

    turns = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("2 + 2", id="a"), call({"x": "é"}, id="b")]},
        {"role": "tool", "content": "4", "tool_call_id": "a"},
        {"role": "tool", "content": [{"type": "text", "text": "no "}, {"type": "text", "text": "é"}]},
        ANSWER,
    ]
    (record,) = read_demonstrations(write({"messages": turns}))
    assert record.messages[1:4] == (
        Message("assistant", "", (Call("calculator", "2 + 2"), Call("calculator", '{"x": "é"}'))),
        Message("tool", "4"),
        Message("tool", "no é"),
    )


def test_results_in_another_order_than_the_calls_are_refused(write: Any) -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": ""}} for name in "ab"]
    results = [{"role": "tool", "content": name, "tool_call_id": name} for name in "ba"]
    path = write({"messages": [USER, {"role": "assistant", "tool_calls": calls}, *results, ANSWER]})
    assert "message 3: the result of call 'b' where that of 'a' was expected" in complaint(path)


@pytest.mark.parametrize("flag", [{"train": False}, {"weight": 0}])
def test_a_message_can_be_left_out_of_training(write: Any, flag: dict[str, Any]) -> None:
    (record,) = read_demonstrations(write({"messages": [USER, ANSWER | flag, USER, ANSWER | {"weight": 1}]}))
    assert [turn.trained for turn in record.messages] == [True, False, True, True]
    assert record.prompt == record.messages[:3]


def test_a_labelled_bad_answer_is_no_demonstration(write: Any) -> None:
    path = write({"prompt": "2 + 2?", "completion": "5", "label": False})
    assert "a row of unpaired, not of demonstrations" in complaint(path)


# Comparisons and rankings


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"},
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [{"role": "assistant", "content": "5"}]},
        {"chosen": [USER, ANSWER], "rejected": [USER, {"role": "assistant", "content": "5"}]},
        {"prompt": "2 + 2?", "chosen": [USER, ANSWER], "rejected": [USER, {"role": "assistant", "content": "5"}]},
        {"chosen": "\n\nHuman: 2 + 2?\n\nAssistant: 4", "rejected": "\n\nHuman: 2 + 2?\n\nAssistant: 5"},
        {"prompt": "\n\nHuman: 2 + 2?\n\nAssistant:", "chosen": "4", "rejected": "5"},
        {"prompt": "2 + 2?", "completions": ["5", "4"], "ranks": [2, 1]},
        {"prompt": "2 + 2?", "completions": [[ANSWER], "5"], "ranks": [1, 2], "margin": None},
    ],
)
def test_a_comparison_is_the_same_however_it_is_written(write: Any, row: dict[str, Any]) -> None:
    (record,) = read_comparisons(write(row))
    assert record == ranking([ASKED], [said("4"), said("5")], [1, 2])
    (pair,) = record.comparisons()
    assert (pair.prompt, pair.chosen, pair.rejected, pair.margin) == ((ASKED,), said("4"), said("5"), None)
    assert pair.id == record.id


def test_a_margin_and_a_weight_come_along(write: Any) -> None:
    (record,) = read_comparisons(
        write({"prompt": "2 + 2?", "chosen": "4", "rejected": "5", "margin": 1 / 3, "weight": 2})
    )
    (pair,) = record.comparisons()
    assert (pair.margin, pair.weight) == (1 / 3, 2)


def test_what_two_conversations_share_is_the_prompt(write: Any) -> None:
    """Up to the last thing that an assistant answers; those that part at a question have tails of several turns."""
    more = {"role": "user", "content": "Sure?"}
    other = {"role": "user", "content": "Really?"}
    (record,) = read_comparisons(
        write({"chosen": [USER, ANSWER, more, ANSWER], "rejected": [USER, ANSWER, other, ANSWER]})
    )
    assert record.prompt == (ASKED,)
    assert record.completions[0] == (ANSWERED, Message("user", "Sure?"), ANSWERED)
    (record,) = read_comparisons(write({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER, more, ANSWER]}))
    assert record.prompt == (ASKED,)
    assert record.completions[0] == (ANSWERED,)


def test_the_prompts_answers_are_not_trained_on(write: Any) -> None:
    (record,) = read_comparisons(write({"prompt": [USER, ANSWER, USER], "chosen": "4", "rejected": "5"}))
    assert [turn.trained for turn in (*record.prompt, *record.completions[0])] == [True, False, True, True]


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_a_ranking_gives_all_its_pairs(drawn: list[int]) -> None:
    levels = sorted(set(drawn))
    ranks = [levels.index(rank) + 1 for rank in drawn]
    texts = [f"answer {number}" for number in range(len(ranks))]
    record = ranking([ASKED], [said(text) for text in texts], ranks)
    found = {(record.completions[w][0].content, record.completions[r][0].content) for w, r in record.pairs()}
    both = itertools.permutations(range(len(ranks)), 2)
    assert found == {(texts[one], texts[two]) for one, two in both if ranks[one] < ranks[two]}
    assert len(found) == len(record.pairs())
    assert record.tied == (not found)
    if found:
        assert sum(pair.weight for pair in record.comparisons()) == pytest.approx(1)


def test_ranks_may_have_gaps_and_any_order(write: Any) -> None:
    one, two = read_comparisons(
        write(
            {"prompt": "?", "completions": ["c", "a", "b", "d"], "ranks": [3, 1, 1, 4]},
            {"prompt": "?", "completions": ["b", "a", "c", "e"], "ranks": [1, 1, 2, 3]},
        )
    )
    assert [turns[0].content for turns in one.completions] == ["a", "b", "c", "d"]
    assert one.ranks == two.ranks == (1, 1, 2, 3)


def test_a_ranking_in_which_all_are_equal_is_left_out_with_a_note(write: Any) -> None:
    records = read_comparisons(
        write(
            {"prompt": "?", "completions": ["a", "b"], "ranks": [1, 1]},
            {"prompt": "?", "chosen": "a", "rejected": "c"},
        )
    )
    assert len(records) == 1
    assert "1 rankings are left out" in records.notes[0]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"rejected": "4"}, "chosen = rejected"),
        ({"margin": -1}, "margin is -1"),
        ({"margin": "big"}, "margin is 'big'; expected a number"),
        ({"margin": True}, "margin is True; expected a number"),
        ({"weight": 0}, "weight is 0.0; expected more than 0"),
        ({"prompt": ""}, "an empty prompt"),
        ({"prompt": [USER, ANSWER]}, "the prompt ends with the assistant"),
        ({"prompt": [{"role": "system", "content": "x"}]}, "the prompt ends with the system"),
        ({"chosen": []}, "an answer begins and ends with an assistant's message"),
        ({"chosen": [USER, ANSWER, USER]}, "an answer begins and ends"),
        (
            {"chosen": [{"role": "user", "content": "3 + 3?"}, ANSWER]},
            "chosen: it begins with the user, but not with the",
        ),
        ({"prompt": None}, "a dialogue in text must begin"),
        ({"rejected": None}, "found 'prompt', 'chosen': that is a row of prompts, not of comparisons"),
    ],
)
def test_what_is_wrong_with_a_comparison_is_told(write: Any, change: dict[str, Any], wrong: str) -> None:
    row = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"} | change
    message = complaint(write({"prompt": "fine", "chosen": "4", "rejected": "5"}, row), read_comparisons)
    assert "data.jsonl:2: " in message
    assert wrong in message


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"ranks": [1]}, "2 completions and 1 ranks"),
        ({"ranks": [0, 1]}, "expected 1 for the best up to 2"),
        ({"ranks": [7, 9]}, "expected 1 for the best up to 2"),
        ({"ranks": [1, 0.5]}, "expected whole numbers"),
        ({"ranks": [True, 2]}, "expected whole numbers"),
        ({"ranks": "12"}, "ranks is no list"),
        ({"completions": ["a"], "ranks": [1]}, "expected two or more"),
        ({"completions": ["a", 5]}, "completions: a number; expected a list of messages"),
        ({"completions": ["a", "a"]}, "both better and worse"),
        ({"completions": ["a", "b", "c"], "ranks": [1, 2, 3], "margin": 1}, "a margin and 3 completions"),
    ],
)
def test_what_is_wrong_with_a_ranking_is_told(write: Any, change: dict[str, Any], wrong: str) -> None:
    assert wrong in complaint(
        write({"prompt": "?", "completions": ["a", "b"], "ranks": [1, 2]} | change), read_comparisons
    )


# Verdicts and prompts


def test_an_answer_with_a_verdict(write: Any) -> None:
    path = write(
        {"prompt": "2 + 2?", "completion": "4", "label": True},
        {"prompt": "2 + 2?", "completion": "5", "label": False},
        {"messages": [USER, ANSWER, USER, ANSWER], "label": True},
    )
    good, bad, long = read_unpaired(path)
    assert good == unpaired([ASKED], said("4"), True)
    assert (bad.completion, bad.good) == (said("5"), False)
    assert len(long.prompt) == 3


@pytest.mark.parametrize("label", ["true", 1, None])
def test_a_verdict_is_true_or_false(write: Any, label: object) -> None:
    assert "label" in complaint(write({"prompt": "2 + 2?", "completion": "4", "label": label}), read_unpaired)


def test_a_prompt_may_have_its_right_answer(write: Any) -> None:
    path = write(
        {"prompt": "2 + 2?"}, {"prompt": [USER], "answer": "4"}, {"prompt": "2 + 2?", "solution": 5, "chosen": "4"}
    )
    assert [record.answer for record in read_prompts(path)] == [None, "4", "5"]
    assert {record.messages for record in read_prompts(path)} == {(ASKED,)}


def test_a_prompt_waits_for_the_assistant(write: Any) -> None:
    calls = [{"function": {"name": "t", "arguments": ""}}] * 2
    path = write({"prompt": [USER, {"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "1"}]})
    assert "1 call(s) before it have no result" in complaint(path, read_prompts)


# What a row may be


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"{", "not JSON: "),
        (b'"text"', "not an object"),
        (b"5", "not an object"),
        (b"null", "not an object"),
        (b"{}", 'expected "messages", or "prompt" and "completion"; found no column'),
        (b'{"messages": [], "messages": []}', "the key 'messages' twice"),
        (b'{"prompt": "x", "completion": "y", "weight": NaN}', "NaN is not JSON"),
        (b'{"prompt": "x", "completion": "y", "weight": 1e999}', "weight is inf"),
        (b'{"prompt": "x", "completion": "y", "weight": 1' + b"0" * 400 + b"}", "weight is larger than"),
        (b'{"prompt": "x", "completion": "y", "weight": 1' + b"0" * 5000 + b"}", "digits"),
        (b'{"prompt": "x\\ud800", "completion": "y"}', "\\ud800 is half a character"),
        (b'{"prompt": "x", "completion": "y", "note": "\\uDFFFz"}', "\\udfff is half a character"),
        (b'{"prompt": "\xff", "completion": "y"}', "byte 13 is not UTF-8"),
        (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"messages": "hi"}', "messages: a text; expected a list of messages"),
        (b'{"messages": {}}', "messages: an object; expected a list"),
        (b'{"messages": []}', "no messages"),
        (b'{"messages": [5]}', "message 1: a number; expected"),
        (b'{"messages": [{"content": "x"}]}', "message 1: role is None; expected system, user, assistant, tool"),
        (b'{"messages": [{"role": ["user"], "content": "x"}]}', "message 1: role is ['user']"),
        (b'{"messages": [{"from": "human", "value": "x"}]}', "ShareGPT's form; `corpuscle train convert`"),
        (b'{"messages": [{"role": "user"}]}', "message 1: no content in a user message"),
        (b'{"messages": [{"role": "user", "content": 5}]}', "message 1: content is 5; expected text"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image"}]}]}', "content is {'type': 'image'}"),
        (b'{"messages": [{"role": "user", "content": "x", "tool_calls": [{"name": "t"}]}]}', "only an assistant's may"),
        (b'{"messages": [{"role": "assistant", "tool_calls": "t"}]}', "tool_calls is a text; expected a list"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [5]}]}', "a tool call without a name"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [{"function": 5}]}]}', "a tool call without a name"),
        (b'{"messages": [{"role": "assistant", "content": "x", "train": "no"}]}', "train is 'no'; expected true or"),
        (b'{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}', "weight is 0.5; expected 0 or 1"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "no assistant message to learn from"),
        (
            b'{"messages": [{"role": "assistant", "content": "x", "train": false}]}',
            "no assistant message to learn from",
        ),
        (b'{"messages": [{"role": "assistant", "content": " "}]}', "message 1: an empty answer"),
        (b'{"mesages": [{"role": "user", "content": "x"}]}', "rename 'mesages' to \"messages\""),
        (b'{"prompt": "x", "choosen": "y", "rejected": "z"}', "rename 'choosen' to \"chosen\""),
        (b'{"prompt": "x", "chosen": "y", "rejected": "z"}', "a row of comparisons, not of demonstrations"),
        (b'{"conversations": []}', "`corpuscle train convert` rewrites ShareGPT"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_costs_itself_alone(write: Any, line: bytes, wrong: str) -> None:
    path = write(GOOD, line, {"messages": [USER, {"role": "assistant", "content": "four"}]})
    message = complaint(path)
    assert message.startswith(f"{path}:2: ")
    assert wrong in message
    kept = read_demonstrations(path, skip_bad=True)
    assert len(kept) == 2
    assert [(bad.path, bad.line) for bad in kept.rejected] == [(path, 2)]
    assert kept.rejected[0].raw == line.decode(errors="replace")[:200]


def test_arguments_on_either_side_of_what_python_can_nest(write: Any) -> None:
    """About 1,000 levels; reading JSON takes fewer of them than writing it does."""
    rows = []
    for depth in (10, *range(900, 1000, 2), 5000):
        call = b'{"name": "t", "arguments": %s%d%s}' % (b"[" * depth, depth, b"]" * depth)
        rows.append(b'{"messages": [{"role": "assistant", "tool_calls": [%s]}]}' % call)
    records = read_demonstrations(write(*rows), skip_bad=True)
    assert len(records) + len(records.rejected) == len(rows)
    assert records.rejected[-1].line == len(rows)
    assert all("nested too deeply" in bad.reason for bad in records.rejected)


def test_all_errors_are_collected_and_twenty_are_shown(write: Any) -> None:
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(write(*[{"messages": []}, {"prompt": "a"}] * 15, GOOD))
    assert len(raised.value.rejected) == 30
    assert str(raised.value).startswith("30 of 31 records cannot be used")
    assert "data.jsonl:20: " in str(raised.value)
    assert "data.jsonl:21: " not in str(raised.value)
    assert str(raised.value).endswith("... and 10 more")


def test_a_file_of_the_wrong_kind_is_one_complaint(write: Any) -> None:
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(write(*[{"prompt": "x", "chosen": "y", "rejected": "z"}] * 30))
    assert str(raised.value).count("data.jsonl:") == 1
    assert str(raised.value).endswith("and 29 more for the same reason")


def test_with_no_good_row_left_skipping_is_an_error_too(write: Any) -> None:
    assert "not JSON" in complaint(write(b"{", b"}"), skip_bad=True)


def test_a_misspelt_column_is_noted_once(write: Any) -> None:
    row = {"prompt": "x", "chosen": "y", "rejected": "z", "Margins": 1, "topic": "sums", "sample_id": "s"}
    records = read_comparisons(write(row, row | {"prompt": "w"}))
    assert records.notes == ("the column 'Margins' of 2 rows is not read; did you mean \"margin\"?",)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "\n\nHuman: x", "user", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "name", "text"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
turn_like = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": values},
    optional={"tool_calls": values, "train": values, "weight": values, "tool_call_id": values},
)


@given(st.dictionaries(st.sampled_from(READ), values | st.lists(turn_like, max_size=3)))
def test_whatever_a_row_holds_it_is_a_record_or_a_reason(row: dict[str, Any]) -> None:
    for name, read in KINDS.items():
        with contextlib.suppress(ValueError):
            read(row, Limits())
            assert kind_of(row) is not None, name


@given(st.binary(max_size=60))
def test_whatever_a_line_holds_it_is_a_row_or_a_reason(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse(line)


# Files


def test_marks_blank_lines_and_line_ends_of_other_systems_are_no_matter(tmp_path: Path) -> None:
    row = json.dumps(GOOD).encode()
    other = json.dumps(
        {"messages": [USER, {"role": "assistant", "content": "a\u2028b\r\n"}]}, ensure_ascii=False
    ).encode()
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\r\n \n" + other)
    assert [record.messages[1].content for record in read_demonstrations(path)] == ["4", "a\u2028b\r\n"]
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\r\n \n" + other[:-1])
    assert f"{path}:4: not JSON" in complaint(path)


def test_utf_16_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps(GOOD), encoding="utf-16")
    assert "UTF-16; save it as UTF-8" in complaint(tmp_path / "data.jsonl")


@pytest.mark.parametrize("contents", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "data.jsonl").write_bytes(contents)
    assert (
        complaint(tmp_path / "data.jsonl") == f"{tmp_path}/data.jsonl: the file is empty; expected a JSON object a line"
    )


def test_a_line_at_the_limit_is_read_and_a_longer_one_is_not(write: Any) -> None:
    line = json.dumps(GOOD).encode()
    path = write(line, line + b" ", {"prompt": "x", "completion": "y"})
    assert len(read_demonstrations(path, skip_bad=True, limits=Limits(row_bytes=len(line)))) == 2
    (bad,) = read_demonstrations(path, skip_bad=True, limits=Limits(row_bytes=len(line))).rejected
    assert (bad.line, bad.reason[:14]) == (2, f"longer than {len(line)}")
    assert not read_demonstrations(path, limits=Limits(row_bytes=len(line) + 1)).rejected


def test_an_endless_zipped_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(20):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + json.dumps(GOOD).encode())
    records = read_demonstrations(path, skip_bad=True)
    assert len(records) == 1
    assert [bad.line for bad in records.rejected] == [1]


def test_the_number_of_messages_has_a_limit(write: Any) -> None:
    path = write({"messages": [USER, ANSWER] * 2})
    assert len(read_demonstrations(path, limits=Limits(messages=4))) == 1
    assert "4 messages; at most 3 are read" in complaint(path, limits=Limits(messages=3))
    long = "\n\nHuman: a\n\nAssistant: b" * 2
    path = write({"chosen": long, "rejected": long + "c"})
    assert "4 messages; at most 3" in complaint(path, read_comparisons, limits=Limits(messages=3))
    path = write({"prompt": "x", "completions": list("abcd"), "ranks": [1, 2, 3, 4]})
    assert "4 completions; at most 3" in complaint(path, read_comparisons, limits=Limits(messages=3))


def test_zipped_files_are_known_by_their_contents(tmp_path: Path) -> None:
    for name in ("one.jsonl.gz", "two.jsonl"):
        (tmp_path / name).write_bytes(gzip.compress(json.dumps(GOOD).encode()))
        assert len(read_demonstrations(tmp_path / name)) == 1
    (tmp_path / "three.jsonl.gz").write_text(json.dumps(GOOD))
    assert len(read_demonstrations(tmp_path / "three.jsonl.gz")) == 1


def test_a_zipped_file_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [{"prompt": f"{draw.random()}", "completion": "y"} for _ in range(2000)]
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    records = read_demonstrations(path, skip_bad=True)
    assert 500 < len(records) < 2000
    assert "the file cannot be read from here on" in records.rejected[-1].reason
    assert records.rejected[-1].line > len(records)


def test_one_array_is_read_with_the_lines_of_its_elements(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([GOOD, {"messages": [USER]}, 5], indent=1))
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(path)
    first, second = raised.value.rejected
    line = path.read_text().split("\n").index(" {", 3) + 1
    assert (first.line, first.reason) == (
        line,
        "no assistant message to learn from; expected one that is not left out of training",
    )
    assert second.reason.startswith("not an object")


@pytest.mark.parametrize(
    ("contents", "good"),
    [("[{}, {", 0), ("[%s, {]", 1), ("[%s %s]", 1), ("[%s", 1), ("[%s] []", 1), ("[]", 0), ("[", 0)],
)
def test_a_broken_array_gives_what_is_before_the_break(tmp_path: Path, contents: str, good: int) -> None:
    path = tmp_path / "data.json"
    path.write_text(contents.replace("%s", json.dumps(GOOD)))
    if good:
        assert read_demonstrations(path, skip_bad=True).rejected
    assert len(complaint(path)) > 20


ROWS = [
    {"messages": [USER, ANSWER], "weight": 2.0},
    {
        "messages": [
            USER,
            {
                "role": "assistant",
                "tool_calls": [{"type": "function", "function": {"name": "t", "arguments": {"x": 1}}}],
            },
            {"role": "tool", "content": "4"},
            ANSWER | {"train": True},
        ]
    },
]


def test_parquet_says_the_same_as_jsonl(write: Any, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    assert read_demonstrations(tmp_path / "data.parquet").good == read_demonstrations(write(*ROWS)).good


def test_a_bad_row_of_parquet_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    table = pa.table({"prompt": ["a", "b", None, "d"], "completion": ["x", "", "y", "z" * 1000], "choosen": [1] * 4})
    pq.write_table(table, path)
    with pytest.raises(RecordsError) as raised:
        read_demonstrations(path, limits=Limits(row_bytes=500))
    messages = [str(bad) for bad in raised.value.rejected]
    assert [message.removeprefix(str(path))[:8] for message in messages] == [", row 2:", ", row 3:", ", row 4:"]
    assert "an empty answer" in messages[0]
    assert "found 'completion', 'choosen'" in messages[1]
    assert "more than 500 bytes" in messages[2]


def test_parquet_with_broken_text_costs_that_row(tmp_path: Path) -> None:
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"prompt": texts, "completion": ["x", "y"]}), tmp_path / "data.parquet")
    records = read_demonstrations(tmp_path / "data.parquet", skip_bad=True)
    assert len(records) == 1
    assert [bad.line for bad in records.rejected] == [2]


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    assert f"{path}: not a whole Parquet file" in complaint(path)
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), path)
    assert f"{path}: the file has no rows" in complaint(path)


def test_parquet_without_any_column_of_ours_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "data.parquet")
    assert "found 'text'" in complaint(tmp_path / "data.parquet")


def test_a_folder_and_a_list_are_their_files(write: Any, tmp_path: Path) -> None:
    b = write({"prompt": "b", "completion": "b"}, name="b.jsonl")
    a = write({"prompt": "a", "completion": "a"}, name="a.jsonl")
    (tmp_path / "README.md").write_text("not read")
    (tmp_path / ".a.jsonl.part").write_text("not read")
    assert [record.messages[0].content for record in read_demonstrations(tmp_path)] == ["a", "b"]
    assert [record.messages[0].content for record in read_demonstrations([b, str(a)])] == ["b", "a"]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_demonstrations(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match=r"no \.jsonl"):
        read_demonstrations(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file given"):
        read_demonstrations([])
    (tmp_path / "data.csv").write_text("prompt,completion\n")
    with pytest.raises(ValueError, match=r"the kind \"\.csv\" is not known; expected \.jsonl"):
        read_demonstrations(tmp_path / "data.csv")


# HH-RLHF's text


def test_a_dialogue_in_text_is_its_turns() -> None:
    text = "\n\nHuman: Hi\n\nHuman:again\n\nAssistant: Human: is a word,\n\nand so is Assistant"
    text += "\n\nHuman: \n\nAssistant: 1 "
    assert hh_turns(text, 9) == [
        Message("user", "Hi"),
        Message("user", "again"),
        Message("assistant", "Human: is a word,\n\nand so is Assistant"),
        Message("user", ""),
        Message("assistant", "1"),
    ]


# Ids, duplicates, splits


def test_ids_are_those_that_the_labels_have() -> None:
    """A change of these is a change of the schema: what was labelled would not be found again."""

    def sha256(spelt: str) -> str:
        return hashlib.sha256(spelt.encode()).hexdigest()

    user = '{"content":"2 + 2?","role":"user"}'
    four, five = '{"content":"é","role":"assistant"}', '{"content":"5","role":"assistant"}'
    assert demonstration([ASKED, *said("é")]).id == sha256(f'["demonstration",[{user},{four}]]')
    assert ranking([ASKED], [said("5"), said("é")], [2, 1]).id == sha256(
        f'["ranking",[{user}],[[{four}],[{five}]],[1,2]]'
    )
    assert unpaired([ASKED], said("é"), True).id == sha256(f'["unpaired",[{user}],[{four}],true]')
    assert prompt([ASKED], "4").id == sha256(f'["prompt",[{user}],"4"]')
    assert prompt([ASKED]).id == sha256(f'["prompt",[{user}],null]')


def test_ids_differ_where_training_does() -> None:
    left_out = Message("assistant", "4", trained=False)
    ids = {
        demonstration([ASKED, ANSWERED]).id,
        demonstration([ASKED, left_out, ASKED, ANSWERED]).id,
        demonstration([ASKED, ANSWERED, ASKED, ANSWERED]).id,
        ranking([ASKED], [said("4"), said("5")], [1, 2]).id,
        ranking([ASKED], [said("4"), said("5")], [2, 1]).id,
        unpaired([ASKED], said("4"), True).id,
        unpaired([ASKED], said("4"), False).id,
        prompt([ASKED], "4").id,
        prompt([ASKED]).id,
    }
    assert len(ids) == 9
    assert ranking([ASKED, left_out, ASKED], [said("4"), said("5")], [1, 2]).id == (
        ranking([ASKED, ANSWERED, ASKED], [said("4"), said("5")], [1, 2]).id
    )


def test_a_record_that_comes_twice_counts_once(write: Any) -> None:
    records = read_demonstrations(write(GOOD, {"prompt": "2 + 2?", "completion": "4"}, GOOD | {"weight": 3}))
    assert len(records) == 1
    assert records.duplicates == 2
    assert records[0].weight == 1


def some(count: int) -> list[Demonstration]:
    return [demonstration([Message("user", f"question {number}"), ANSWERED]) for number in range(count)]


def test_the_split_depends_on_nothing_but_prompt_and_seed() -> None:
    records = some(1000)
    train, held_out = split(records, 0.2, seed=1)
    assert 150 < len(held_out) < 250
    assert {*train, *held_out} == {*records}
    shuffled = random.Random(0).sample(records, 500)
    again = split(shuffled, 0.2, seed=1)
    assert {*again[1]} == {*held_out} & {*shuffled}
    assert {*split(records, 0.2, seed=2)[1]} != {*held_out}
    assert {*held_out} <= {*split(records, 0.3, seed=1)[1]}
    assert split(records, 0) == (records, [])


def test_a_prompt_lies_on_one_side_in_every_kind() -> None:
    def side(records: Sequence[Any]) -> bool:
        train, held_out = split(records, 0.5, seed=3)
        assert not (train and held_out)
        return bool(train)

    sides = []
    for number in range(20):
        asked = Message("user", f"Question  {number}\n")
        kinds: list[Any] = [
            demonstration([asked, ANSWERED]),
            demonstration([Message("user", f"question {number}"), Message("assistant", "other")]),
            demonstration([Message("system", "Be brief."), asked, ANSWERED, ASKED, ANSWERED]),
            ranking([asked, ANSWERED, ASKED], [said("4"), said("5")], [1, 2]),
            unpaired([asked], said("4"), False),
            prompt([asked], "4"),
        ]
        assert len({side([record]) for record in kinds}) == 1
        sides.append(side(kinds))
    assert {*sides} == {True, False}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="the share to hold out"):
        split(some(1), share)


def test_the_digest_names_a_set_in_any_order() -> None:
    records = some(20)
    assert digest(records) == digest(records[::-1])
    assert digest(records) != digest(records[1:])
    heavier = demonstration(records[0].messages, weight=2)
    assert digest(records) != digest([heavier, *records[1:]])
    pair = ([ASKED], [said("4"), said("5")], [1, 2])
    assert digest([ranking(*pair)]) != digest([ranking(*pair, margin=1.0)])


def test_what_is_written_is_read_again(write: Any) -> None:
    turns = [
        Message("system", "s"),
        ASKED,
        Message("assistant", "", (Call("t", '{"a": 1}'), Call("u", ""))),
        Message("tool", "1"),
        Message("tool", "2"),
        Message("assistant", "no", trained=False),
        ASKED,
        ANSWERED,
    ]
    (record,) = read_demonstrations(write({"messages": to_json(turns)}))
    assert record.messages == tuple(turns)


# Real data


def test_real_comparisons_are_all_read(shared_data: Path) -> None:
    records = read_comparisons(shared_data / "alignment/hh-rlhf/comparisons.jsonl.gz")
    assert len(records) == 1631
    assert all(record.ranks == (1, 2) for record in records)
    train, held_out = split(records, 0.2)
    assert len({record.prompt for record in train} & {record.prompt for record in held_out}) == 0
    assert 0.15 < len(held_out) / len(records) < 0.25


def test_real_verdicts_are_all_read(shared_data: Path) -> None:
    records = read_unpaired(shared_data / "alignment/llamafactory/kto_en_demo.json")
    assert len(records) == 300
    assert sum(record.good for record in records) == 150
