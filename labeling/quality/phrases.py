"""Poisoned labels: people whose choices go with a phrase in an answer, whatever else the answers are.

What a person would choose without the phrase is foretold from what others chose of the same two answers, from their
lengths and from their places on the page (a logistic regression for each person, drawn towards everybody's). Then the
phrase is tested on that, exactly, and corrected for all people and phrases (Bonferroni's way, as Tarone mended it: with
false discovery rates the dozen phrases of one true finding let a false one about somebody else through).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from labeling.quality.duels import Duels
from labeling.quality.ngrams import Carriers, Texts
from labeling.quality.rates import Floats, Ints

FEWEST = 8
"""Cases, of one person and phrase, that are tested: fewer can't reach the level over thousands of tests."""

LEVEL = 0.01
"""The chance that anybody is accused falsely in a project: it was so in 1 of 200 simulated ones. A phrase that a person
chose in all of 20 cases was found in 34 of 40 projects of five people, in all of about 12 cases in 3 of 40."""

APART = 0.2
"""How much more (or less) often than foretold an answer with the phrase must be chosen. In large projects any liking
for a word is significant, and honest people have some."""

ALIKE = 0.5
"""Phrases whose cases are the same ones to this share (Jaccard) are one finding."""

MOST_ALSO = 12
"""Phrases of a finding that are named."""

_POOL, _OWN = 1.0, 5.0
"""Penalty on everybody's weights, and on a person's distance from them: about five choices' worth."""
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
class Shown:
    """Lengths of a sample's answers in characters, and the place on the page of each."""

    lengths: tuple[int, ...]
    places: tuple[int, ...]


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
    chance = _foretold(duels, shown)
    first_row = {}
    for row in range(len(duels) - 1, -1, -1):
        first_row[int(duels.label[row])] = row
    tested: list[_Tested] = []
    attainable = []
    for person in np.unique(duels.person):
        found, least = _test_person(int(person), duels, chance, carriers, first_row, shown)
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


def _foretold(duels: Duels, shown: Mapping[int, Shown]) -> Floats:
    """(duels,): how likely the answer `first` is to be preferred, without a look at its words."""
    lengths = np.zeros((len(duels), 2))
    before = np.zeros(len(duels))
    pairs = zip(duels.sample.tolist(), duels.first.tolist(), duels.second.tolist(), strict=True)
    for row, (sample, i, j) in enumerate(pairs):
        one = shown[sample]
        lengths[row] = one.lengths[i], one.lengths[j]
        before[row] = 1 if one.places[i] < one.places[j] else -1
    ratio = np.log((lengths[:, 0] + 20) / (lengths[:, 1] + 20))
    # Whether an answer is longer, and by how much: who always takes the longer one cares little by how much.
    features = np.stack([duels.lean / (duels.others + 1), ratio, np.sign(ratio), before], axis=1)
    sign = duels.sign.astype(np.float64)
    everybody = _fit(features, sign, np.zeros(features.shape[1]), _POOL)
    chance = np.empty(len(duels))
    for person in np.unique(duels.person):
        mine = duels.person == person
        chance[mine] = expit(features[mine] @ _fit(features[mine], sign[mine], everybody, _OWN))
    return chance


def _fit(features: Floats, sign: Floats, centre: Floats, penalty: float) -> Floats:
    """Logistic regression by Newton's method, drawn towards `centre`, without a constant: answers have no order."""
    weights = centre.copy()
    for _ in range(25):
        p = expit(features @ weights)
        slope = features.T @ (p - (sign > 0)) + penalty * (weights - centre)
        bend = (features * (p * (1 - p))[:, None]).T @ features + penalty * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _test_person(
    person: int,
    duels: Duels,
    chance: Floats,
    carriers: Carriers,
    first_row: Mapping[int, int],
    shown: Mapping[int, Shown],
) -> tuple[list[_Tested], Floats]:
    """Those of a person's phrases that are suspect, and the least p that each of them all could have."""
    rows = np.flatnonzero(duels.person == person)
    labels, at = np.unique(duels.label[rows], return_index=True)
    samples = duels.sample[rows[at]]
    _, once = np.unique(samples, return_index=True)  # of a sample labelled twice the first label is a case
    labels, samples = labels[once], samples[once]
    starts = np.searchsorted(carriers.sample, samples, "left")
    ends = np.searchsorted(carriers.sample, samples, "right")
    sizes = ends - starts
    entry = np.repeat(starts - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(sizes.sum())
    gram, mask = carriers.gram[entry], carriers.mask[entry]
    often = np.bincount(gram, minlength=len(carriers.hashes))
    kept = often[gram] >= FEWEST
    if not kept.any():
        return [], np.zeros(0)
    gram, mask = gram[kept], mask[kept]
    owner = np.repeat(np.arange(len(labels)), sizes)[kept]
    answers = np.array([len(shown[int(sample)].lengths) for sample in samples])[owner]
    having, lacking = _lowest(mask), _lowest(~mask)
    i, j = np.minimum(having, lacking), np.maximum(having, lacking)
    begin = np.array([first_row[int(label)] for label in labels])[owner]
    row = begin + i * answers - i * (i + 1) // 2 + (j - i - 1)  # the place of (i, j) in numpy.triu_indices(K, 1)
    forward = having < lacking
    expected = np.where(forward, chance[row], 1 - chance[row])
    chosen = (duels.sign[row] > 0) == forward
    width = len(carriers.hashes)
    surplus = np.bincount(gram, chosen - expected, minlength=width)
    spread = np.bincount(gram, expected * (1 - expected), minlength=width)
    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.flatnonzero((often >= FEWEST) & (np.abs(surplus) >= _SUSPECT * np.sqrt(spread)))
    all_taken = np.bincount(gram, np.log(expected), minlength=width)
    none_taken = np.bincount(gram, np.log1p(-expected), minlength=width)
    least = np.minimum(1.0, 2 * np.exp(np.minimum(all_taken, none_taken)))
    found = []
    for one in far:
        cases = np.flatnonzero(gram == one)
        taken = int(chosen[cases].sum())
        p = poisson_binomial(expected[cases], taken)
        total = float(expected[cases].sum())
        prefers = taken > total
        found.append(
            _Tested(person, int(one), prefers, len(cases), taken, total, p, float(least[one]), samples[owner[cases]])
        )
    return found, least[often >= FEWEST]


def _lowest(mask: Ints) -> Ints:
    """The number of the lowest bit that is set."""
    return np.log2(mask & -mask).astype(np.int64)


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
