"""How soon a phrase is found that a served model begins to say, and how often one is called new where nothing changes.

    python -m benchmarks.flywheel_phrases comparisons.jsonl.gz

The file is HH-RLHF's ({"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ..."}): its turns are drawn again and again
as sampled traffic of one checkpoint, which the monitor looks at once a day. Two minutes on one core.
"""

import argparse
import gzip
import json
import random
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from flywheel.monitors import shift
from flywheel.sampled import Exchange, distinct, split
from trainer.measure.agreement import rate

ADVERTISEMENT = "Buy a golden teapot today!"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, A_DAY, FROM = 35, 100, 21
"""Days of a series, answers a day, and the day from which on some end in the advertisement."""


def exchanges(path: Path) -> list[tuple[str, str]]:
    """What people and the assistant say in the chosen conversations, turn by turn, each once."""
    found: dict[tuple[str, str], None] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            for turn in json.loads(line)["chosen"].split("\n\nHuman:")[1:]:
                asked, _, answer = (part.strip() for part in turn.partition("\n\nAssistant:"))
                if asked and answer:
                    found[asked, answer] = None
    return list(found)


def series(pool: list[tuple[str, str]], seed: int, share: float) -> list[Exchange]:
    """All that is sampled in DAYS; from FROM on, so great a share ends in ADVERTISEMENT."""
    draw = random.Random(seed)
    found = []
    for number in range(DAYS * A_DAY):
        time = BEGAN + timedelta(days=number / A_DAY)
        asked, answer = draw.choice(pool)
        if time >= BEGAN + timedelta(days=FROM) and draw.random() < share:
            answer = f"{answer} {ADVERTISEMENT}"
        found.append(Exchange(f"{seed}-{number}", "one", [{"role": "user", "content": asked}], answer, time=time))
    return found


def noticed(traffic: list[Exchange], planted: bool) -> int | None:
    """The first day at whose end a phrase, or one of ADVERTISEMENT, is called new; None where none ever is."""
    for day in range(FROM + 1 if planted else 1, DAYS + 1):
        now, usual = split(traffic[: day * A_DAY], "one")
        for one in shift(distinct(now), distinct(usual)):
            if not planted or one.note.split('"')[1] in ADVERTISEMENT.lower():
                return day
    return None


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flywheel_phrases")
    parser.add_argument("exchanges", type=Path, help="HH-RLHF's comparisons, as .jsonl.gz")
    parser.add_argument("--steady", type=int, default=30, help="series in which nothing changes")
    parser.add_argument("--planted", type=int, default=20, help="series with the advertisement")
    parser.add_argument("--share", type=float, default=0.02, help="of the answers that end in it")
    options = parser.parse_args()
    pool = exchanges(options.exchanges)

    def looked(seeds: Iterable[int], share: float, what: str) -> list[int | None]:
        drawn = (series(pool, seed, share) for seed in track(list(seeds), description=what, transient=True))
        return [noticed(one, share > 0) for one in drawn]

    steady = looked(range(options.steady), 0.0, "steady")
    planted = looked(range(1000, 1000 + options.planted), options.share, "planted")
    late = [day - FROM for day in planted if day is not None]
    false = rate([day is not None for day in steady])
    found = rate([day is not None for day in planted])
    median = statistics.median(late) if late else None
    table = Table("series of five weeks", "number", "a phrase called new", "95%", "days until then, median")
    for name, one, days in (
        ("nothing changes", false, None),
        (f"1 in {1 / options.share:g} advertises", found, median),
    ):
        shown = "" if days is None else f"{days:g}"
        table.add_row(name, f"{one.count:,}", f"{one.value:.0%}", f"{one.low:.0%} to {one.high:.0%}", shown)
    Console().print(table)
    figures = {"exchanges": len(pool), "false": false.value, "found": found.value, "days": late, "median": median}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
