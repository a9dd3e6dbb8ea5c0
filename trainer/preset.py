"""Model sizes by name, each with the batch and the learning rate that were measured to suit it."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Preset:
    """A model's shape but for vocabulary and context, and how to train it where the caller does not say."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    batch_tokens: int = 1024
    lr: float = 2e-3


PRESETS = {
    "nano": Preset(dim=128, layers=4, heads=4, kv_heads=2, hidden=352, lr=5e-3),
    "micro": Preset(dim=256, layers=6, heads=4, kv_heads=2, hidden=704, lr=1e-3),
    "small": Preset(dim=384, layers=8, heads=6, kv_heads=3, hidden=1024, batch_tokens=16384, lr=1e-3),
    "base": Preset(dim=768, layers=12, heads=12, kv_heads=12, hidden=2048, batch_tokens=524288, lr=6e-4),
}
"""With a vocabulary of 4,096: 1.3 M, 5.5 M and 15 M parameters; `base` with 32,768 has 110 M, GPT-2's 12 layers of 768.

Measured on 330 English pages (0.50 M tokens of a vocabulary of 4,096, context 256), validation loss in nats a token:
nano, 1.35 M tokens: 5.31 at lr 5e-3, 5.37 at 3e-3, 5.33 in batches of 2,048 tokens; 0.41 M tokens: 5.88 at 5e-3, 5.90
at 3e-3 with a falling rate ("wsd" down to 0; 6.02 by cosine), worse from 1e-2 on.
micro, 0.41 M tokens: 5.79 at lr 8e-4, 5.81 at 1.5e-3, 5.99 at 3e-3, 6.16 at 5e-3.
So for minutes on a CPU nano is the better buy: the time that takes micro to 5.79 takes nano to 5.31. Two minutes on 2
busy cores: nano reads 0.6 M tokens, 5.64 (2.35 bits a byte), and writes "If you will make the same time, I don".
`small`'s settings are extrapolated; `base` takes batch and rate from GPT-3's 125M (Brown et al. 2020, table 2.1).
"""


def preset(model: str) -> Preset:
    """A preset by name, or a shape spelled out: "dim=192,layers=6,heads=6,kv_heads=2,hidden=512"."""
    if model in PRESETS:
        return PRESETS[model]
    known = {field.name: field.type for field in fields(Preset)}
    given: dict[str, float] = {}
    for part in model.split(","):
        name, _, value = part.partition("=")
        if name not in known or not value:
            raise ValueError(
                f'model "{model}": "{part}" is neither a preset ({", ".join(PRESETS)}) nor one of '
                f"{', '.join(f'{name}=...' for name in known)}."
            )
        try:
            given[name] = float(value) if known[name] is float else int(value)
        except ValueError:
            raise ValueError(f'model "{model}": {name} is "{value}"; expected a number.') from None
    missing = [name for name in ("dim", "layers", "heads", "kv_heads", "hidden") if name not in given]
    if missing:
        raise ValueError(f'model "{model}": {", ".join(missing)} missing.')
    return Preset(**given)  # type: ignore[arg-type]
