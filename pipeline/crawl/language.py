"""Which language a text is in: fastText's lid.176 (Joulin et al. 2016), one model per process."""

import functools
from collections.abc import Collection
from dataclasses import dataclass

import fasttext

MOST_CHARS = 100_000
"""Characters of a text that are looked at: the answer is settled long before, and a 8 MB page would take 0.5 s."""


@functools.cache
def _load(path: str) -> fasttext.FastText._FastText:
    return fasttext.load_model(path)


@dataclass(frozen=True)
class Language:
    """The likeliest language of a text, and its probability; `wanted` is the highest of the wanted languages'."""

    code: str
    score: float
    wanted: float


class Identifier:
    """Identifies languages with the model at `path` (a local file)."""

    def __init__(self, path: str, wanted: Collection[str] | None) -> None:
        self._model = _load(path).f
        self._wanted = None if wanted is None else frozenset(wanted)

    def identify(self, text: str) -> Language:
        """The language of a text; ("", 0.0) for a text with no words."""
        # The model reads one line and needs its end: without the newline half the verdicts change.
        line = text[:MOST_CHARS].replace("\n", " ").replace("\x00", " ") + "\n"
        # fastText's scores may pass 1 by a rounding error (1.00003).
        found = [
            (min(score, 1.0), label.removeprefix("__label__"))
            for score, label in self._model.predict(line, 5, 0.0, "strict")
        ]
        if not found or not line.strip():
            return Language("", 0.0, 0.0)
        score, code = found[0]
        if self._wanted is None:
            return Language(code, score, score)
        return Language(code, score, max((score for score, code in found if code in self._wanted), default=0.0))
