import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.records import read_comparisons, read_demonstrations, read_prompts, read_unpaired
from trainer.records.convert import convert, detect, main
from trainer.records.forms import FORMS
from trainer.talk.conversation import Call, Message


@pytest.fixture
def rewrite(tmp_path: Path) -> Any:
    """Rows of a form -> the file that is written of them; the form is told from the rows."""

    def rewrite(*rows: object, form: str) -> Path:
        source, output = tmp_path / "in.json", tmp_path / "out.jsonl"
        source.write_text(json.dumps(rows))
        done = convert(source, output)
        assert (done.form, done.rejected) == (form, ())
        return output

    return rewrite


def said(who: str, value: str, **more: object) -> dict[str, object]:
    return {"from": who, "value": value, **more}


def test_sharegpt(rewrite: Any) -> None:
    call = json.dumps({"name": "calculator", "arguments": {"expression": "2+2"}})
    talk = [
        said("human", "2 + 2?"),
        said("function_call", call),
        said("observation", "4"),
        said("gpt", "It is 4.", weight=0),
        said("user", "And 3 + 3?"),
        said("assistant", "6"),
    ]
    (record,) = read_demonstrations(rewrite({"conversations": talk, "system": "Be exact."}, form="sharegpt"))
    assert record.messages == (
        Message("system", "Be exact."),
        Message("user", "2 + 2?"),
        Message("assistant", "", (Call("calculator", '{"expression": "2+2"}'),)),
        Message("tool", "4"),
        Message("assistant", "It is 4.", trained=False),
        Message("user", "And 3 + 3?"),
        Message("assistant", "6"),
    )


def test_tools_that_may_be_called_are_told_in_the_system_message(rewrite: Any) -> None:
    talk = [said("system", "Be exact."), said("human", "Hi"), said("gpt", "Hello")]
    (record,) = read_demonstrations(
        rewrite({"conversations": talk, "tools": '[{"name": "calculator"}, {"name": "clock"}]'}, form="sharegpt")
    )
    assert record.messages[0] == Message("system", 'Be exact.\n\nTools:\n{"name": "calculator"}\n{"name": "clock"}')
    assert len(record.messages) == 3


def test_several_calls_at_once(rewrite: Any) -> None:
    calls = json.dumps([{"name": "a", "arguments": "1"}, {"name": "b", "arguments": {}}])
    talk = [said("human", "?"), said("function_call", calls), said("tool", "1"), said("tool", "2"), said("gpt", "Done")]
    (record,) = read_demonstrations(rewrite({"conversations": talk}, form="sharegpt"))
    assert record.messages[1].calls == (Call("a", "1"), Call("b", "{}"))


def test_preferences_of_llamafactory(rewrite: Any) -> None:
    row = {"conversations": [said("human", "2 + 2?")], "chosen": said("gpt", "4"), "rejected": said("gpt", "5")}
    (record,) = read_comparisons(rewrite(row, form="preference"))
    assert record.prompt == (Message("user", "2 + 2?"),)
    assert [turns[0].content for turns in record.completions] == ["4", "5"]


def test_verdicts_of_llamafactory(rewrite: Any) -> None:
    talk = [said("human", "2 + 2?"), said("gpt", "5")]
    for row in ({"conversations": talk, "kto_tag": False}, {"conversations": talk, "label": False}):
        (record,) = read_unpaired(rewrite(row, form="kto"))
        assert (record.completion, record.good) == ((Message("assistant", "5"),), False)


def test_alpaca(rewrite: Any) -> None:
    path = rewrite(
        {"instruction": "Add.", "input": "2, 2", "output": "4"},
        {"instruction": "Hi", "input": "", "output": "Hello", "system": "Be kind.", "history": [["Who?", "Me."]]},
        form="alpaca",
    )
    plain, long = read_demonstrations(path)
    assert plain.messages == (Message("user", "Add.\n\n2, 2"), Message("assistant", "4"))
    assert [(turn.role, turn.content) for turn in long.messages] == [
        ("system", "Be kind."),
        ("user", "Who?"),
        ("assistant", "Me."),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]


def test_alpaca_with_two_answers_is_a_comparison(rewrite: Any) -> None:
    row = {"instruction": "Add.", "input": "2, 2", "output": "4", "chosen": "4", "rejected": "5"}
    (record,) = read_comparisons(rewrite(row, form="alpaca"))
    assert record.prompt == (Message("user", "Add.\n\n2, 2"),)


def test_self_instruct(rewrite: Any) -> None:
    instances = [{"input": "2, 2", "output": "4"}, {"input": "", "output": "0"}]
    path = rewrite({"instruction": "Add.", "instances": instances}, form="self-instruct")
    assert [record.messages[0].content for record in read_demonstrations(path)] == ["Add.\n\n2, 2", "Add."]


def test_hh_rlhf(rewrite: Any) -> None:
    talk = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 2 + 2?\n\nAssistant:"
    path = rewrite({"chosen": f"{talk} 4", "rejected": f"{talk} 5"}, form="hh-rlhf")
    row = json.loads(path.read_text())
    assert row["prompt"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "2 + 2?"},
    ]
    assert row["chosen"] == [{"role": "assistant", "content": "4"}]
    assert len(read_comparisons(path)) == 1


def test_gsm8k(rewrite: Any) -> None:
    row = {"question": "How much?", "answer": "It is 20*50=$<<20*50=1000>>1,000.\nHalf: <<1000/2=500>>500\n#### 1,500"}
    path = rewrite(row, {"question": "One?", "answer": "One.\n#### 1"}, form="gsm8k")
    record, plain = read_demonstrations(path)
    assert record.messages == (
        Message("user", "How much?"),
        Message("assistant", "It is 20*50=$", (Call("calculator", "20*50"),)),
        Message("tool", "1000"),
        Message("assistant", "1,000.\nHalf: ", (Call("calculator", "1000/2"),)),
        Message("tool", "500"),
        Message("assistant", "500\n#### 1,500"),
    )
    assert plain.messages == (Message("user", "One?"), Message("assistant", "One.\n#### 1"))
    assert [prompt.answer for prompt in read_prompts(path)] == ["1500", "1"]


def message(text: str, role: str, *replies: dict[str, Any], rank: int | None = None, **more: object) -> dict[str, Any]:
    return {"text": text, "role": role, "rank": rank, "replies": list(replies), **more}


TREE = message(
    "q",
    "prompter",
    message("worse", "assistant", message("q of worse", "prompter"), rank=1),
    message(
        "better",
        "assistant",
        message("q1", "prompter", message("a1", "assistant")),
        message("q2", "prompter", message("a2", "assistant", rank=2), message("a2 too", "assistant", rank=3)),
        message("q3", "prompter"),
        rank=0,
    ),
    message("spam", "assistant", rank=2, review_result=False),
    message("gone", "assistant", rank=3, deleted=True),
)


def test_a_tree_becomes_the_conversations_along_its_best_answers(rewrite: Any) -> None:
    path = rewrite({"message_tree_id": "1", "prompt": TREE}, form="oasst")
    talks = [[turn.content for turn in record.messages] for record in read_demonstrations(path)]
    assert talks == [["q", "better", "q1", "a1"], ["q", "better", "q2", "a2"]]


def test_each_answer_of_a_tree_is_learnt_once(rewrite: Any) -> None:
    path = rewrite(TREE, form="oasst")
    learnt = Counter(
        turn.content
        for record in read_demonstrations(path)
        for turn in record.messages
        if turn.role == "assistant" and turn.trained
    )
    assert learnt == {"better": 1, "a1": 1, "a2": 1}


def test_a_tree_becomes_the_rankings_of_its_answers(tmp_path: Path) -> None:
    source = tmp_path / "trees.jsonl"
    source.write_text(json.dumps({"prompt": TREE}))
    assert convert(source, tmp_path / "out.jsonl", "oasst-rankings").records == 2
    first, second = read_comparisons(tmp_path / "out.jsonl")
    assert ([turns[0].content for turns in first.completions], first.ranks) == (["better", "worse"], (1, 2))
    assert [turn.content for turn in second.prompt] == ["q", "better", "q2"]
    assert ([turns[0].content for turns in second.completions], second.ranks) == (["a2", "a2 too"], (1, 2))


def test_what_is_ours_already_is_only_written_anew(rewrite: Any) -> None:
    rows = [{"prompt": "x", "completion": "y", "weight": None}, {"prompt": "x", "completion": "z", "source": "me"}]
    path = rewrite(*rows, form="trl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"prompt": "x", "completion": "y"}, rows[1]]


def test_bad_rows_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "deep" / "out.jsonl"
    good = {"instruction": "Hé", "input": "", "output": "Hello"}
    rows = [good, good | {"output": ""}, {"instruction": "x", "input": ""}, good | {"history": [5]}, "x", good]
    source.write_text("\n".join(map(json.dumps, rows)) + "\n{\n")
    assert main([str(source), str(output)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{source}: 2 of 7 rows (alpaca) -> 2 demonstrations in {output}\n"
    complaints = printed.err.splitlines()
    assert complaints[0] == f'left out: {source}:2: message 2: an empty answer; write one, or set "train": false in it'
    assert complaints[1] == f"left out: {source}:3: no 'output', which a row of alpaca has"
    assert complaints[2].startswith(f"left out: {source}:4: not as a row of alpaca is")
    assert complaints[3].startswith(f"left out: {source}:5: not an object")
    assert complaints[4].startswith(f"left out: {source}:7: not JSON")
    assert "Hé" in output.read_text(encoding="utf-8")


def test_columns_that_json_cannot_hold_are_spelt_or_told(tmp_path: Path) -> None:
    """Parquet has dates and numbers that are none; a NaN in JSON could not be read again."""
    rows = [
        {"prompt": "x", "completion": "y", "day": date(2024, 1, 1), "score": 1.0},
        {"prompt": "x", "completion": "z", "day": date(2024, 1, 2), "score": float("nan")},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    done = convert(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == rows[0] | {"day": "2024-01-01"}
    assert "not JSON compliant" in done.rejected[0].reason


def test_a_file_holds_one_kind(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    row = {"instruction": "x", "output": "y"}
    source.write_text("\n".join(map(json.dumps, [row, row | {"chosen": "y", "rejected": "z"}])))
    (bad,) = convert(source, tmp_path / "out.jsonl").rejected
    assert bad.reason == "a row of comparisons among rows of demonstrations; a file holds one kind"


def test_a_function_call_that_is_no_json_is_told(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    good = {"conversations": [said("human", "x"), said("gpt", "y")]}
    bad = {"conversations": [said("human", "x"), said("function_call", "add(1)"), said("observation", "2")]}
    odd = {"conversations": [said("alien", "x\x1b[2J"), said("gpt", "y")]}
    source.write_text("\n".join(map(json.dumps, [good, bad, odd])))
    reasons = [row.reason for row in convert(source, tmp_path / "out.jsonl").rejected]
    assert reasons[0].startswith("a function_call that is not JSON")
    assert reasons[1].startswith("a message is from 'alien'; expected human, user, gpt")


def test_nothing_is_written_where_nothing_could_be_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    output.write_text("what was here before")
    source.write_text('{"instruction": "x", "output": ""}')
    assert main([str(source), str(output)]) == 1
    assert "no row could be converted as alpaca; the first: " in capsys.readouterr().err
    assert output.read_text() == "what was here before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


@pytest.mark.parametrize(
    ("contents", "output", "complaint"),
    [
        ('{"text": "x", "\\u001b[2J": 1}', "out.jsonl", r"rows with the columns 'text', '\x1b[2J' are of no form that"),
        ("", "out.jsonl", "the file is empty"),
        ('{"prompt": "x"}', "out.parquet", "give a name that ends in .jsonl"),
        ('{"prompt": "x"}', "in.jsonl", "is the input itself"),
        ('{"prompt": "x"}', "IN", "what is written is JSONL"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contents: str, output: str, complaint: str
) -> None:
    (tmp_path / "in.jsonl").write_text(contents)
    assert main([str(tmp_path / "in.jsonl"), str(tmp_path / output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert complaint in error


def test_files_that_are_not_there_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json"), str(tmp_path / "out.jsonl")]) == 1
    assert "none.json: no such file" in capsys.readouterr().err
    assert main([str(tmp_path), str(tmp_path / "out.jsonl")]) == 1
    assert "is a folder; convert its files one by one" in capsys.readouterr().err


def test_parquet_and_zipped_lines_are_read(tmp_path: Path) -> None:
    rows = [{"conversations": [said("human", "x"), said("gpt", "y")]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(json.dumps(rows[0]).encode()))
    for name in ("in.parquet", "in.jsonl.gz"):
        assert convert(tmp_path / name, tmp_path / "out.jsonl").form == "sharegpt"
        assert len(read_demonstrations(tmp_path / "out.jsonl")) == 1


REAL = [
    ("llamafactory/dpo_en_demo.json", "preference", "comparisons", 300),
    ("llamafactory/glaive_toolcall_en_demo.json", "sharegpt", "demonstrations", 300),
    ("llamafactory/kto_en_demo.json", "trl", "unpaired", 300),
    ("llamafactory/identity.json", "alpaca", "demonstrations", 91),
    ("rasbt/ch07/01_main-chapter-code/instruction-data.json", "alpaca", "demonstrations", 1100),
    ("rasbt/ch07/01_main-chapter-code/instruction-data-with-response.json", "alpaca", "demonstrations", 110),
    ("self-instruct/seed_tasks.jsonl", "self-instruct", "demonstrations", 175),
    ("self-instruct/user_oriented_instructions.jsonl", "self-instruct", "demonstrations", 252),
    ("gsm8k/test.jsonl.gz", "gsm8k", "demonstrations", 1319),
    ("hh-rlhf/comparisons.jsonl.gz", "hh-rlhf", "comparisons", 1631),
]


@pytest.mark.parametrize(("name", "form", "kind", "rows"), REAL)
def test_real_files_are_converted_whole(
    shared_data: Path, tmp_path: Path, name: str, form: str, kind: str, rows: int
) -> None:
    done = convert(shared_data / "alignment" / name, tmp_path / "out.jsonl")
    assert (done.form, done.kind, done.rows, done.records, done.rejected) == (form, kind, rows, rows, ())


def test_six_real_pairs_that_are_twice_the_same_answer_are_left_out(shared_data: Path, tmp_path: Path) -> None:
    name = "rasbt/ch07/04_preference-tuning-with-dpo/instruction-data-with-preference.json"
    done = convert(shared_data / "alignment" / name, tmp_path / "out.jsonl")
    assert (done.kind, done.rows, done.records) == ("comparisons", 1100, 1094)
    assert all("chosen = rejected" in row.reason for row in done.rejected)
    assert done.rejected[0].line == 856


def test_real_trees(shared_data: Path, tmp_path: Path) -> None:
    trees = shared_data / "alignment/oasst/data/en_100_tree.jsonl"
    assert convert(trees, tmp_path / "talks.jsonl").records == 102
    done = convert(trees, tmp_path / "rankings.jsonl", "oasst-rankings")
    assert (done.rows, done.records, done.rejected) == (100, 212, ())
    sizes = Counter(len(record.completions) for record in read_comparisons(tmp_path / "rankings.jsonl"))
    assert sizes == {2: 57, 3: 117, 4: 27, 5: 3, 6: 6, 8: 1, 9: 1}


def test_real_sums_keep_their_calculations_and_results(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "alignment/gsm8k/test.jsonl.gz"
    convert(source, tmp_path / "out.jsonl")
    with gzip.open(source) as lines:
        rows = [json.loads(line) for line in lines]
    for row, record, prompt in zip(
        rows, read_demonstrations(tmp_path / "out.jsonl"), read_prompts(tmp_path / "out.jsonl"), strict=True
    ):
        written = ""
        for turn in record.messages[1:]:
            written += f"={turn.content}>>" if turn.role == "tool" else turn.content
            written += "".join(f"<<{call.input}" for call in turn.calls)
        assert written == row["answer"]
        assert prompt.answer == row["answer"].split("#### ")[1].replace(",", "")


def test_each_form_is_told_from_its_own_rows(tmp_path: Path) -> None:
    """A form that another hides could not be chosen without --from; only the two readings of a tree share rows."""
    rows: dict[str, dict[str, Any]] = {
        "preference": {"conversations": [], "chosen": {}, "rejected": {}},
        "kto": {"conversations": [], "label": True},
        "sharegpt": {"conversations": []},
        "self-instruct": {"instruction": "", "instances": []},
        "alpaca": {"instruction": "", "output": ""},
        "hh-rlhf": {"chosen": "", "rejected": ""},
        "oasst": {"prompt": {}},
        "gsm8k": {"question": "", "answer": "#### 1"},
        "trl": {"prompt": ""},
    }
    for form, row in rows.items():
        (tmp_path / "in.jsonl").write_text(json.dumps(row))
        assert detect(tmp_path / "in.jsonl") == form
    assert {*FORMS} - {*rows} == {"oasst-rankings"}
