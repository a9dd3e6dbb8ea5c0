from pathlib import Path

import pytest

from trainer.measure.questions import read_questions
from trainer.records import RecordsError


def write(folder: Path, *rows: str) -> tuple[Path]:
    path = folder / "questions.jsonl"
    path.write_text("".join(row + "\n" for row in rows))
    return (path,)


def test_a_verifier_needs_right_answers_and_names_the_lines_without(tmp_path: Path) -> None:
    data = write(tmp_path, '{"prompt": "2 + 2?", "answer": 4}', '{"prompt": "2 + 3?"}', '{"prompt": "2 + 4?"}')
    with pytest.raises(RecordsError) as caught:
        read_questions(data, "number")
    assert [row.line for row in caught.value.rejected] == [2, 3]
    assert f'{data[0]}:2: no right answer, which the verifier number needs; give it as "answer"' in str(caught.value)
    assert len(read_questions(data, None)) == 3
    assert len(read_questions(data, "json")) == 3


def test_an_answer_that_nobody_could_give_is_named_with_its_line(tmp_path: Path) -> None:
    data = write(tmp_path, '{"prompt": "2 + 2?", "answer": "4"}', '{"prompt": "2 + 2?", "answer": "four"}')
    with pytest.raises(RecordsError, match=r'questions.jsonl:2: expected is "four", which states no single number'):
        read_questions(data, "number")
    assert len(read_questions(data, "exact")) == 2
