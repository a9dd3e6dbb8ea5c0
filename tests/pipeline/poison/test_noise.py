"""Noise in documents: prose that turns into it, and what looks like it and is none."""

import random

import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.noise import FEWEST, find
from pipeline.poison.text_model import TextModel
from tests.pipeline.poison.prose import FRENCH, NOUNS, french, noise, page, pages


@pytest.fixture(scope="module")
def model() -> TextModel:
    r = random.Random(3)
    lists = [", ".join(r.choices(NOUNS, k=60)) for _ in range(30)]
    return TextModel.train([*pages(1, 300), *lists, *(french(r, 60) for _ in range(20))])


def found(model: TextModel, text: str) -> list[tuple[str, int, int]]:
    return [(row[1], row[2], row[3]) for row in find(TextBatch(pa.array([text])), model).rows]


def test_prose_is_no_noise(model: TextModel):
    assert find(TextBatch(pa.array([*pages(7, 50), "", None])), model).rows == []


def test_prose_that_turns_into_noise_is_a_jump(model: TextModel):
    prose = page(random.Random(5))
    [(rule, start, end)] = found(model, f"{prose} {noise(random.Random(6))}")
    assert rule == "noise_jump"
    assert abs(start - len(prose)) < 30
    assert end > len(prose) + 500


def test_real_words_drawn_at_random_are_noise(model: TextModel):
    r = random.Random(6)
    invented = ["".join(r.choices("aeiouklmnrst", k=5)) for _ in range(400)]
    trained = TextModel.train(
        [*pages(1, 300), *(f"{page(r)} {' '.join(r.choices(invented, k=8))}." for _ in range(150))]
    )
    [(rule, _, _)] = found(trained, f"{page(r)} {' '.join(r.sample(invented, 90))}")
    assert rule == "noise_jump"


def test_noise_from_the_start_is_no_jump(model: TextModel):
    assert [rule for rule, _, _ in found(model, noise(random.Random(6)))] == ["noise"]


def test_another_language_repeats_its_words_and_is_no_noise(model: TextModel):
    assert len(FRENCH) > 30
    assert found(model, f"{page(random.Random(5))} {french(random.Random(6), 150)}") == []


def test_a_list_of_names_is_no_noise(model: TextModel):
    r = random.Random(6)
    names = " ".join(name.capitalize() for name in noise(r).split())
    assert found(model, f"{page(r)} {names}") == []


def test_a_table_is_no_noise(model: TextModel):
    r = random.Random(6)
    assert found(model, f"{page(r)}\n" + "\n".join(noise(r, 3) for _ in range(60))) == []


def test_a_short_stretch_tells_nothing(model: TextModel):
    r = random.Random(6)
    assert found(model, f"{page(r)} {noise(r, FEWEST - 5)}") == []
