import pytest
import torch

from trainer.align.lora import PROJECTIONS, Factors, Lora
from trainer.model import Llama, ModelConfig

CONFIG = ModelConfig(31, 24, 2, 6, 2, 40, 64, tie_embeddings=False)
TOKENS = torch.arange(24).reshape(2, 12)


def drawn(lora: Lora) -> Lora:
    """With factors that do something."""
    generator = torch.Generator().manual_seed(5)
    for weight in lora.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    return lora


def test_at_the_start_nothing_is_added() -> None:
    model = Llama(CONFIG)
    before = model(TOKENS)
    Lora(model, 4, 8.0)
    assert torch.equal(model(TOKENS), before)


def test_merged_weights_compute_what_the_model_with_its_factors_does() -> None:
    model, other = Llama(CONFIG), Llama(CONFIG)
    lora = drawn(Lora(model, 4, 8.0))
    assert not torch.allclose(model(TOKENS), other(TOKENS), atol=0.1)
    other.load_state_dict(lora.merged_state_dict(model))
    torch.testing.assert_close(model(TOKENS), other(TOKENS), rtol=1e-4, atol=1e-4)


def test_every_projection_of_every_layer_has_factors_and_nothing_else_has() -> None:
    lora = Lora(Llama(CONFIG), 4, 8.0)
    assert len(lora.factors) == CONFIG.layers * len(PROJECTIONS)
    assert sum(weight.numel() for weight in lora.parameters()) == 2 * 4 * (2 * (24 + 24) + 2 * (24 + 8) + 3 * (24 + 40))


def test_only_factors_get_gradients() -> None:
    model = Llama(CONFIG)
    lora = drawn(Lora(model, 4, 8.0))
    model(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
    assert all(weight.grad is None for weight in model.parameters())
    assert all(weight.grad is not None and weight.grad.any() for weight in lora.parameters())


def test_merging_leaves_the_model_as_it_is() -> None:
    model = Llama(CONFIG)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = drawn(Lora(model, 4, 8.0)).merged_state_dict(model)
    assert merged.keys() == before.keys()
    changed = {name for name in merged if not torch.equal(merged[name], before[name])}
    assert {name.split(".")[-2] for name in changed} == set(PROJECTIONS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("alpha", "rank"), [(8.0, 4), (4.0, 4), (1.0, 2)])
def test_alpha_over_rank_scales_the_product(alpha: float, rank: int) -> None:
    factors = drawn(Lora(Llama(CONFIG), rank, alpha)).factors["model/layers/0/mlp/up_proj"]
    assert isinstance(factors, Factors)
    torch.testing.assert_close(factors.product(), factors.b @ factors.a * (alpha / rank))


def test_the_seed_decides_the_first_factors() -> None:
    one, again, other = (Lora(Llama(CONFIG), 4, 8.0, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
