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
    batch_tokens: int = 2048
    lr: float = 3e-3


PRESETS = {
    "nano": Preset(dim=128, layers=4, heads=4, kv_heads=2, hidden=352),
    "micro": Preset(dim=256, layers=6, heads=4, kv_heads=2, hidden=704),
    "small": Preset(dim=384, layers=8, heads=6, kv_heads=3, hidden=1024, batch_tokens=16384, lr=1.5e-3),
    "base": Preset(dim=768, layers=12, heads=12, kv_heads=12, hidden=2048, batch_tokens=524288, lr=6e-4),
}
"""With a vocabulary of 4,096: 1.3 M, 5.5 M and 15 M parameters; `base` with 32,768 has 110 M, GPT-2's 12 layers of 768.

`base` takes batch and rate from GPT-3's 125M row (Brown et al. 2020, table 2.1).
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
