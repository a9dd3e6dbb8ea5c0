"""Documents a second and a core for each step and for the whole run, and peak memory, on any folder of WARC files.

    python -m benchmarks.corpus 'crawl/*.warc.gz' --datatrove .venvs/datatrove/bin/python

With `--datatrove PYTHON` (an environment of its own, see docs/benchmarks.md) datatrove runs FineWeb's steps up to the
FineWeb filter on the same files, and the share of records on which both decide alike is printed beside the ratio.
Prints a table, and one line of JSON at the end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.artifact import read_batches, read_json
from pipeline.assets import language_model
from pipeline.manifest import read_manifest

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("index", "extract", "measure", "filter", "dedup", "encode", "tokenize")
PEER_OPTIONS = ("--payload-type", "declared", "--no-deduplicate", "--extraction-timeout", "60")
"""The same pages in (by default libmagic takes 12% of these pages for JavaScript and the like, and drops them), and
decisions that depend neither on the pages before nor on the machine's load."""


@dataclass(frozen=True)
class Cost:
    """What a step took over all of its parts: documents read, seconds of one core, and the largest worker's memory."""

    step: str
    documents: int
    core_seconds: float
    peak_bytes: float


@dataclass(frozen=True)
class Measured:
    """One program's run: wall seconds of the whole, records read and kept, and the decision on each record."""

    name: str
    seconds: float
    read: int
    kept: int
    peak_bytes: float
    costs: tuple[Cost, ...] = ()


def run_corpuscle(patterns: list[str], recipe: Path, output: Path, workers: int) -> float:
    """Run the command line; returns wall seconds."""
    arguments = [argument for pattern in patterns for argument in ("--input", pattern)]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "corpuscle.main", "run", str(recipe), *arguments, "--output", str(output), "--no-report",
         "--", "--runner=FnApiRunner", "--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


def costs_of(folder: Path) -> tuple[Cost, ...]:
    """A run's costs, from its parts' markers."""
    found = []
    for step in STEPS:
        parts = [read_json(str(path)) for path in (folder / step / "parts").glob("*.json")]
        found.append(
            Cost(
                step,
                sum(part["counts"].get("read", 0) for part in parts),
                sum(part["cost"]["core_seconds"] for part in parts),
                max((part["cost"]["peak_bytes"] for part in parts), default=0.0),
            )
        )
    return tuple(found)


def kept_records(folder: Path, step: str) -> set[str]:
    """The record ids that a step kept."""
    manifest = read_manifest(str(folder), step)
    assert manifest is not None
    names = [file["name"] for file in manifest["files"] if file["name"].startswith("documents/")]
    return {
        record
        for name in names
        for batch in read_batches(f"{folder}/{step}/{name}", ["record_id"])
        for record in batch.column("record_id").to_pylist()
    }


def recipe_with(recipe: Path, extractor: str, folder: Path) -> Path:
    """The recipe with another extractor."""
    import yaml

    values = yaml.safe_load(recipe.read_text())
    values.setdefault("crawl", {})["extractor"] = extractor
    path = folder / f"{recipe.stem}-{extractor}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def run_datatrove(python: str, patterns: list[str], output: Path, workers: int) -> tuple[Measured, dict[str, bool]]:
    """datatrove on the same files; its figures, and whether it kept each record."""
    script = Path(__file__).parent / "datatrove_fineweb.py"
    started = time.perf_counter()
    subprocess.run(
        [python, str(script), "--input", *patterns, "--output", str(output), "--workers", str(workers),
         "--language-model", str(language_model()), *PEER_OPTIONS],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    figures = json.loads((output / "figures.json").read_text())
    decisions = {}
    with (output / "decisions.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            decisions[row["record_id"]] = bool(row["kept"])
    name = f"datatrove {figures.get('versions', {}).get('datatrove', '')}"
    return Measured(name, seconds, len(decisions), sum(decisions.values()), figures["peak_rss_bytes"]), decisions


def step_table(measured: Measured, workers: int) -> Table:
    """A program's steps: documents a second and core, milliseconds a document."""
    table = Table(title=f"{measured.name}: {measured.seconds:.1f} s with {workers} workers", title_justify="left")
    for name in ("step", "documents", "core seconds", "ms a document", "documents/s and core", "peak MB of a worker"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for cost in measured.costs:
        rate = cost.documents / cost.core_seconds if cost.core_seconds else 0.0
        each = 1000 * cost.core_seconds / cost.documents if cost.documents else 0.0
        row = (f"{cost.documents:,}", f"{cost.core_seconds:.2f}", f"{each:.2f}", f"{rate:,.0f}")
        table.add_row(cost.step, *row, f"{cost.peak_bytes / 1e6:,.0f}")
    return table


def comparison_table(all_measured: list[Measured], agreement: dict[str, float]) -> Table:
    """The programs side by side; ratios are against the last one where that is the peer."""
    table = Table(title="side by side", title_justify="left")
    for name in ("program", "seconds", "pages/s", "kept", "peak MB of a worker", "times as fast", "same decision"):
        table.add_column(name, justify="left" if name == "program" else "right")
    peer = all_measured[-1]
    for measured in all_measured:
        ratio = f"{peer.seconds / measured.seconds:.1f}" if measured is not peer else "1"
        same = f"{agreement[measured.name]:.1%}" if measured.name in agreement else ""
        row = (f"{measured.seconds:.1f}", f"{measured.read / measured.seconds:,.1f}", f"{measured.kept:,}")
        table.add_row(measured.name, *row, f"{measured.peak_bytes / 1e6:,.0f}", ratio, same)
    return table


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", help="WARC files or quoted patterns")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "fineweb.yaml")
    parser.add_argument("--extractor", nargs="+", default=["trafilatura", "resiliparse"])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--datatrove", metavar="PYTHON", help="the Python of an environment that has datatrove")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Measured, set[str]]]:
    """Our runs, one an extractor: up to the filter alone (what the peer does), with the records that were kept."""
    for extractor in options.extractor:
        recipe = recipe_with(options.recipe, extractor, folder)
        output = folder / extractor
        seconds = run_corpuscle(options.input, recipe, output, options.workers)
        costs = costs_of(output)
        kept = kept_records(output, "filter")
        peak = max(cost.peak_bytes for cost in costs)
        yield Measured(f"corpuscle, {extractor}", seconds, costs[0].documents, len(kept), peak, costs), kept


def main() -> None:
    """Measure, print."""
    options, console = arguments(), Console()
    folder = Path(tempfile.mkdtemp(prefix="corpuscle-benchmark-"))
    try:
        found = list(measure(options, folder))
        for measured, _ in found:
            console.print(step_table(measured, options.workers))
        programs, agreement = [measured for measured, _ in found], {}
        if options.datatrove:
            peer, decisions = run_datatrove(options.datatrove, options.input, folder / "datatrove", options.workers)
            programs.append(peer)
            for measured, kept in found:
                same = sum((record in kept) == decision for record, decision in decisions.items())
                agreement[measured.name] = same / max(len(decisions), 1)
            console.print(comparison_table(programs, agreement))
        figures: dict[str, Any] = {
            "workers": options.workers,
            "programs": [asdict(measured) for measured in programs],
            "agreement": agreement,
        }
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
        print(json.dumps(figures))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
