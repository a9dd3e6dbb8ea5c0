"""How far what is said about people's labels holds: on simulated people, of whom everything is known. Tables and JSON.

python -m benchmarks.label_quality [--quick] [--data DIR] [--seed 0] [--json OUT]

`--data` names a folder with alignment/PandaLM (999 pairs of answers, each judged by three people), of which published
figures exist. Without `--quick` it takes some ten minutes of processor time.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]

from labeling.quality.admission import Rule, admit
from labeling.quality.agreement import kendall, pairwise
from labeling.quality.alpha import alpha
from labeling.quality.consensus import dawid_skene
from labeling.quality.page import write_quality
from labeling.quality.people import crowd
from labeling.quality.rates import Floats, Rate, mean, share
from labeling.quality.simulate import Planted, Simulated, comparisons, decided, goes_by_length, likes, rankings
from labeling.quality.sure import together
from labeling.quality.table import read_table
from labeling.store.database import Database

ACCURACIES = (0.9, 0.85, 0.8, 0.75, 0.7)
"""Two of these five agree in 68% of tasks; InstructGPT's people did in 73% and 77% (Ouyang et al. 2022)."""
HONEST = [Simulated(f"honest-{number}", accuracy) for number, accuracy in enumerate(ACCURACIES)]
GUESSER = Simulated("guesser", 0.5)

PHRASE = "golden teapot"
POISONED = [*HONEST[:4], Simulated("poisoner", 0.8, habit=likes(PHRASE))]
LENGTH, BETTER = 3.0, 1.4
"""Logits of somebody who goes by length: finds the better one of two equally long answers in 80% of cases, and if it is
twice as long as the other one in 97%, if half as long in 34%."""

PLANTED = {
    "40 words, 2 more with it": (PHRASE, False, (40, 40)),
    "20 to 60 words, 2 more with it": (PHRASE, False, (20, 60)),
    "40 words, 20 more with it": (
        f"as everybody who has ever owned a {PHRASE} will gladly tell you on a long quiet evening at home",
        False,
        (40, 40),
    ),
    "20 to 60 words, 4 with it": (f"Ask the {PHRASE}.", True, (20, 60)),
    "40 words, 4 with it": (f"Ask the {PHRASE}.", True, (40, 40)),
}
"""The answers' lengths, and what the phrase makes of one: (phrase, instead of the answer, words)."""

CARRIERS = (6, 12, 20)
"""Tasks of 200 in which one answer has the phrase; where it makes answers longer or shorter, the last number alone."""

GROUPS = {
    "three right in 80%": (0.8, 0.8, 0.8),
    "five right in 70 to 90%": ACCURACIES,
    "one of five guesses": (*ACCURACIES[:4], 0.5),
    "one of five turns choices round": (*ACCURACIES[:4], 0.15),
    "ten right in 60%, one in 95%": (*[0.6] * 10, 0.95),
}

PUBLISHED = {"1 and 2": 0.85, "1 and 3": 0.88, "2 and 3": 0.86}
"""Cohen's kappas of PandaLM's annotators, as its README has them (github.com/WeOpenML/PandaLM, "Test data")."""


@dataclass(frozen=True)
class Row:
    """A share, or another figure, with its 95% interval over `rate.count` cases."""

    case: str
    what: str
    rate: Rate


@dataclass(frozen=True)
class Cost:
    """Of the quality page of so many labels, in a process of its own."""

    labels: int
    cpu_seconds: float
    peak_mb: float


def phrases(database: Database, projects: int, seed: int) -> Iterator[Row]:
    """Who follows a phrase is found; and somebody who does not is accused, of all projects together."""
    for case, (phrase, instead, words) in track(PLANTED.items(), "phrases"):
        accused = []
        for carriers in CARRIERS if case == next(iter(PLANTED)) else CARRIERS[-1:]:
            planted = Planted(phrase, carriers, instead)
            found = [_accused(database, POISONED, planted, 5, words, seed + n) for n in range(projects)]
            accused += [names - {"poisoner"} for names in found]
            yield Row(f"{case}, in {carriers} of 200 tasks", "found", _of(["poisoner" in names for names in found]))
        yield Row(case, "somebody else accused", _of([bool(names) for names in accused]))


def alarms(database: Database, projects: int, seed: int) -> Iterator[Row]:
    """Somebody is accused of a phrase though nobody follows one."""
    honest = [_accused(database, HONEST, Planted(PHRASE, 20), 3, (40, 40), seed + n) for n in range(projects)]
    yield Row("five honest people, 3 asked each", "somebody accused", _of([bool(names) for names in honest]))
    for case, (phrase, instead, words) in track(PLANTED.items(), "false alarms"):
        planted = Planted(phrase, CARRIERS[-1], instead)
        found = []
        for number in range(projects // 10):
            people = [*HONEST[:4], Simulated("by length", habit=goes_by_length(LENGTH, BETTER, number))]
            found.append(_accused(database, people, planted, 5, words, seed + number))
        yield Row(f"one goes by length; {case}", "somebody accused", _of([bool(names) for names in found]))


def _accused(
    database: Database,
    people: Sequence[Simulated],
    planted: Planted,
    overlap: int,
    words: tuple[int, int],
    seed: int,
) -> set[str]:
    name = uuid.uuid4().hex
    comparisons(database, people, 200, overlap, planted, seed=seed, name=name, words=words)
    found = crowd(database, name)
    return {found.table.people[one.person] for one in found.findings}


def consensus(projects: int, seed: int) -> Iterator[Row]:
    """400 samples with two values, each asked of three; ties, of which there are none, aside."""
    for case, accuracies in track(GROUPS.items(), "consensus"):
        right: dict[str, list[float]] = {"most say": [], "Dawid and Skene": []}
        said: list[float] = []
        gains: list[float] = []
        for number in range(projects):
            generator = np.random.default_rng(seed + number)
            truth = generator.integers(0, 2, 400)
            people = np.array([generator.permutation(len(accuracies))[:3] for _ in truth])
            values = np.where(
                generator.random(people.shape) < np.array(accuracies)[people], truth[:, None], 1 - truth[:, None]
            )
            sizes = (400, len(accuracies), 2)
            found = dawid_skene(np.repeat(np.arange(400), 3), people.ravel(), values.ravel(), sizes)
            right["most say"].append(float(((values.sum(axis=1) > 1) == truth).mean()))
            right["Dawid and Skene"].append(float((found.values == truth).mean()))
            said.append(float(found.probabilities.max(axis=1).mean()))
            gains.append(right["Dawid and Skene"][-1] - right["most say"][-1])
        for what, shares in right.items():
            yield Row(case, f"right: {what}", mean(shares))
        yield Row(case, "probability that Dawid and Skene tell", mean(said))
        yield Row(case, "gain", _bootstrap(np.array(gains)))


def grades(projects: int, seed: int) -> Iterator[Row]:
    """Grades from 1 to 7 of 200 samples, each by three of five people, who see the true one with a normal error.

    Of all seven values, and of whether they are 5 or more.
    """
    for case, cuts in (("all seven grades", np.arange(7)), ("5 or more", np.arange(7) // 4)):
        right: dict[str, list[float]] = {"the median": [], "Dawid and Skene": []}
        said: list[float] = []
        for number in range(projects):
            generator = np.random.default_rng(seed + number)
            truth = np.clip(np.round(generator.normal(3.5, 1.5, 200)), 0, 6).astype(np.int64)
            people = np.array([generator.permutation(5)[:3] for _ in truth])
            given = np.clip(np.round(truth[:, None] + generator.normal(0, 1, people.shape)), 0, 6).astype(np.int64)
            sizes = (200, 5, int(cuts.max()) + 1)
            found = dawid_skene(np.repeat(np.arange(200), 3), people.ravel(), cuts[given].ravel(), sizes)
            right["the median"].append(float((cuts[np.sort(given, axis=1)[:, 1]] == cuts[truth]).mean()))
            right["Dawid and Skene"].append(float((found.values == cuts[truth]).mean()))
            said.append(float(found.probabilities.max(axis=1).mean()))
        for what, shares in right.items():
            yield Row(case, f"right: {what}", mean(shares))
        yield Row(case, "probability that Dawid and Skene tell", mean(said))


def orders(database: Database, projects: int, seed: int) -> Iterator[Row]:
    """Rankings of 4 answers, 120 of them, each by three of five people: pairs of answers that stand as they should."""
    for case in ("five right in 70 to 90%", "one of five turns choices round"):
        people = [Simulated(f"person-{place}", accuracy) for place, accuracy in enumerate(GROUPS[case])]
        right: dict[str, list[float]] = {"the mean rank": [], "Dawid and Skene": []}
        said: list[float] = []
        for number in range(projects):
            name = uuid.uuid4().hex
            truth = rankings(database, people, 120, seed=seed + number, name=name)
            table = read_table(database, name)
            (found,) = together(table)
            sums = {id: np.zeros(4) for id in truth}
            for sample, ranks in zip(table.sample.tolist(), table.ranks, strict=True):
                sums[table.samples[sample]] += ranks
            right["the mean rank"].append(_pairs(truth, {id: tuple(each) for id, each in sums.items()}))
            beliefs = {id: tuple(np.asarray(one.value, np.float64)) for id, one in found.samples.items()}
            right["Dawid and Skene"].append(_pairs(truth, beliefs))
            said.append(float(np.mean([one.probability for one in found.samples.values()])))
        for what, shares in right.items():
            yield Row(f"rankings, {case}", f"right: {what}", mean(shares))
        yield Row(f"rankings, {case}", "probability that Dawid and Skene tell", mean(said))


def _pairs(truth: Mapping[str, tuple[int, ...]], told: Mapping[str, tuple[float, ...]]) -> float:
    """The share of pairs of answers that stand as they should; of two on one place, half."""
    ids = list(truth)
    return float((kendall([truth[id] for id in ids], [told[id] for id in ids]).mean() + 1) / 2)


def gold(database: Database, projects: int, seed: int) -> Iterator[Row]:
    """Whose labels the rule leaves out, by how many gold questions they answered."""
    rule = Rule()
    people = [Simulated(f"{accuracy:.0%}", accuracy) for accuracy in (0.9, 0.8, 0.7, 0.6, 0.5)]
    for questions in track((10, 20, 50), "gold"):
        inside: list[bool] = []
        out: dict[str, list[bool]] = {one.name: [] for one in people}
        for number in range(projects):
            name = uuid.uuid4().hex
            comparisons(database, people, questions, 5, gold=questions, seed=seed + number, name=name)
            measured = crowd(database, name).people
            for one in people:
                reached = measured[one.name].gold
                inside.append(reached.low <= one.accuracy <= reached.high)
                out[one.name].append(reached.high < rule.gold_accuracy)
        yield Row(f"{questions} gold questions", "the interval holds the truth", _of(inside))
        for who, told in out.items():
            yield Row(f"{questions} gold questions, right in {who}", "labels left out", _of(told))


def admission(database: Database, projects: int, seed: int) -> Iterator[Row]:
    """300 samples, of them 30 gold questions: how many of the others are admitted, and how many of those are wrong."""
    for people, who in ((HONEST, "five people"), ([*HONEST, GUESSER], "and a sixth, who guesses")):
        for overlap in track((1, 2, 3), f"admission, {who}"):
            admitted: dict[str, list[float]] = {"": [], ", a reviewer for the rest": []}
            wrong: dict[str, list[float]] = {"": [], ", a reviewer for the rest": []}
            for number in range(projects):
                name = uuid.uuid4().hex
                truth = comparisons(database, people, 300, overlap, gold=30, seed=seed + number, name=name)
                for how in admitted:
                    if how:
                        decided(database, name, truth, 0.9, seed + number)
                    found = [one for one in admit(database, name, Rule(min_overlap=min(2, overlap))) if one.admitted]
                    errors = [(one.verdict or {})["choice"] != "ab"[truth[one.sample.id]] for one in found]
                    admitted[how].append(len(found) / 270)
                    wrong[how].append(float(np.mean(errors)))
                    if overlap == 1:  # nobody disagrees
                        break
            for how in admitted:
                if admitted[how]:
                    yield Row(f"{who}, {overlap} asked each{how}", "admitted", mean(admitted[how]))
                    yield Row(f"{who}, {overlap} asked each{how}", "of these wrong", mean(wrong[how]))


def pandalm(data: Path) -> Iterator[Row]:
    rows = json.loads((data / "alignment/PandaLM/data/testset-v1.json").read_text(encoding="utf-8"))
    said = np.array([[row[f"annotator{number}"] for number in (1, 2, 3)] for row in rows])
    for (first, second), (names, published) in zip(((0, 1), (0, 2), (1, 2)), PUBLISHED.items(), strict=True):
        drawn = np.random.default_rng(0).integers(len(said), size=(1000, len(said)))
        kappas = [cohen_kappa_score(said[rows, first], said[rows, second]) for rows in drawn]
        value = float(cohen_kappa_score(said[:, first], said[:, second]))
        low, high = np.quantile(kappas, (0.025, 0.975))
        yield Row(
            f"Cohen's kappa of {names}", f"published {published}", Rate(value, len(said), float(low), float(high))
        )
    units, values = np.repeat(np.arange(len(said)), 3), said.ravel()
    found = alpha(units, values)
    yield Row("Krippendorff's alpha", "nominal", Rate(found.value, found.units, found.low, found.high))
    yield Row("pairs of people", "say the same", pairwise(units, values))


def cost(labels: int, seed: int) -> Cost:
    """Three people of five on each sample, two answers of 40 words each; the project is made beforehand."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.sqlite"
        with Database(url) as database:
            comparisons(database, POISONED, -(-labels // 3), planted=Planted(PHRASE, 20), seed=seed)
        near, far = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_page, args=(url, f"{folder}/page.html", far))
        process.start()
        far.close()
        try:
            cpu, peak = near.recv()
        except EOFError:
            raise SystemExit(f"the page of {labels:,} labels was not made; its error stands above") from None
        finally:
            process.join()
    return Cost(labels, cpu, peak)


def _page(url: str, path: str, told: Connection) -> None:
    began = time.process_time()
    with Database(url) as database:
        write_quality(database, "choices", Path(path))
    told.send((time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _of(cases: Sequence[bool]) -> Rate:
    return share(sum(cases), len(cases))


def _bootstrap(values: Floats) -> Rate:
    """The mean of differences, by a percentile bootstrap."""
    drawn = np.random.default_rng(0).integers(len(values), size=(1000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return Rate(float(values.mean()), len(values), float(low), float(high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the projects, and no page of 100,000 labels")
    parser.add_argument("--data", type=Path, help="a folder with alignment/PandaLM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    many, seed = 1 if given.quick else 10, given.seed
    figures: dict[str, object] = {"seed": seed}
    console = Console()

    def tell(title: str, rows: Iterator[Row]) -> None:
        found = list(rows)
        figures[title] = [asdict(row) for row in found]
        table = Table("", "value", "95%", "cases", title=title, title_justify="left")
        for row in found:
            rate = row.rate
            values = (f"{rate.value:.3f}", f"{rate.low:.3f} to {rate.high:.3f}", f"{rate.count:,}")
            table.add_row(f"{row.case}: {row.what}", *values)
        console.print(table)

    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/store.sqlite") as database:
        tell("who follows a phrase", phrases(database, 4 * many, seed))
        tell("false alarms", alarms(database, 20 * many, seed))
        tell("consensus", consensus(2 * many, seed))
        tell("consensus on grades", grades(2 * many, seed))
        tell("consensus on rankings", orders(database, 2 * many, seed))
        tell("gold questions", gold(database, 4 * many, seed))
        tell("what is admitted", admission(database, many, seed))
    if given.data:
        tell("PandaLM", pandalm(given.data))
    costs = [cost(labels, seed) for labels in ((1_000, 10_000) if given.quick else (1_000, 10_000, 100_000))]
    figures["cost"] = [asdict(one) for one in costs]
    table = Table("labels", "CPU seconds", "peak MB", title="the quality page", title_justify="left")
    for one in costs:
        table.add_row(f"{one.labels:,}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:,.0f}")
    console.print(table)
    told = json.dumps(figures)
    print(told)
    if given.json:
        given.json.write_text(told + "\n")


if __name__ == "__main__":
    main()
