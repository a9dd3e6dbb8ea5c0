import pytest

from trainer.model import ModelConfig, parameters
from trainer.preset import PRESETS, preset


@pytest.mark.parametrize(
    ("name", "vocabulary", "millions"),
    [("nano", 4096, 1.3), ("micro", 4096, 5.5), ("small", 4096, 14.6), ("base", 32768, 110)],
)
def test_presets_have_the_sizes_they_say(name: str, vocabulary: int, millions: float) -> None:
    p = PRESETS[name]
    config = ModelConfig(vocabulary, p.dim, p.layers, p.heads, p.kv_heads, p.hidden, 256)
    assert parameters(config) / 1e6 == pytest.approx(millions, rel=0.03)


def test_a_shape_may_be_spelled_out() -> None:
    own = preset("dim=192,layers=6,heads=6,kv_heads=2,hidden=512,lr=0.002")
    assert (own.dim, own.layers, own.heads, own.kv_heads, own.hidden, own.lr) == (192, 6, 6, 2, 512, 0.002)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("giant", '"giant" is neither a preset \\(nano, micro, small, base\\) nor one of dim='),
        ("dim=192,layers=6", "heads, kv_heads, hidden missing"),
        ("dim=wide", 'dim is "wide"; expected a number'),
    ],
)
def test_what_is_no_model_is_refused(model: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset(model)
