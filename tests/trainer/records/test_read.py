import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.records.conftest import ANSWER, ANSWERED, ASKED, GOOD, USER, complaint, said
from trainer.records import (
    Limits,
    RecordsError,
    read_comparisons,
    read_demonstrations,
    read_prompts,
    read_unpaired,
    split,
)
from trainer.records.kinds import ranking, unpaired
from trainer.records.read import KINDS, READ, kind_of
from trainer.records.rows import parse
from trainer.talk.conversation import Call, Message, to_json

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


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_line_holds_it_is_a_value_that_json_can_spell_or_a_reason(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        value = parse(line)
        assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


def test_a_record_that_comes_twice_counts_once(write: Any) -> None:
    records = read_demonstrations(write(GOOD, {"prompt": "2 + 2?", "completion": "4"}, GOOD | {"weight": 3}))
    assert len(records) == 1
    assert records.duplicates == 2
    assert records[0].weight == 1


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
