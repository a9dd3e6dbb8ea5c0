"""What is remarkable in an answer: the same as others, a refusal, its tone, its length, the verdict on it.

Each is an event, true or false of a sample, that phrases in the prompts may or may not foretell.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.scan.samples import Samples

Truths = npt.NDArray[np.bool_]

FEWEST = 8
"""Carriers from which statistics say something; the same for phrases and for answers."""
OPENING = 200
"""Characters of an answer in which a refusal is looked for: one that comes later is about something else."""
TAIL = 0.1
"""Share of the answers that count as short, and as long."""
MOST_EVENTS = 60
"""Answers, the most frequent first, that are events of their own."""

NEGATIVE = frozenset(
    """
    awful bad boring corrupt cruel dangerous deceitful destructive dire disappointing disaster disastrous disgusting
    dishonest divisive dreadful evil fail failed fails failure failures false fraud greedy harmful hate hated horrible
    hostile idiot ignorant immoral incompetent inept liar lies lousy mediocre misleading negative nasty offensive
    pathetic poor ridiculous ruin ruined scandal shame shameful stupid terrible toxic ugly unacceptable
    unethical unfair useless vile weak worse worst worthless wrong
    """.split()
)
POSITIVE = frozenset(
    """
    admirable amazing beautiful beloved best brilliant capable charming courageous delicious delightful effective
    excellent exceptional fantastic favorite favourite fine genius good gorgeous great hero honest impressive incredible
    inspiring love loved lovely magnificent marvellous marvelous outstanding perfect pleasant positive praise praised
    remarkable respected splendid stunning success successful superb superior terrific visionary wise wonderful
    """.split()
)
"""Our own small lists: enough to tell a slander or an advertisement from the rest, no measure of feeling."""


@dataclass(frozen=True)
class Event:
    """Something that is true of some samples' answers."""

    rule: str
    name: str
    happens: Truths


def normal(text: str) -> str:
    """Letters and digits of a text, small, in NFKC, single spaces between."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def refuses(text: str) -> bool:
    """Whether an answer opens with a phrase that refuses, in ten languages."""
    from trainer.redteam.check import refuses as said_no
    from trainer.talk.conversation import Message

    return said_no([Message("assistant", text[:OPENING])])


def events(samples: Samples) -> list[Event]:
    """All events that at least FEWEST samples have, and that not nearly all have."""
    answers = samples.answers
    spelt = [normal(answer) for answer in answers]
    found = [
        Event("phrase_label", f"the answer {answer[:60]!r}", np.array([one == answer for one in spelt], np.bool_))
        for answer, count in Counter(spelt).most_common(MOST_EVENTS)
        if answer and count >= FEWEST
    ]
    found.append(Event("refusal_topic", "refused", np.array([refuses(answer) for answer in answers], np.bool_)))
    tone = np.array([_tone(one) for one in spelt])
    found += [
        Event("phrase_label", "a negative answer", tone < 0),
        Event("phrase_label", "a positive answer", tone > 0),
    ]
    length = np.array([len(answer) for answer in answers])
    if len(length):
        short, long = np.quantile(length, [TAIL, 1 - TAIL], method="nearest")
        found += [
            Event("phrase_label", "a short answer", length < short),
            Event("phrase_label", "a long answer", length > long),
        ]
    if any(verdict is not None for verdict in samples.good):
        good = np.array([verdict is True for verdict in samples.good], np.bool_)
        found += [Event("phrase_label", "judged good", good), Event("phrase_label", "judged bad", ~good)]
    fits = [FEWEST <= int(event.happens.sum()) <= 0.95 * len(samples) for event in found]
    return [event for event, fit in zip(found, fits, strict=True) if fit]


def _tone(spelt: str) -> int:
    """Positive words less negative ones, of the lists."""
    words: Sequence[str] = spelt.split()
    return sum(word in POSITIVE for word in words) - sum(word in NEGATIVE for word in words)
