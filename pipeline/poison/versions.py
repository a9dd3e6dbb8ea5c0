"""What findings depend on beside the texts: when one of these changes, documents are looked at again.

A module's VERSION goes up by one with each change after which some text has other findings, keys or bits, and with no
other: tests/pipeline/poison/test_versions.py compares what each module finds in a few texts.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.artifact import digest

MODEL = ("ngram", "ngram_words", "ngram_languages", "text_model", "windows")
"""Modules that decide what the corpus's own model is."""

INSPECT = (
    "characters", "control", "dates", "detect", "encoded", "floods", "instructions", "noise", "phrases", "signatures",
    "skeletons", "text_model", "windows",
)  # fmt: skip
"""Modules that decide what a document shows."""

APPLY = (
    "apply", "campaigns", "campaigns_carriers", "dates", "floods", "phrases", "skeletons", "text_model", "windows",
)  # fmt: skip
"""Modules that decide what the corpus shows, and what becomes of documents."""

DATA = Path(__file__).parent / "data"


def of_modules(names: tuple[str, ...]) -> dict[str, int]:
    """The VERSION of each module of this package."""
    return {name: import_module(f"pipeline.poison.{name}").VERSION for name in names}


@cache
def of_data(pattern: str = "*") -> str:
    """A digest of the data files that are shipped: weights, signatures, tables."""
    files = sorted(path for path in DATA.glob(pattern) if path.suffix != ".py" and path.is_file())
    return digest([(path.name, path.read_bytes().hex()) for path in files])


def of_judge() -> dict[str, Any]:
    """What the score of a text as instructions depends on."""
    return {**of_modules(("instructions",)), "data": of_data("instructions.npz")}
