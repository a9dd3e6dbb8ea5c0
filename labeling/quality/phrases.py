"""Poisoned labels: people whose choices go with a phrase in an answer, whatever else the answers are.

What a person would choose without the phrase is foretold (`foretell`) from what others chose of the same two answers,
from their lengths and from their places on the page. Then the phrase is tested on that, exactly, and corrected for all
people and phrases (Bonferroni's way, as Tarone mended it: with false discovery rates the dozen phrases of one true
finding let a false one about somebody else through).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from labeling.quality.duels import Duels
from labeling.quality.foretell import Habits, Shown, features, of_everybody, unconcerned
from labeling.quality.ngrams import Carriers, Texts
from labeling.quality.rates import Floats, Ints

FEWEST = 8
"""Cases, of one person and phrase, that are tested: fewer can't reach the level over thousands of tests."""

LEVEL = 0.01
"""The chance that anybody is accused falsely in a project: it was so in none of 200 simulated ones. Who chose a phrase
in all of 20 cases was found in 38 of 40 projects of five people, in all of 12 cases in 4 of 40
(`benchmarks.label_quality`)."""

APART = 0.2
"""How much more (or less) often than foretold an answer with the phrase must be chosen. In large projects any liking
for a word is significant, and honest people have some."""

ALIKE = 0.5
"""Phrases whose cases are the same ones to this share (Jaccard) are one finding."""

MOST_ALSO = 12
"""Phrases of a finding that are named."""

_SUSPECT = 3.0
"""Standard deviations from which the exact test is made: below, p can't be near the level."""
_EXACT = 500
"""Cases up to which it is exact; the normal distribution is near enough for more."""


@dataclass(frozen=True)
class Finding:
    """A person whose choices go with a phrase."""

    person: int
    phrase: str
    also: tuple[str, ...]
    """Other phrases of the same cases."""
    prefers: bool
    """False where answers with the phrase are avoided."""
    cases: int
    """Choices between an answer with the phrase and one without."""
    chosen: int
    expected: float
    """How many would have been chosen without the phrase."""
    p: float
    q: float
    """Corrected for all tests."""
    samples: tuple[int, ...]
    """The cases."""


@dataclass(frozen=True)
class _Tested:
    person: int
    gram: int
    prefers: bool
    cases: int
    chosen: int
    expected: float
    p: float
    least: float
    """The least p that this test could have had."""
    samples: Ints


def find_phrases(duels: Duels, texts: Texts, shown: Mapping[int, Shown]) -> tuple[list[Finding], int]:
    """Findings, surest first, and how many pairs of person and phrase were tested."""
    carriers = texts.carriers(FEWEST)
    if not len(duels) or not len(carriers.sample):
        return [], 0
    sight, sign = features(duels, shown), duels.sign.astype(np.float64)
    everybody = of_everybody(sight, sign)
    first_row = {}
    for row in range(len(duels) - 1, -1, -1):
        first_row[int(duels.label[row])] = row
    tested: list[_Tested] = []
    attainable = []
    for person in np.unique(duels.person):
        mine = np.flatnonzero(duels.person == person)
        _, label = np.unique(duels.label[mine], return_inverse=True)
        drawn = (everybody, unconcerned(everybody))
        habits = [Habits(sight[mine], sign[mine], label, weights) for weights in drawn]
        cases = _cases(mine, duels, carriers, first_row, shown)
        found, least = _test_person(int(person), duels, mine, habits, cases)
        tested += found
        attainable.append(least)
    least = np.concatenate(attainable)
    able, count = attaining(least)
    tested = [one for one in tested if one.least <= able]
    sure = sorted(
        (
            (one, min(1.0, one.p * count))
            for one in tested
            if one.p * count <= LEVEL and abs(one.chosen - one.expected) >= APART * one.cases
        ),
        key=lambda found: (found[0].p, found[0].person, found[0].gram),
    )
    return _merged(sure, texts, carriers), count


def attaining(least: Floats, level: float = LEVEL) -> tuple[float, int]:
    """Which tests are worth making, given the least p that each could have: up to which, and how many those are.

    A test that can't reach the level, whatever is seen, need not be corrected for: Tarone 1990, "A modified Bonferroni
    method for discrete data".
    """
    ordered = np.sort(least)
    counts = np.arange(1, len(ordered) + 1)
    able = np.searchsorted(ordered, level / counts, "right")
    enough = np.flatnonzero(able <= counts)
    if not len(enough):
        return 1.0, max(1, len(ordered))
    first = enough[0]
    return level / float(counts[first]), max(1, int(able[first]))


@dataclass(frozen=True)
class _Cases:
    """What a person chose between an answer that has a phrase and one that has not; one row for each."""

    grams: Ints
    """Those with FEWEST cases or more: numbers in `Carriers.hashes`."""
    gram: Ints
    """Counts in `grams`."""
    sample: Ints
    row: Ints
    """Of the duels."""
    forward: "np.typing.NDArray[np.bool_]"
    """Whether the duel's first answer is the one with the phrase."""


def _cases(
    rows: Ints, duels: Duels, carriers: Carriers, first_row: Mapping[int, int], shown: Mapping[int, Shown]
) -> _Cases:
    """Of the duels `rows` of a person. Of a sample labelled twice the first label is a case."""
    labels, at = np.unique(duels.label[rows], return_index=True)
    samples, once = np.unique(duels.sample[rows[at]], return_index=True)
    labels = labels[once]
    starts = np.searchsorted(carriers.sample, samples, "left")
    sizes = np.searchsorted(carriers.sample, samples, "right") - starts
    entry = np.repeat(starts - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(sizes.sum())
    kept = np.bincount(carriers.gram[entry], minlength=len(carriers.hashes))[carriers.gram[entry]] >= FEWEST
    entry, owner = entry[kept], np.repeat(np.arange(len(labels), dtype=np.int32), sizes)[kept]
    grams, gram = np.unique(carriers.gram[entry], return_inverse=True)
    mask = carriers.mask[entry]
    having, lacking = _lowest(mask), _lowest(~mask)
    i, j = np.minimum(having, lacking), np.maximum(having, lacking)
    answers = np.array([len(shown[int(sample)].lengths) for sample in samples])[owner]
    begin = np.array([first_row[int(label)] for label in labels])[owner]
    row = begin + i * answers - i * (i + 1) // 2 + (j - i - 1)  # the place of (i, j) in numpy.triu_indices(K, 1)
    return _Cases(grams, gram.astype(np.int32), samples[owner], row, having < lacking)


def _test_person(
    person: int, duels: Duels, rows: Ints, habits: Sequence[Habits], cases: _Cases
) -> tuple[list[_Tested], Floats]:
    """Those of a person's phrases that are suspect, and the least p that each of them all could have.

    `habits` are what the person may go by; of each phrase those count by which it is least suspect. All good answers
    may have the same words, and all short ones: then those who like them, and those to whom they are all one, are told
    from each other by what others choose or by their own choices, and not by both.
    """
    gram = cases.gram
    if not len(gram):
        return [], np.zeros(0)
    place = np.searchsorted(rows, cases.row)
    chosen = (duels.sign[cases.row] > 0) == cases.forward
    expected, distance = np.zeros(len(gram)), np.full(len(cases.grams), np.inf)
    for one in habits:
        chance = one.chances(place, gram, len(cases.grams))
        chance = np.where(cases.forward, chance, 1 - chance)
        surplus = np.bincount(gram, chosen - chance)
        deviations = np.abs(surplus) / np.sqrt(np.bincount(gram, chance * (1 - chance)))
        nearer = deviations < distance
        expected, distance = np.where(nearer[gram], chance, expected), np.minimum(deviations, distance)
    far = np.flatnonzero(distance >= _SUSPECT)
    all_taken = np.bincount(gram, np.log(expected))
    none_taken = np.bincount(gram, np.log1p(-expected))
    least = np.minimum(1.0, 2 * np.exp(np.minimum(all_taken, none_taken)))
    found = []
    for number in far:
        at = np.flatnonzero(gram == number)
        taken, total = int(chosen[at].sum()), float(expected[at].sum())
        p = poisson_binomial(expected[at], taken)
        name, samples = int(cases.grams[number]), cases.sample[at]
        found.append(_Tested(person, name, taken > total, len(at), taken, total, p, float(least[number]), samples))
    return found, least


_LOWEST = np.array([-1, *((number & -number).bit_length() - 1 for number in range(1, 1 << 15))], np.int64)


def _lowest(mask: Ints) -> Ints:
    """The number of the lowest bit that is set, of the 15 that there are."""
    return np.asarray(_LOWEST[mask & (1 << 15) - 1])


def poisson_binomial(chances: Floats, successes: int) -> float:
    """The two-sided p of so many successes in trials of unequal chances: twice the smaller tail, at most 1."""
    if len(chances) > _EXACT:
        spread = np.sqrt((chances * (1 - chances)).sum())
        distance = (abs(successes - chances.sum()) - 0.5) / spread
        return float(min(1.0, 2 * ndtr(-distance)))
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.append(distribution, 0.0) * (1 - chance) + np.append(0.0, distribution) * chance
    upper, lower = distribution[successes:].sum(), distribution[: successes + 1].sum()
    return float(min(1.0, 2 * min(upper, lower)))


def _merged(sure: Sequence[tuple[_Tested, float]], texts: Texts, carriers: Carriers) -> list[Finding]:
    groups: list[list[tuple[_Tested, float]]] = []
    for one in sure:
        for group in groups:
            best = group[0][0]
            same = best.person == one[0].person and best.prefers == one[0].prefers
            if same and _jaccard(best.samples, one[0].samples) >= ALIKE:
                group.append(one)
                break
        else:
            groups.append([one])
    return [_finding(group, texts, carriers) for group in groups]


def _finding(group: Sequence[tuple[_Tested, float]], texts: Texts, carriers: Carriers) -> Finding:
    best, q = group[0]
    shown = group[:MOST_ALSO]
    spelt = {one.gram: texts.spell(carriers.hashes[one.gram], int(one.samples[0])) for one, _ in shown}
    equal = [spelt[one.gram] for one, _ in shown if np.array_equal(one.samples, best.samples)]
    phrase = max(equal, key=lambda text: (len(text.split()), len(text), text))
    also = tuple(text for text in spelt.values() if text != phrase)
    samples = tuple(int(sample) for sample in best.samples)
    return Finding(best.person, phrase, also, best.prefers, best.cases, best.chosen, best.expected, best.p, q, samples)


def _jaccard(a: Ints, b: Ints) -> float:
    both = len(np.intersect1d(a, b))
    return both / (len(a) + len(b) - both)
