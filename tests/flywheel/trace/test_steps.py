"""The steps that read a page are those whose batches hold its tokens."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.trace.steps import places, steps_that_read, training
from pipeline.tokenize.reader import ShardSet
from trainer.data import Windows, permute

ROWS, LENGTH, STEPS, SEED = 8, 128, 130, 5
"""Two or three epochs."""


@pytest.fixture
def run(tmp_path: Path, texts: Path) -> Path:
    """What a pre-training leaves of its settings."""
    digest = hashlib.sha256((texts / "manifest.json").read_bytes()).hexdigest()
    settings = {"seq_len": LENGTH, "seed": SEED, "corpus_sha256": digest}
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings, "plan": {"rows": ROWS, "steps": STEPS}}))
    return tmp_path


def test_a_pages_steps_are_those_whose_batches_have_its_words(run: Path, texts: Path) -> None:
    shards = ShardSet(texts)
    place = shards.document_at(shards.tokens // 2)
    told = steps_that_read(run, texts, place.shard, place.start, place.stop)

    needle = place.tokens[20:40].astype(np.int64)
    windows = Windows(shards, LENGTH, SEED)
    seen = []
    for step in range(STEPS):
        for row in windows.batch(step, ROWS):
            if any(np.array_equal(row[at : at + 20], needle) for at in range(LENGTH - 19)):
                seen.append(step + 1)
    assert seen
    assert set(seen) <= set(told.steps)
    touching = -(-(place.stop - place.start) // LENGTH) + 1
    epochs = -(-STEPS * ROWS // windows.count)
    assert len(told.steps) <= epochs * touching
    assert told.of == STEPS
    assert told.says.startswith(f"read in {len(told.steps)} of the 130 steps of {run}: {told.steps[0]}")


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 3 * LENGTH))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_steps_are_those_that_going_through_the_whole_order_finds(
    run: Path, texts: Path, share: float, tokens: int
) -> None:
    shards = ShardSet(texts)
    size = int(shards.starts[1])
    start = int(share * size)
    stop = min(size, start + tokens)
    order = Windows(shards, LENGTH, SEED).order(0, STEPS * ROWS)
    wanted = np.flatnonzero((order >= start // LENGTH) & (order <= (stop - 1) // LENGTH)) // ROWS + 1
    name = shards.shards[0].name
    assert training(run, texts).reading(name, start, stop).steps == tuple(np.unique(wanted).tolist())


@given(st.integers(1, 3000), st.integers(0, 2**63))
def test_an_order_that_is_gone_backwards_ends_where_it_began(size: int, secret: int) -> None:
    index = np.arange(size, dtype=np.uint64)
    assert np.array_equal(places(permute(index, size, secret), size, secret), index)


def test_tokens_behind_the_last_whole_window_are_never_read(run: Path, texts: Path) -> None:
    shards = ShardSet(texts)
    behind = Windows(shards, LENGTH, SEED).count * LENGTH - int(shards.starts[-2])
    last = shards.shards[-1]
    end = shards.tokens - int(shards.starts[-2])
    assert training(run, texts).reading(last.name, behind, end).steps == ()
    assert training(run, texts).reading(last.name, behind - 1, end).steps != ()


def test_a_shard_that_the_corpus_lacks_is_refused(run: Path, texts: Path) -> None:
    with pytest.raises(ValueError, match="has no shard other"):
        steps_that_read(run, texts, "other", 0, 10)


def test_a_training_on_another_corpus_is_refused(run: Path, texts: Path) -> None:
    made = json.loads((run / "run.json").read_text())
    made["settings"]["corpus_sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(made))
    with pytest.raises(ValueError, match="was trained on another corpus"):
        steps_that_read(run, texts, "train-00000", 0, 10)


def test_what_is_no_pre_training_is_refused(run: Path, texts: Path) -> None:
    (run / "run.json").write_text('{"settings": {}, "plan": {}}')
    with pytest.raises(ValueError, match="is no pre-training"):
        steps_that_read(run, texts, "train-00000", 0, 10)
