import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.model import (
    IGNORE,
    Cache,
    Llama,
    ModelConfig,
    flops_per_token,
    matrix_parameters,
    parameters,
    rotary_tables,
    rotate,
)

SMALL = ModelConfig(vocab_size=31, dim=24, layers=2, heads=6, kv_heads=2, hidden=40, max_seq_len=16)
UNTIED = ModelConfig(31, 24, 2, 6, 3, 40, 16, tie_embeddings=False)


def lively(config: ModelConfig, seed: int = 3) -> Llama:
    """A model with weights large enough that attention is far from uniform and norms are not one."""
    model = Llama(config)
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.3, generator=generator)
    return model.eval()


def tokens_for(config: ModelConfig, rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(config.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def plain_llama(model: Llama, tokens: list[int]) -> np.ndarray:
    """The same network in NumPy, float64, with a loop for every layer, head and position: logits [time, vocab]."""
    c, w = model.config, {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + c.norm_eps) * weight

    def turn(vector: np.ndarray, position: int) -> np.ndarray:
        half = len(vector) // 2
        pairs = vector[:half] + 1j * vector[half:]
        pairs = pairs * np.exp(1j * position * c.rope_theta ** (-2 * np.arange(half) / len(vector)))
        return np.concatenate((pairs.real, pairs.imag))

    x = w["model.embed_tokens.weight"][tokens]
    for layer in range(c.layers):
        name = f"model.layers.{layer}."
        h = norm(x, w[name + "input_layernorm.weight"])
        q, k, v = (h @ w[f"{name}self_attn.{part}_proj.weight"].T for part in "qkv")
        mixed = np.zeros_like(x)
        for head in range(c.heads):
            shared = head // (c.heads // c.kv_heads)
            mine, theirs = (slice(index * c.head_dim, (index + 1) * c.head_dim) for index in (head, shared))
            for here in range(len(tokens)):
                query = turn(q[here, mine], here)
                scores = np.array([query @ turn(k[past, theirs], past) for past in range(here + 1)])
                weights = np.exp(scores / math.sqrt(c.head_dim))
                weights /= weights.sum()
                mixed[here, mine] = sum(weight * v[past, theirs] for past, weight in enumerate(weights))
        x = x + mixed @ w[name + "self_attn.o_proj.weight"].T
        h = norm(x, w[name + "post_attention_layernorm.weight"])
        gate, up = h @ w[name + "mlp.gate_proj.weight"].T, h @ w[name + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[name + "mlp.down_proj.weight"].T
    head_matrix = w["model.embed_tokens.weight"] if c.tie_embeddings else w["lm_head.weight"]
    return norm(x, w["model.norm.weight"]) @ head_matrix.T


@pytest.mark.parametrize("config", [SMALL, UNTIED])
def test_the_model_computes_what_its_plain_twin_computes(config: ModelConfig) -> None:
    model, tokens = lively(config), tokens_for(config, 2, 16)
    logits = model(tokens).detach().numpy()
    for row in range(2):
        np.testing.assert_allclose(logits[row], plain_llama(model, tokens[row].tolist()), rtol=2e-3, atol=2e-3)


def test_attention_sees_distances_and_not_positions() -> None:
    config = ModelConfig(31, 8, 1, 1, 1, 8, 64)
    cos, sin = rotary_tables(config)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(1))

    def score(query_at: int, key_at: int) -> float:
        turned = [rotate(x, cos[[at]], sin[[at]]) for x, at in ((q, query_at), (k, key_at))]
        return float((turned[0] * turned[1]).sum())

    assert score(5, 2) == pytest.approx(score(63, 60), abs=1e-5)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-3)


def test_later_tokens_do_not_change_earlier_logits() -> None:
    model, tokens = lively(SMALL), tokens_for(SMALL, 1, 16)
    changed = tokens.clone()
    changed[0, 9:] = (changed[0, 9:] + 1) % SMALL.vocab_size
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9], after[:, 9])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_reading_in_pieces_with_a_cache_gives_the_logits_of_reading_at_once(lengths: list[int]) -> None:
    lengths = [*lengths[:2], 1]
    model, tokens = lively(UNTIED), tokens_for(UNTIED, 2, sum(lengths))
    cache = Cache.empty(UNTIED, 2, torch.device("cpu"))
    with torch.no_grad():
        pieces = [model(part, cache=cache) for part in tokens.split(lengths, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), rtol=1e-4, atol=1e-4)
    assert cache.lengths == [sum(lengths)] * 2


def test_last_only_gives_the_last_position() -> None:
    model, tokens = lively(SMALL), tokens_for(SMALL, 2, 5)
    torch.testing.assert_close(model(tokens, last_only=True), model(tokens)[:, -1:])


def test_more_tokens_than_the_context_are_refused() -> None:
    model = Llama(SMALL)
    model(tokens_for(SMALL, 1, 16))
    with pytest.raises(ValueError, match="17 tokens are more than the model's context of 16"):
        model(tokens_for(SMALL, 1, 17))


def test_the_loss_is_the_mean_over_targets_that_count() -> None:
    model, tokens = lively(SMALL), tokens_for(SMALL, 2, 8)
    targets = tokens_for(SMALL, 2, 8, seed=1)
    targets[0, 3:] = IGNORE
    chances = model(tokens).log_softmax(-1)
    counted = [-chances[r, t, targets[r, t]] for r in range(2) for t in range(8) if targets[r, t] != IGNORE]
    torch.testing.assert_close(model(tokens, targets), torch.stack(counted).mean())


def test_a_new_model_guesses() -> None:
    config = ModelConfig(4096, 64, 4, 4, 2, 176, 32)
    tokens = tokens_for(config, 4, 32)
    assert Llama(config)(tokens, tokens.roll(1, 0)).item() == pytest.approx(
        math.log(4096) + 0.5, abs=0.2
    )  # logits of variance 1


def test_the_seed_alone_decides_the_weights() -> None:
    first, again, other = (Llama(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_tensors_bear_the_names_of_hugging_face() -> None:
    names = set(Llama(ModelConfig(31, 24, 1, 6, 2, 40, 16, tie_embeddings=False)).state_dict())
    layer = {f"self_attn.{part}_proj" for part in "qkvo"} | {f"mlp.{part}_proj" for part in ("gate", "up", "down")}
    layer |= {"input_layernorm", "post_attention_layernorm"}
    top = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert names == top | {f"model.layers.0.{part}.weight" for part in layer}
    assert "lm_head.weight" not in Llama(SMALL).state_dict()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.sampled_from([(4, 1), (4, 2), (4, 4)]), st.booleans())
def test_the_counted_parameters_are_the_stored_ones(layers: int, heads: tuple[int, int], tied: bool) -> None:
    config = ModelConfig(50, 32, layers, *heads, 44, 8, tie_embeddings=tied)
    assert parameters(config) == sum(weight.numel() for weight in Llama(config).parameters())


def test_flops_are_six_a_matrix_parameter_and_the_scores() -> None:
    gpt2 = ModelConfig(50257, 768, 12, 12, 12, 2048, 1024)
    assert matrix_parameters(gpt2) == 12 * (4 * 768**2 + 3 * 768 * 2048) + 50257 * 768
    assert flops_per_token(gpt2, 1024) == 6 * matrix_parameters(gpt2) + 12 * 12 * 768 * 1024


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 25}, "dim 25 does not divide into 6 heads"),
        ({"dim": 18}, "it must be even"),
        ({"kv_heads": 4}, "6 heads cannot share 4 kv_heads evenly"),
        ({"layers": 0}, "layers is 0; it must be at least 1"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, int], message: str) -> None:
    shape = {"vocab_size": 31, "dim": 24, "layers": 2, "heads": 6, "kv_heads": 2, "hidden": 40, "max_seq_len": 16}
    ModelConfig(**shape)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{**shape, **change})  # type: ignore[arg-type]
