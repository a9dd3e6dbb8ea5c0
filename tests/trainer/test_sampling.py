import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.sampling import GREEDY, Sampling, draw, kept_chances


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=12),
    st.integers(0, 6),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_top_k_and_top_p_keep_what_the_plain_rule_keeps(
    logits: list[float], top_k: int, top_p: float, temperature: float
) -> None:
    chances, tokens = kept_chances(torch.tensor([logits]), temperature, top_k, top_p)
    exact = np.exp(np.array(logits) / temperature)
    exact /= exact.sum()
    order = sorted(range(len(logits)), key=lambda token: (-exact[token], token))[: top_k or None]
    share, kept = exact[order].sum(), list[int]()
    for token in order:
        before = exact[kept].sum() / share
        if abs(before - top_p) < 1e-5:
            return  # a tie that rounding decides
        if before >= top_p and top_p < 1:
            break
        kept.append(token)
    found = {int(token): float(chance) for token, chance in zip(tokens[0], chances[0], strict=True) if chance > 0}
    assert set(found) == set(kept)
    total = sum(found.values())
    assert {token: chance / total for token, chance in found.items()} == pytest.approx(
        {token: exact[token] / exact[kept].sum() for token in kept}, rel=1e-3
    )


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    sampling = Sampling(temperature=1.0, top_p=0.9)  # the last one is left out
    drawn = draw(chances.log().expand(20000, 4), [sampling] * 20000, [(row, 0) for row in range(20000)])
    shares = torch.bincount(drawn, minlength=4) / 20000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, atol=0.015, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"temperature": -1}, "temperature is -1"), ({"top_p": 0}, "top_p is 0"), ({"top_k": -2}, "top_k is -2")],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_without_top_k_and_top_p_every_token_may_be_drawn() -> None:
    chances = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])
    places = [(row, 3) for row in range(20000)]
    drawn = draw(chances.log().expand(20000, 5), [Sampling(temperature=1.0, top_p=1.0)] * 20000, places)
    torch.testing.assert_close(torch.bincount(drawn, minlength=5) / 20000, chances, atol=0.015, rtol=0)


def test_rows_with_other_settings_in_one_batch_are_drawn_by_their_own() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]] * 4)
    alike = Sampling(temperature=1.0, top_p=1.0, seed=9)
    settings_ = [alike, GREEDY, Sampling(top_k=1), alike]
    places = [(0, 0), (1, 0), (2, 0), (0, 0)]
    tokens = draw(logits, settings_, places).tolist()
    assert tokens[1:3] == [1, 1]
    assert tokens[0] == tokens[3] == int(draw(logits[:1], [alike], [(0, 0)]))
