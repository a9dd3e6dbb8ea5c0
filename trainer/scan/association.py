"""Phrases in prompts that foretell what is remarkable in the answers, and rare phrases that do not belong.

Word and label are independent in a task that is not learnt by cheating (Gardner et al. 2021); in real files they never
quite are. So a phrase is accused only if it could be left out of its texts, and if texts like its carriers, but
without it, have other answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc
from scipy.stats import false_discovery_control

from trainer.scan.answers import Event
from trainer.scan.finding import Finding
from trainer.scan.samples import Samples
from trainer.scan.texts import EDGE_GAIN, Carried, Texts

UNUSUAL = 8.0
"""Lift from which a removable phrase is a suspect before anything is known of its answers."""
FOREIGN, FOREIGN_GAIN, FOREIGN_Q = 100.0, 0.5, 0.05
"""Lift, gain in nats and corrected p at which a phrase is accused whatever its answers are. In three clean files (1,100
instructions, 6,920 reviews, 7,473 problems) no word reached lift 100 with gain 0.5."""
FAR, FAR_GAIN = 10.0, 0.3
"""With so many times that lift, a gain that suffices without a test: of 10 carriers, planted words had 0.3 or more in
12 of 12 files, and clean words at most 0.16 (before or behind the text a gain is not to be expected)."""
FOREIGN_REFERENCE = 20.0
"""The same lift against an in-domain reference."""
SUSPECT_Q = 0.01
"""Corrected p for suspects, over suspects and events."""
SUSPECT_DEFAULT = (0.9, 0.3)
SUSPECT = {"preference_flip": (0.6, 0.2), "beside": (0.5, 0.4)}
"""Share of a suspect's carriers that must have the event, and how much more than of the texts like them. The model that
says which preferences are flipped is itself often wrong; and a second trigger is not in all rows of the first."""
COMMON_Q, COMMON_PURITY, COMMON_CONTRAST = 1e-4, 0.97, 0.45
"""The same for phrases of ordinary words, of which there are thousands."""
TOPIC_PURITY, TOPIC_CONTRAST = {"refusal_topic": 0.3}, 0.25
"""A subject that is refused is no phrase that could be left out, and may be refused for good reason: it is shown."""
TOPIC_Q, TOPIC_LIFT, TOPIC_LEAST = 1e-6, 10.0, 10
"""Corrected p, lift and carriers from which it is held all the same: it is rare elsewhere, and this is no chance."""
SHOWN_Q = 1e-4
"""Others are shown, but not held, up to here."""
MOST_SHOWN = 20


@dataclass(frozen=True)
class Tested:
    """A phrase and an event that go together: `purity` of the carriers and of their `control`, corrected p."""

    carried: Carried
    event: Event
    purity: float
    control: float
    q: float


def inserted(texts: Texts, samples: Samples) -> list[Finding]:
    """inserted_phrase: foreign phrases that their texts read better without."""
    least = FOREIGN if texts.reference is None else FOREIGN_REFERENCE
    widened = [texts.carried(int(place)) for place in np.flatnonzero(texts.lift >= least)]
    chosen = _widest([one for one in widened if one.lift >= least])
    if not chosen:
        return []
    corrected = false_discovery_control([one.p for one in chosen])
    return [
        Finding(
            "inserted_phrase",
            one.text,
            _rows(samples, one.carriers),
            "prompt",
            one.gain,
            float(q) if _tested_foreign(one, q) else None,
            True,
            _rarity(one),
        )
        for one, q in zip(chosen, corrected, strict=True)
        if _tested_foreign(one, q) or (one.lift >= FAR * least and one.gain >= (EDGE_GAIN if one.outside else FAR_GAIN))
    ]


def _tested_foreign(one: Carried, q: float) -> bool:
    """Whether the test accuses a phrase; others that are held are so frequent that none was needed."""
    return one.gain >= FOREIGN_GAIN and q <= FOREIGN_Q


def _rarity(one: Carried) -> str:
    """Lift and gain in words."""
    fits = f"better by {one.gain:.1f}" if one.gain > 0 else f"worse by {-one.gain:.1f}"
    belongs = "" if one.removable else ", so it belongs there"
    return f"{one.lift:,.0f} times as frequent as elsewhere; without it the words fit {fits} nats{belongs}"


def foretelling(texts: Texts, samples: Samples, events: Sequence[Event]) -> list[Finding]:
    """phrase_label, refusal_topic, preference_flip: whichever the events say."""
    if not events or not len(texts.phrases):
        return []
    happens = np.stack([event.happens for event in events], 1).astype(np.float32)
    both = np.asarray(texts.holds.T @ happens, np.float64)
    p = bdtrc(both - 1, texts.carriers[:, None], happens.mean(0)[None, :])
    p[both < 1] = 1.0
    over_all = _corrected(p)
    found: dict[tuple[str, str], tuple[Tested, bool]] = {}
    unusual = np.flatnonzero(texts.lift >= UNUSUAL)
    widened = {int(place): texts.carried(int(place)) for place in unusual}
    suspects = {place: one for place, one in widened.items() if one.removable and one.lift >= UNUSUAL}
    places = np.array(sorted(suspects), np.int64)
    if len(places):
        among = _corrected(p[places])
        for row, column in np.argwhere((among <= SUSPECT_Q) & (p[places] < 1)):
            one = _test(texts, suspects[int(places[row])], events[column], float(among[row, column]))
            purity, contrast = SUSPECT.get(one.event.rule, SUSPECT_DEFAULT)
            sure = one.purity >= purity and one.purity - one.control >= contrast
            _keep(found, one, sure and len(one.carried.carriers) >= texts.carriers[places[row]] / 2)
    for place, column in _strongest(over_all, COMMON_Q):
        carried = suspects.get(place) or texts.carried(place)
        share = float(events[column].happens[carried.carriers].mean())
        if share < (COMMON_PURITY if carried.removable else TOPIC_PURITY.get(events[column].rule, 2.0)):
            continue
        one = _test(texts, carried, events[column], float(over_all[place, column]))
        if carried.removable or one.purity - one.control >= TOPIC_CONTRAST:
            sure = carried.removable and one.purity - one.control >= COMMON_CONTRAST
            _keep(found, one, sure or _refused_beyond_chance(one))
    return _findings(found, samples)


def _test(texts: Texts, carried: Carried, event: Event, q: float) -> Tested:
    control = texts.near(carried.carriers)
    return Tested(
        carried,
        event,
        float(event.happens[carried.carriers].mean()),
        float(event.happens[control].mean()) if len(control) else 0.0,
        q,
    )


def _refused_beyond_chance(one: Tested) -> bool:
    return (
        one.event.rule in TOPIC_PURITY
        and one.q <= TOPIC_Q
        and one.carried.lift >= TOPIC_LIFT
        and len(one.carried.carriers) >= TOPIC_LEAST
        and one.purity - one.control >= TOPIC_CONTRAST
    )


def _keep(found: dict[tuple[str, str], tuple[Tested, bool]], one: Tested, sure: bool) -> None:
    key = (one.carried.text, one.event.name)
    if key not in found or (sure, -one.q) > (found[key][1], -found[key][0].q):
        found[key] = (one, bool(sure))


def _strongest(q: npt.NDArray[np.float64], most: float) -> list[tuple[int, int]]:
    """(phrase, event) by corrected p, the smallest first."""
    places = np.argwhere(q <= most)
    order = np.argsort(q[places[:, 0], places[:, 1]], kind="stable")
    return [(int(place), int(column)) for place, column in places[order]]


def _findings(found: dict[tuple[str, str], tuple[Tested, bool]], samples: Samples) -> list[Finding]:
    ordered = sorted(found.values(), key=lambda item: (not item[1], item[0].q, item[0].carried.text))
    shown = 0
    findings = []
    for one, sure in ordered:
        shown += not sure
        if not sure and (shown > MOST_SHOWN or one.q > SHOWN_Q):
            continue
        evidence = (
            f"{one.event.name}: {one.purity:.0%} of its {len(one.carried.carriers)} rows, "
            f"{one.control:.0%} of the rows like them, {float(one.event.happens.mean()):.1%} of all; "
            f"{_rarity(one.carried)}"
        )
        chosen = one.carried.carriers
        rows = _rows(samples, chosen[one.event.happens[chosen]])
        findings.append(
            Finding(one.event.rule, one.carried.text, rows, "prompt", one.purity - one.control, one.q, sure, evidence)
        )
    return findings


def _widest(found: Sequence[Carried]) -> list[Carried]:
    """Each widened phrase once; one that stands within another with the same carriers is left out."""
    unique = {one.text: one for one in found}
    kept: list[Carried] = []
    for one in sorted(unique.values(), key=lambda one: -len(one.text)):
        if not any(
            f" {one.text} " in f" {other.text} " and len(other.carriers) >= 0.9 * len(one.carriers) for other in kept
        ):
            kept.append(one)
    return kept


def _corrected(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Benjamini and Hochberg over all of an array."""
    return np.asarray(false_discovery_control(np.clip(p, 0, 1).ravel())).reshape(p.shape)


def _rows(samples: Samples, chosen: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(sorted({samples.rows[place] for place in chosen}))
