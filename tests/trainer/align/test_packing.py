import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.align.packing import PADDING, pack
from trainer.data import reading_order
from trainer.model import IGNORE, Llama, ModelConfig
from trainer.talk.conversation import Encoded

PAD = 0


@st.composite
def conversations(draw: st.DrawFn, longest: int = 24, trained: bool = True) -> list[Encoded]:
    """Each with tokens of its own: token = 100 * number + place, so that every one can be found again."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        length = draw(st.integers(2, longest))
        learnt = draw(st.lists(st.booleans(), min_size=length, max_size=length))
        if trained:
            learnt[draw(st.integers(1, length - 1))] = True
        found.append(Encoded([100 * number + place + 1 for place in range(length)], learnt))
    return found


@given(conversations(), st.integers(23, 40), st.integers(0, 3))
def test_every_trained_token_is_a_target_once_and_nothing_else_is(texts: list[Encoded], length: int, seed: int) -> None:
    packing = pack(texts, length, PAD, seed=seed)
    batch = packing.batch(range(len(packing.rows)))
    found = batch.targets[batch.targets != IGNORE].tolist()
    expected = [
        token for text in texts for token, learnt in zip(text.tokens[1:], text.trained[1:], strict=True) if learnt
    ]
    assert sorted(found) == sorted(expected)
    assert (packing.cut, packing.dropped, packing.trained) == (0, 0, len(expected))
    # What is foreseen is what comes next in the same conversation.
    where = batch.targets != IGNORE
    assert (batch.targets[where] == batch.tokens[where] + 1).all()
    assert ((batch.weights > 0) == where).all()


@given(conversations(), st.integers(23, 40))
def test_a_segment_holds_one_conversation_whole_and_in_order(texts: list[Encoded], length: int) -> None:
    packing = pack(texts, length, PAD)
    batch = packing.batch(range(len(packing.rows)))
    seen = []
    for tokens, segments in zip(batch.tokens.tolist(), batch.segments.tolist(), strict=True):
        for segment in set(segments) - {PADDING}:
            seen.append([token for token, own in zip(tokens, segments, strict=True) if own == segment])
        assert all(token == PAD for token, own in zip(tokens, segments, strict=True) if own == PADDING)
    assert sorted(seen) == sorted(text.tokens[:-1] for text in texts)


@settings(max_examples=20)
@given(conversations(), st.integers(23, 40), st.integers(0, 3))
def test_packed_a_conversation_is_as_likely_as_by_itself(texts: list[Encoded], length: int, seed: int) -> None:
    texts = [Encoded([token % 31 for token in text.tokens], text.trained) for text in texts]
    model = Llama(ModelConfig(31, 24, 2, 6, 2, 40, 64), seed).double()
    packing = pack(texts, length, PAD, seed=seed)
    batch = packing.batch(range(len(packing.rows)))
    with torch.no_grad():
        packed = _likelihood(model, batch.tokens, batch.targets, batch.segments)
        alone = sum(
            _likelihood(
                model,
                torch.tensor([text.tokens[:-1]]),
                torch.from_numpy(np.where(text.trained[1:], text.tokens[1:], IGNORE))[None],
                None,
            )
            for text in texts
        )
    torch.testing.assert_close(packed, alone, rtol=1e-6, atol=1e-6)


def _likelihood(
    model: Llama, tokens: torch.Tensor, targets: torch.Tensor, segments: torch.Tensor | None
) -> torch.Tensor:
    logits = model.logits(model.vectors(tokens, segments=segments)).double()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )


def conversation(length: int, trained: int) -> Encoded:
    """`length` tokens of which one, at place `trained`, is learnt."""
    return Encoded(list(range(1, length + 1)), [place == trained for place in range(length)])


def test_a_conversation_of_one_token_more_than_a_row_fits() -> None:
    packing = pack([conversation(9, 8)], 8, PAD)
    assert (packing.cut, packing.dropped) == (0, 0)
    assert packing.batch([0]).targets[0].tolist() == [IGNORE] * 7 + [9]


def test_of_a_longer_one_the_end_is_cut() -> None:
    packing = pack([conversation(10, 8)], 8, PAD)
    assert (packing.cut, packing.dropped) == (1, 0)
    assert packing.batch([0]).tokens[0].tolist() == list(range(1, 9))


def test_if_all_that_is_learnt_lies_behind_the_cut_it_is_dropped() -> None:
    packing = pack([conversation(10, 9), conversation(4, 2)], 8, PAD)
    assert (packing.cut, packing.dropped, len(packing.examples)) == (0, 1, 1)


def test_where_nothing_is_learnt_it_is_dropped() -> None:
    packing = pack([Encoded([1, 2, 3], [False] * 3), Encoded([1, 2], [True, False])], 8, PAD)
    assert (packing.dropped, packing.rows, packing.tokens) == (2, [], 0)


def test_two_halves_share_a_row_and_a_third_begins_another() -> None:
    assert [len(row) for row in pack([conversation(5, 1)] * 3, 8, PAD).rows] == [2, 1]


def test_weights_go_with_their_conversations() -> None:
    packing = pack([conversation(5, 1), conversation(4, 2)], 8, PAD, weights=[0.5, 3.0])
    batch = packing.batch([0])
    assert batch.weights[0].tolist() == [0.5, 0, 0, 0, 0, 3.0, 0, 0]


def test_rows_are_nearly_full_and_the_same_each_time() -> None:
    draw = np.random.default_rng(1)
    texts = [conversation(int(length), 1) for length in draw.integers(10, 400, 5000)]
    packing = pack(texts, 512, PAD, seed=3)
    assert packing.tokens / (len(packing.rows) * 512) > 0.995
    assert packing.rows == pack(texts, 512, PAD, seed=3).rows != pack(texts, 512, PAD, seed=4).rows


@given(st.integers(1, 50), st.integers(1, 7), st.integers(0, 5))
def test_each_epoch_reads_everything_once(count: int, epochs: int, seed: int) -> None:
    order = reading_order(0, count * epochs, count, seed).reshape(epochs, count)
    assert (np.sort(order) == np.arange(count)).all()
    assert (
        reading_order(count, count, count, seed).tolist() == reading_order(0, 2 * count, count, seed)[count:].tolist()
    )


def test_nothing_is_packed_into_nothing() -> None:
    assert pack([], 8, PAD).rows == []
