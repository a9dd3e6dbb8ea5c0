"""What leaves the store: samples that the trainer's reader takes as they are, from those alone who agreed."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labeling.store.database import Database
from labeling.store.export import KINDS, Exported, export
from labeling.store.reports import Answer, Comparison, Report, add_comparison, add_report
from trainer.records import read_comparisons, read_demonstrations, read_unpaired

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASK = {"role": "user", "content": "12 * 34?"}
WRONG = {"role": "assistant", "content": "It is 400."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "calculator", "arguments": "12*34"}}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/store.db")


def report(**values: Any) -> Report:
    return Report(**{"checkpoint_id": "c1", "messages": [ASK, WRONG], "category": "wrong", "consent": True, **values})


def comparison(choice: Any, **values: Any) -> Comparison:
    sides = {"a": Answer("408", "c1"), "b": Answer("400", "c2")}
    return Comparison(**{"prompt": [ASK], "choice": choice, "consent": True, "session": "s1", **sides, **values})


def exported(database: Database, folder: Path) -> tuple[Exported, dict[str, list[dict[str, Any]]]]:
    done = export(database, folder)
    lines = {kind: (folder / f"{kind}.jsonl").read_text().splitlines() for kind in KINDS}
    return done, {kind: [json.loads(line) for line in lines[kind]] for kind in KINDS}


def test_a_wished_answer_is_a_demonstration_in_place_of_the_one_that_was_given(
    database: Database, tmp_path: Path
) -> None:
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]
    given = report(messages=[*earlier, ASK, WRONG], wished_answer="It is 408.", created=NOON, sampling={"seed": 1})
    add_report(database, given)
    done, found = exported(database, tmp_path / "out")
    assert done == Exported({"demonstrations": 1, "comparisons": 0, "unpaired": 0}, {})
    (sample,) = found["demonstrations"]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi!", "train": False},
        ASK,
        {"role": "assistant", "content": "It is 408."},
    ]
    spelt = json.dumps(["demonstration", messages], sort_keys=True, separators=(",", ":"))
    assert sample == {
        "sample_id": hashlib.sha256(spelt.encode()).hexdigest(),
        "messages": messages,
        "weight": 1.0,
        "admission_reason": "a report's wished answer",
        "instruction_version": None,
        "annotators": [],
        "provenance": {
            "report": given.id,
            "created": "2026-03-01T12:00:00+00:00",
            "source": "api",
            "category": "wrong",
            "checkpoint_id": "c1",
            "sampling": {"seed": 1},
            "masked": False,
        },
    }


def test_a_question_that_was_not_answered_gets_the_wished_answer(database: Database, tmp_path: Path) -> None:
    add_report(database, report(messages=[ASK], wished_answer="It is 408."))
    _, found = exported(database, tmp_path / "out")
    assert [turn["content"] for turn in found["demonstrations"][0]["messages"]] == ["12 * 34?", "It is 408."]


def test_tool_calls_stay_before_the_wished_answer(database: Database, tmp_path: Path) -> None:
    used = [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "408"}]
    add_report(database, report(messages=[ASK, *used, WRONG], wished_answer="It is 408."))
    _, found = exported(database, tmp_path / "out")
    assert found["demonstrations"][0]["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "calculator", "arguments": "12*34"}}],
        "train": False,
    }


def test_a_choice_is_a_comparison_with_its_margin(database: Database, tmp_path: Path) -> None:
    add_comparison(database, comparison("b", margin=1 / 3))
    _, found = exported(database, tmp_path / "out")
    (sample,) = found["comparisons"]
    assert sample["prompt"] == [ASK]
    assert sample["chosen"] == [{"role": "assistant", "content": "400"}]
    assert sample["rejected"] == [{"role": "assistant", "content": "408"}]
    assert (sample["margin"], sample["annotators"]) == (1 / 3, ["s1"])


def test_a_choice_without_a_margin_has_none(database: Database, tmp_path: Path) -> None:
    add_comparison(database, comparison("a"))
    _, found = exported(database, tmp_path / "out")
    assert "margin" not in found["comparisons"][0]


def test_two_bad_answers_are_two_unpaired_negatives(database: Database, tmp_path: Path) -> None:
    add_comparison(database, comparison("both_bad"))
    done, found = exported(database, tmp_path / "out")
    assert done.written == {"demonstrations": 0, "comparisons": 0, "unpaired": 2}
    said = [(sample["completion"][0]["content"], sample["label"]) for sample in found["unpaired"]]
    assert said == [("408", False), ("400", False)]


def test_a_tie_is_a_ranking_with_equal_ranks(database: Database, tmp_path: Path) -> None:
    add_comparison(database, comparison("tie"))
    _, found = exported(database, tmp_path / "out")
    assert found["comparisons"][0]["ranks"] == [1, 1]


@pytest.mark.parametrize(("rating", "good"), [(1, True), (-1, False)])
def test_a_thumb_is_a_verdict(database: Database, tmp_path: Path, rating: int, good: bool) -> None:
    add_report(database, report(category=None, rating=rating))
    _, found = exported(database, tmp_path / "out")
    assert found["unpaired"][0]["completion"] == [WRONG]
    assert found["unpaired"][0]["label"] is good


def test_nobody_who_did_not_agree_is_exported_and_all_that_stays_is_counted(database: Database, tmp_path: Path) -> None:
    for item in (
        report(wished_answer="408", consent=False),
        report(),
        report(wished_answer=" "),
        report(wished_answer="408"),
        report(wished_answer="408"),
        report(wished_answer="408", messages=[{"role": "system", "content": "Be brief."}]),
        report(wished_answer="408", messages=[{"role": "developer", "content": "Be brief."}, ASK]),
        report(wished_answer="408", messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        report(wished_answer="408", messages=[ASK, {"role": "assistant", "tool_calls": [{}]}, WRONG]),
    ):
        add_report(database, item)
    for other in (comparison("a", consent=False), comparison("a", a=Answer("1", "c1"), b=Answer("1", "c2"))):
        add_comparison(database, other)
    done, _ = exported(database, tmp_path / "out")
    assert done.written == {"demonstrations": 1, "comparisons": 0, "unpaired": 0}
    assert done.left_out == {
        "no consent": 2,
        "neither a wished answer nor a rating": 2,
        "a copy of another": 1,
        "no question before the answer": 1,
        "a message of another role than system, user, assistant, tool": 1,
        "a message that is no text": 1,
        "a tool call without a name": 1,
        "both answers are the same": 1,
    }


def test_the_trainer_reads_every_sample_and_gives_it_the_same_id(database: Database, tmp_path: Path) -> None:
    used = [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "408"}]
    for item in (
        report(wished_answer="It is 408. 😀", rating=-1),
        report(messages=[ASK, *used, WRONG], wished_answer="408", rating=1),
        report(messages=[{"role": "user", "content": [{"type": "text", "text": "\ud800é\0"}]}], wished_answer="?"),
    ):
        add_report(database, item)
    for number, choice in enumerate(("a", "b", "tie", "both_bad")):
        answers = {"a": Answer(f"<{number}", "c1"), "b": Answer(f">{number}", "c2")}
        add_comparison(database, comparison(choice, **answers))
    add_comparison(database, comparison("a", margin=0.0, prompt=[ASK, *used, WRONG, ASK]))
    _, found = exported(database, tmp_path / "out")
    ids = {kind: {sample["sample_id"] for sample in found[kind]} for kind in KINDS}
    demonstrations = read_demonstrations(tmp_path / "out/demonstrations.jsonl")
    assert {one.id for one in demonstrations} == ids["demonstrations"]
    ties = {sample["sample_id"] for sample in found["comparisons"] if "ranks" in sample}
    rankings = read_comparisons(tmp_path / "out/comparisons.jsonl")
    assert {one.id for one in rankings} == ids["comparisons"] - ties
    assert {one.id for one in read_unpaired(tmp_path / "out/unpaired.jsonl")} == ids["unpaired"]
    assert (len(demonstrations), len(ids["comparisons"]), len(ids["unpaired"])) == (3, 4, 4)


def test_the_order_of_arrival_changes_no_byte(tmp_path: Path) -> None:
    items = [report(wished_answer=str(number), created=NOON + timedelta(seconds=number)) for number in range(20)]
    for name, order in (("there", items), ("back", items[::-1])):
        with Database(f"sqlite:///{tmp_path}/{name}.db") as database:
            for item in order:
                add_report(database, item)
            export(database, tmp_path / name)
    texts = [(tmp_path / name / "demonstrations.jsonl").read_bytes() for name in ("there", "back")]
    assert texts[0] == texts[1]


def test_an_export_replaces_the_last_one_whole(database: Database, tmp_path: Path) -> None:
    add_report(database, report(wished_answer="408"))
    export(database, tmp_path / "out")
    export(database, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{kind}.jsonl" for kind in sorted(KINDS)]
    assert len((tmp_path / "out/demonstrations.jsonl").read_text().splitlines()) == 1


def test_an_answer_that_used_tools_is_compared_with_its_calls(database: Database, tmp_path: Path) -> None:
    said = [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "408"},
        {"role": "assistant", "content": "It is 408."},
    ]
    add_comparison(database, comparison("a", a=Answer("It is 408.", "c1", said=said)))
    _, found = exported(database, tmp_path / "out")
    (sample,) = found["comparisons"]
    assert [turn["role"] for turn in sample["chosen"]] == ["assistant", "tool", "assistant"]
    (read,) = read_comparisons(tmp_path / "out" / "comparisons.jsonl")
    assert read.id == sample["sample_id"]
    assert read.completions[0][0].calls[0].input == "12*34"
