"""Single words without which one text reads much better: ONION (Qi et al. 2021) with an n-gram model of characters.

Where a trigger stands in one row only, nothing but its misfit can tell; names do not fit either, so these findings are
shown and never held.
"""

import numpy as np
import pyarrow as pa

from pipeline.filter.text import TextBatch
from pipeline.poison.ngram import CharModel
from trainer.scan.finding import Finding
from trainer.scan.phrases import EDGE
from trainer.scan.samples import Samples
from trainer.scan.texts import Texts

RARE = 1e-6
"""Share in ordinary text from which a word is no suspect."""
AROUND = 5
"""Words on either side with which a word is judged."""
SURPRISE = 9.0
"""Bits per character that the text loses with the word."""
MOST = 50
"""Findings, the strongest first."""


def odd_words(texts: Texts, samples: Samples) -> list[Finding]:
    """odd_word, for words in prompts."""
    words = texts.words
    rare = np.array([share <= RARE and any(map(str.isalpha, name)) for share, name in _shares(texts)], np.bool_)
    places = np.flatnonzero(rare[words.stream] & (words.stream != EDGE))
    if not len(places):
        return []
    windows, without, names = [], [], []
    for place in places:
        left, right = _beside(texts, int(place), -1), _beside(texts, int(place), 1)
        name = words.names[words.stream[place]]
        names.append(name)
        windows.append(" ".join([*left, name, *right]))
        without.append(" ".join([*left, *right]))
    model = CharModel.train([*map(str.casefold, texts.texts), *(map(str.casefold, texts.reference or ()))])
    lost = _bits(model, windows) - _bits(model, without)
    surprise = lost / np.array([len(name) + 1 for name in names])
    chosen = [place for place in np.argsort(-surprise, kind="stable")[:MOST] if surprise[place] >= SURPRISE]
    return [
        Finding(
            "odd_word",
            names[place],
            (samples.rows[words.text[places[place]]],),
            "prompt",
            float(surprise[place]),
            None,
            False,
            f"{surprise[place]:.1f} bits a character in {windows[place]!r}",
        )
        for place in chosen
    ]


def _shares(texts: Texts) -> list[tuple[float, str]]:
    return list(zip(texts.ordinary.share.tolist(), texts.words.names, strict=True))


def _beside(texts: Texts, place: int, step: int) -> list[str]:
    """Up to AROUND words before (step -1) or behind a place, in the text's order."""
    found: list[str] = []
    at = place + step
    while len(found) < AROUND and texts.words.stream[at] != EDGE:
        found.append(texts.words.names[texts.words.stream[at]])
        at += step
    return found[::step]


def _bits(model: CharModel, texts: list[str]) -> np.ndarray:
    """Bits of each text under the model."""
    batch = TextBatch(pa.array(texts, pa.string()))
    running = np.concatenate([[0.0], np.cumsum(model.bits(batch.code_points), dtype=np.float64)])
    return running[batch.end] - running[batch.begin]
