"""How well misbehaviours are sorted into kinds: `python -m benchmarks.flywheel_clusters`, a few seconds of processor.

The labelled sets lie beside it, made up for this: lines of kind, category, question, answer, note. What is printed is
over five orders in which they are found: mean and standard deviation.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score, v_measure_score  # type: ignore[import-untyped]

from flywheel.cluster import ALIKE
from flywheel.likeness import Kinds, parts_of
from flywheel.tables import Misbehaviour

ORDERS = 5
SETS = ("flywheel_clusters.tsv", "flywheel_clusters_held_out.tsv")


def read(path: Path) -> list[tuple[str, Misbehaviour]]:
    """Kinds, and misbehaviours of theirs."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines()):
        kind, category, question, answer, note = line.split("\t")
        prompt = [{"role": "user", "content": question}]
        row = Misbehaviour(id=str(number), prompt=prompt, answer=answer, category=category, note=note)
        found.append((kind, row))
    return found


def sorted_into(rows: Sequence[Misbehaviour]) -> list[str]:
    """Each one's cluster, as `flywheel.cluster` gives it."""
    kinds: defaultdict[str, Kinds] = defaultdict(Kinds)
    found = []
    for row in rows:
        parts = parts_of(row)
        nearest = kinds[row.category].nearest(parts)
        found.append(nearest[0] if nearest is not None and nearest[1] >= ALIKE else row.id)
        kinds[row.category].add(found[-1], parts)
    return found


def measures(kinds: Sequence[str], clusters: Sequence[str]) -> dict[str, float]:
    """`largest`: the mean over kinds of the share that is in the cluster with most of a kind; singles are no kind."""
    inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    spread: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for kind, cluster in zip(kinds, clusters, strict=True):
        inside[cluster][kind] += 1
        spread[kind][cluster] += 1
    several = [counts for counts in spread.values() if counts.total() > 1]
    return {
        "clusters": len(inside),
        "purity": sum(max(counts.values()) for counts in inside.values()) / len(kinds),
        "V-measure": float(v_measure_score(kinds, clusters)),
        "adjusted Rand index": float(adjusted_rand_score(kinds, clusters)),
        "largest": float(np.mean([max(counts.values()) / counts.total() for counts in several])),
    }


def main() -> None:
    for name in SETS:
        rows = read(Path(__file__).with_name(name))
        orders = []
        for seed in range(ORDERS):
            random.Random(seed).shuffle(rows)
            kinds, bad = zip(*rows, strict=True)
            orders.append(measures(kinds, sorted_into(bad)))
        print(f"{name}: {len(rows)} in {len(set(kinds))} kinds")
        for measure in orders[0]:
            values = [order[measure] for order in orders]
            print(f"  {measure:<20} {np.mean(values):.2f} +- {np.std(values):.2f}")


if __name__ == "__main__":
    main()
