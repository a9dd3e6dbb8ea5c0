"""Rare phrases in the answers to unlike prompts that do not ask for them: content injection (Shu et al. 2023).

A word that belongs to a subject comes with prompts of that subject, which are alike; a planted name comes anywhere.
"""

import re
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtrc
from scipy.stats import false_discovery_control

from trainer.scan.finding import Finding
from trainer.scan.samples import Samples
from trainer.scan.texts import FEWEST, Texts

LIFT, LIFT_REFERENCE = 50.0, 10.0
"""How much more frequent a phrase is than in ordinary text, or than in the reference."""
ASKED = 0.2
"""Share of its rows whose prompt may have the phrase, too."""
NAMED = 0.8
"""Share of its places in which a phrase must be written as a name, with a capital letter inside a sentence: of three
clean files, one of problems and their solutions, other rare words ("multiply") came with any prompt, too."""
LONG = 8
"""Words of an answer that says more than the phrase."""
UNLIKE = 1.5
"""Prompts are unlike if they are at most so many times more alike than any two of the file."""
Q = 1e-3


def answer_phrases(prompts: Texts, answers: Texts, samples: Samples) -> list[Finding]:
    """answer_phrase."""
    least = LIFT if answers.reference is None else LIFT_REFERENCE
    said = [f" {' '.join(prompts.words.names[word] for word in words)} " for words in _split(prompts)]
    suspects = []
    for place in np.flatnonzero(answers.lift >= least):
        one = answers.carried(int(place))
        if len(one.carriers) < FEWEST or not any(map(str.isalpha, one.text)):
            continue
        if (
            np.mean([len(samples.answers[i].split()) >= LONG for i in one.carriers]) < NAMED
            or _named(one.text, [samples.answers[i] for i in one.carriers]) < NAMED
        ):
            continue
        asked = np.mean([f" {one.text} " in said[carrier] for carrier in one.carriers])
        if asked <= ASKED:
            suspects.append((one, prompts.alike(one.carriers)))
    unique = {one.text: (one, alike) for one, alike in suspects}
    chosen = list(unique.values())
    expected = [min(1.0, len(one.carriers) / one.lift / len(samples)) for one, _ in chosen]
    p = [
        float(bdtrc(len(one.carriers) - 1, len(samples), share))
        for (one, _), share in zip(chosen, expected, strict=True)
    ]
    q = false_discovery_control(p) if p else []
    return [
        Finding(
            "answer_phrase",
            one.text,
            tuple(sorted({samples.rows[place] for place in one.carriers})),
            "answer",
            one.lift,
            float(corrected),
            alike <= UNLIKE,
            f"{one.lift:,.0f} times as frequent as elsewhere; the prompts do not have it, and are {alike:.1f} times as "
            f"alike as any two",
        )
        for (one, alike), corrected in zip(chosen, q, strict=True)
        if corrected <= Q and alike <= 2 * UNLIKE
    ]


def _split(texts: Texts) -> list[np.ndarray]:
    """The words of each text."""
    stream = texts.words.stream
    return [piece[:-1] for piece in np.split(stream[1:], np.flatnonzero(stream[1:] == 0)[:-1] + 1)]


def _named(phrase: str, texts: Sequence[str]) -> float:
    """Share of a phrase's places at which its first letter is a capital that no sentence's beginning explains."""
    pattern = re.compile(r"[^\w]{0,3}".join(map(re.escape, phrase.split())), re.IGNORECASE)
    places = [(text, found.start()) for text in texts for found in pattern.finditer(text)]
    names = [
        text[at].isupper() and re.search(r"[\w,’')]\s+[\"“'(*]*$", text[max(0, at - 8) : at]) for text, at in places
    ]
    return sum(map(bool, names)) / max(1, len(names))
