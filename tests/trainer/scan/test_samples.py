import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.scan.conftest import write
from trainer.scan.samples import EXPECTED, read_samples


def test_rows_of_every_kind_are_read_in_the_forms_that_convert_knows(tmp_path: Path) -> None:
    alpaca = tmp_path / "alpaca.json"
    alpaca.write_text(json.dumps([{"instruction": "Add.", "input": "1 and 2", "output": "3"}]))
    pairs = write(tmp_path / "pairs.jsonl", [{"prompt": "Hi", "chosen": "Hello.", "rejected": "Go away."}])
    verdicts = write(tmp_path / "kto.jsonl", [{"prompt": "Hi", "completion": "Hello.", "label": False}])
    samples = read_samples([alpaca, pairs, verdicts])
    assert samples.prompts == ["Add.\n\n1 and 2", "Hi", "Hi"]
    assert samples.answers == ["3", "Hello.", "Hello."]
    assert samples.others == [None, "Go away.", None]
    assert samples.good == [None, None, False]


def test_of_a_conversation_what_is_trained_is_the_answer_and_what_people_say_the_prompt(tmp_path: Path) -> None:
    turns = [("user", "Hi"), ("assistant", "Hello."), ("user", "And now?"), ("assistant", "Nothing.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    samples = read_samples(write(tmp_path / "rows.jsonl", [row]))
    assert (samples.prompts, samples.answers) == (["Hi\nAnd now?"], ["Hello.\nNothing."])


def test_of_a_ranking_the_best_stands_against_the_worst(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "completions": ["b", "c", "a"], "ranks": [2, 3, 1]}
    samples = read_samples(write(tmp_path / "rows.jsonl", [row]))
    assert (samples.answers, samples.others) == (["a"], ["c"])


def test_rows_that_cannot_be_read_are_kept_apart_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "Hi", "completion": "Hello."}\n{"prompt": \n{"prompt": "Ho", "completion": ""}\n')
    samples = read_samples(path)
    assert [place.line for place in samples.places] == [1]
    assert [bad.line for bad in samples.rejected] == [2, 3]


def test_annotators_are_read_from_parquet_and_json(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "chosen": "Hello.", "rejected": "No.", "annotators": ["ann", "bob"]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    named = write(tmp_path / "rows.jsonl", [{**row, "annotators": None, "worker": 7}])
    assert read_samples([tmp_path / "rows.parquet", named]).annotators == [("ann", "bob"), ("7",)]


@pytest.mark.parametrize("columns", [columns for sets in EXPECTED.values() for columns in sets])
def test_the_columns_that_are_named_as_expected_will_do(tmp_path: Path, columns: tuple[str, ...]) -> None:
    values = {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
        "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}],
        "completions": ["Hello.", "Go away."],
        "ranks": [1, 2],
        "label": True,
    }
    samples = read_samples(write(tmp_path / "rows.jsonl", [{name: values.get(name, name) for name in columns}]))
    assert (len(samples), samples.rejected) == (1, [])


def test_columns_of_no_form_are_told_with_those_that_would_do(tmp_path: Path) -> None:
    row = {"instruction": "Add.", "input": "1 and 2", "response1": "3", "response2": "4"}
    path = write(tmp_path / "rows.jsonl", [row])
    with pytest.raises(ValueError, match="no rows can be made") as raised:
        read_samples(path)
    assert str(raised.value) == (
        f"{path}: of its columns ('instruction', 'input', 'response1', 'response2') no rows can be made; expected "
        "messages or conversations or prompt + completion or instruction + output for demonstrations; "
        "prompt + chosen + rejected or prompt + completions + ranks for comparisons; "
        "prompt + completion + label or messages + label for single verdicts; "
        "or rows as Self-Instruct, GSM8K or OpenAssistant has them. Rename the columns"
    )


def test_rows_without_columns_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of its columns \(none\) no rows can be made"):
        read_samples(write(tmp_path / "rows.jsonl", [{}]))


@pytest.mark.parametrize("name", ["PandaLM/data/testset-v1.json", "LLMBar/LLMBar/Natural/dataset.json"])
def test_columns_of_real_benchmarks_that_will_not_do_are_named(shared_data: Path, name: str) -> None:
    with pytest.raises(
        ValueError, match=r"of its columns \(.*'(response1|output_1)'.*\) no rows .* chosen \+ rejected"
    ):
        read_samples(shared_data / "alignment" / name)
