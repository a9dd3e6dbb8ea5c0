from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.model import Llama, ModelConfig
from trainer.sample import Decoder, Sampling, generate, kept_chances

CONFIG = ModelConfig(31, 24, 2, 6, 2, 40, 64)
GREEDY = Sampling(temperature=0)


def lively(config: ModelConfig = CONFIG) -> Llama:
    model, generator = Llama(config), torch.Generator().manual_seed(3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.3, generator=generator)
    return model


def written(
    model: Llama, prompts: list[list[int]], number: int, sampling: Sampling = GREEDY, stop: set[int] | None = None
) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in prompts]
    for step in generate(model, prompts, number, sampling.choose, stop or set()):
        for row, token in zip(rows, step, strict=True):
            if token is not None:
                row.append(token)
    return rows


@torch.no_grad()
def without_cache(model: Llama, prompt: list[int], number: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(number):
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_with_a_cache_the_same_is_written_as_without() -> None:
    model = lively()
    assert written(model, [[1, 5, 7]], 40) == [without_cache(model, [1, 5, 7], 40)]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0, top_p=1.0, seed=4)])
def test_rows_of_different_lengths_do_not_disturb_each_other(sampling: Sampling) -> None:
    model, prompts = lively(), [[1, 2, 3, 4, 5, 6], [1], [1, 9, 8]]
    together = written(model, prompts, 20, sampling)
    assert [len(row) for row in together] == [20, 20, 20]
    assert together[0] == written(model, prompts[:1], 20, sampling)[0]
    if sampling is GREEDY:
        assert together == [written(model, [prompt], 20)[0] for prompt in prompts]


def test_writing_ends_before_a_stop_token_and_other_rows_go_on() -> None:
    model = lively()
    free = written(model, [[1, 5, 7], [1, 6]], 20)
    stop = free[0][4]
    ended = written(model, [[1, 5, 7], [1, 6]], 20, stop={stop})
    assert ended[0] == free[0][: free[0].index(stop)]
    assert ended[1] == (free[1][: free[1].index(stop)] if stop in free[1] else free[1])


def test_when_the_context_is_full_the_last_half_of_it_is_read_again() -> None:
    model = lively(ModelConfig(31, 24, 2, 6, 2, 40, max_seq_len=8))
    tokens = [1, 5, 7]
    for _ in range(20):
        # 8 tokens are read, then the last 4 of them and the new one, until there are 8 again.
        seen = len(tokens) if len(tokens) <= 8 else (len(tokens) - 9) % 5 + 4
        tokens += without_cache(model, tokens[-seen:], 1)
    assert written(model, [[1, 5, 7]], 20) == [tokens[3:]]
    assert len(written(model, [list(range(30))], 3)[0]) == 3


def test_the_seed_decides_what_is_written() -> None:
    model = lively()
    one, again, other = (written(model, [[1]], 30, Sampling(temperature=1.0, seed=seed)) for seed in (1, 1, 2))
    assert one == again != other


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
    drawn = sampling.choose(chances.log().expand(20000, 4), [0] * 20000)
    shares = torch.bincount(drawn, minlength=4) / 20000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, atol=0.015, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"temperature": -1}, "temperature is -1"), ({"top_p": 0}, "top_p is 0"), ({"top_k": -2}, "top_k is -2")],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_a_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="begin it with the vocabulary's BOS"):
        written(lively(), [[1], []], 1)


def test_a_character_of_several_tokens_appears_whole(shards: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(shards / "tokenizer.model"))
    text = "the old cat – 猫🐈\nran ￼"
    tokens = pieces.encode(text)
    assert sum(pieces.is_byte(token) for token in tokens) >= 7
    decoder = Decoder(pieces)
    parts = [decoder.add(token) for token in [pieces.bos_id(), *tokens]]
    assert "".join(parts) == text
    assert decoder.finish() == ""
    assert "🐈" in parts
    assert "\ufffd" not in "".join(parts)


def test_a_character_cut_short_becomes_one_replacement_character(shards: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(shards / "tokenizer.model"))
    decoder = Decoder(pieces)
    assert [decoder.add(token) for token in pieces.encode("🐈")[:-1]] == ["", "", ""]
    assert decoder.finish() == "\ufffd"
