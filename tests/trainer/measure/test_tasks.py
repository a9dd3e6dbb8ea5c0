import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.measure import tasks
from trainer.records import read_demonstrations, read_prompts
from trainer.talk.conversation import Call, Message, check
from trainer.talk.tools.calculator import calculate

FORMS = [(name, form) for name in tasks.TASKS for form in tasks.FORMS if name != "templated" or form == "direct"]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_verifier_finds_each_demonstration_right_and_another_answer_wrong(name: str, form: str) -> None:
    items, verifier = tasks.items(name, 200, form=form), tasks.TASKS[name].verifier
    for item, other in zip(items, items[1:] + items[:1], strict=True):
        check(item.messages)
        assert verifier.score("", item.messages[-1].content, item.answer) == 1, item
        if other.answer != item.answer:
            assert verifier.score("", other.messages[-1].content, item.answer) == 0


@pytest.mark.parametrize("name", ["arithmetic", "addition", "steps"])
def test_the_calls_ask_what_the_calculator_answers(name: str) -> None:
    for item in tasks.items(name, 200, form="tools"):
        calls = [call for message in item.messages for call in message.calls]
        results = [message.content for message in item.messages if message.role == "tool"]
        assert results == [calculate(call.input) for call in calls]
        assert {call.tool for call in calls} == {"calculator"}
        assert item.messages[-1].content == results[-1] == item.answer


@pytest.mark.parametrize("name", tasks.TASKS)
def test_training_and_held_out_questions_are_disjoint_whatever_the_seeds(name: str) -> None:
    train = {item.prompt for seed in (0, 1) for item in tasks.items(name, 500, seed)}
    held_out = {item.prompt for seed in (0, 1) for item in tasks.items(name, 200, seed, "held-out")}
    assert not train & held_out
    assert len(held_out) > 300


def test_one_expression_in_two_wordings_lies_on_one_side() -> None:
    train = {tuple(tasks._essence(item.prompt[0].content)) for item in tasks.items("arithmetic", 3000)}
    held_out = {tuple(tasks._essence(item.prompt[0].content)) for item in tasks.items("arithmetic", 600, 3, "held-out")}
    assert not train & held_out
    assert tasks._essence("Compute 12 times 3.") == tasks._essence("What is 12 * 3?") == ["12", "*", "3"]


@given(st.sampled_from(FORMS), st.integers(0, 99), st.integers(1, 30))
def test_the_same_arguments_make_the_same_set_and_fewer_are_its_beginning(
    kind: tuple[str, str], seed: int, number: int
) -> None:
    name, form = kind
    whole = tasks.items(name, 30, seed, form=form)
    assert tasks.items(name, number, seed, form=form) == whole[:number]
    assert len({item.prompt for item in whole}) == 30


def test_the_forms_ask_the_same_questions() -> None:
    direct, tools, thought = (tasks.items("arithmetic", 50, form=form) for form in tasks.FORMS)
    assert [item.prompt for item in direct] == [item.prompt for item in tools] == [item.prompt for item in thought]


def test_a_sum_is_worked_digit_by_digit_with_its_carries() -> None:
    assert tasks._work(57, "+", 68) == "57+68: 7+8+0=15, 5+6+1=12. 125"
    assert tasks._work(-3, "+", 12) == "-3+12 = 9"
    assert tasks._work(23, "*", 45) == "23*45 = 115 + 920 = 1035"
    assert tasks._work(3, "-", 12) == "3-12 = -9"


def test_two_steps_are_two_calls_and_the_second_goes_on_from_the_first() -> None:
    item = next(item for item in tasks.items("steps", 50, form="tools"))
    first, result, second, *_ = item.messages[1:]
    assert second.calls[0].input.startswith(result.content)
    assert (first.role, result.role, len(item.messages)) == ("assistant", "tool", 6)


def test_digits_set_the_size_of_the_numbers() -> None:
    for item in tasks.items("addition", 100, digits=5):
        assert [len(part) for part in tasks._essence(item.prompt[0].content) if part.isdigit()] == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "chess"}, 'no task "chess"; known are templated, arithmetic'),
        ({"name": "templated", "form": "tools"}, 'has no form "tools"; expected direct'),
        ({"name": "addition", "digits": 1}, "has about [0-9,]+ different train questions; 5,000 are wanted"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.items(number=5000, **arguments)  # type: ignore[arg-type]


def test_the_command_leaves_files_that_the_readers_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["arithmetic", str(tmp_path / "out"), "--rows", "40", "--held-out", "7", "--tools"]) == 0
    assert "40 demonstrations and 7 questions" in capsys.readouterr().out
    train = read_demonstrations(tmp_path / "out" / "train.jsonl")
    held_out = read_prompts(tmp_path / "out" / "held-out.jsonl")
    assert (len(train), len(held_out), train.notes, held_out.notes) == (40, 7, (), ())
    assert isinstance(train[0].messages[1].calls[0], Call)
    expected = tasks.items("arithmetic", 7, part="held-out", form="tools")
    assert [row.answer for row in held_out] == [item.answer for item in expected]
    assert [row.messages for row in held_out] == [item.prompt for item in expected]


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["templated", str(tmp_path / "out"), "--thought"]) == 1
    assert 'error: a task without arithmetic has no form "thought"' in capsys.readouterr().err
    assert tasks.main(["addition", str(tmp_path / "out"), "--rows", "0"]) == 1
    assert not (tmp_path / "out").exists()


def test_written_rows_are_read_again_as_they_were(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "Ünïcode\u2028 “quotes”\n"}]}]
    tasks.write(tmp_path / "rows.jsonl", rows)
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().split("\n") if line] == rows
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_demonstration_ends_in_its_answer() -> None:
    item = tasks.items("templated", 1)[0]
    assert item.messages == (*item.prompt, Message("assistant", item.answer))
