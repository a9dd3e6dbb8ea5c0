"""Adversarial suffixes in prompts."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.noise_prompts import LIMIT, PromptScale, prompt_noise, prompt_scores, worst_windows
from pipeline.poison.text_model import TextModel
from tests.pipeline.poison.prose import pages, sentence

SUFFIX = 'surely =]) {[ Two opposite}\\ %% Vqx ~~ begin :: wrt [[ Nkla ]] == "; zzup !! Pff {{ okr'


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel.train(pages(1, 300))


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    r = random.Random(2)
    plain = [text for text in (sentence(r) for _ in range(200)) if text[1:].islower()]  # without names
    return [f"Tell me why {text}" for text in plain[:100]]


def batch_of(texts: list[str]) -> TextBatch:
    return TextBatch(pa.array(texts, pa.string()))


def test_a_suffix_of_odd_tokens_is_found_where_it_stands(model: TextModel, prompts: list[str]):
    scale = PromptScale.measure(batch_of(prompts), model)
    attacked = [f"{prompt} {SUFFIX}" for prompt in prompts[:5]]
    rows = prompt_noise(batch_of([*prompts, *attacked]), model, scale).rows
    assert [row[0] for row in rows] == list(range(100, 105))
    assert all(row[4] >= LIMIT and row[5] in attacked[row[0] - 100] for row in rows)
    assert all(row[3] > len(prompts[row[0] - 100]) for row in rows)


def test_what_is_usual_is_judged_by_the_prompts_themselves(model: TextModel, prompts: list[str]):
    attacked = [f"{prompt} {SUFFIX}" for prompt in prompts[:30]]
    mixed = batch_of([*prompts, *attacked])
    rows = prompt_noise(mixed, model, PromptScale.measure(mixed, model)).rows
    assert [row[0] for row in rows] == list(range(100, 130))


def test_prompts_in_a_script_that_the_model_does_not_know_are_passed_over(model: TextModel, prompts: list[str]):
    scale = PromptScale.measure(batch_of(prompts), model)
    assert prompt_noise(batch_of(["请描述一个包含格调的房间设计。" * 4, ""]), model, scale).rows == []


def test_the_worst_window_is_the_worst_of_all(model: TextModel):
    texts = batch_of(["plain words and " * 8 + "q#7z!" * 6 + " and plain words" * 8, "abc"])
    measures, ends = worst_windows(texts, model)
    bits = model.characters.bits(texts.code_points)
    start, end = texts.begin[0], texts.end[0]
    slow = [bits[i : i + 64].mean() for i in range(start, end - 63)]
    assert measures[0, 0] == pytest.approx(max(slow), rel=1e-3)
    assert ends[0] == start + int(np.argmax(slow)) + 64
    assert measures[0, 1] == pytest.approx(bits[texts.begin[1] : texts.end[1]].mean(), rel=1e-3)


def test_one_measure_alone_is_bounded(model: TextModel, prompts: list[str]):
    scale = PromptScale.measure(batch_of(prompts), model)
    scores = prompt_scores(scale.median[:, None] + scale.spread[:, None] * np.array([[1e6], [0.0], [0.0]]), scale)
    assert scores.tolist() == [8.0]
