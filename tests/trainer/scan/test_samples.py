import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.trainer.scan.conftest import write
from trainer.scan.samples import read_samples


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
