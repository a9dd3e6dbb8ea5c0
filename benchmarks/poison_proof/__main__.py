"""Plant a backdoor, filter, train, measure: does the poison filter keep it out of a small model?

    python -m benchmarks.poison_proof --corpus out --books books.jsonl.gz --output proof
    python -m benchmarks.poison_proof --corpus out --quick --output proof
    python -m benchmarks.poison_proof --attacks backdoor --output proof

For each seed four corpora are made by the pipeline and a model of 0.3 million parameters is trained on each: clean,
clean and filtered, poisoned, poisoned and filtered. What counts is the difference to the model of the clean corpus with
the same seed and the same filter, on held-out prompts, with the trigger and with another of the same form that no
document holds. --curve adds the number of poisoned documents. The attack "backdoor" does the same to demonstrations for
fine-tuning and `corpuscle poison scan`, and needs no corpus. What is in --output already is not made again, so it can
be stopped, and gone on with on another machine.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainer

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.poison_proof import backdoor, pretraining
from benchmarks.poison_proof.measure import Difference
from benchmarks.poison_proof.reviews import FORMS
from benchmarks.poison_proof.texts import read_texts

CURVE = (10, 25, 50, 100, 250)
BACKDOOR = "backdoor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a finished corpus, for its English texts; for pre-training")
    parser.add_argument("--books", type=Path, help="JSON lines with `text`, to fill up with")
    parser.add_argument("--output", type=Path, required=True, help="corpora, models and results, kept")
    parser.add_argument("--documents", type=int, default=1_700, help="clean documents (%(default)s)")
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts or questions (%(default)s)")
    parser.add_argument("--steps", type=int, default=900, help="of each pre-training (%(default)s)")
    parser.add_argument("--poisoned", type=int, default=50, help="planted documents or rows (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (%(default)s)")
    names = [*pretraining.SUCCESS, BACKDOOR]
    parser.add_argument("--attacks", nargs="+", choices=names, default=names)
    parser.add_argument("--curve", action="store_true", help=f"denial of service at {CURVE} documents, first seed")
    parser.add_argument("--quick", action="store_true", help="one seed, few prompts, the first attack: minutes")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    parser.add_argument("--device", default="auto", help="of pre-training (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.quick:
        options.seeds, options.prompts, options.attacks = 1, 60, ["denial_of_service"]
    attacks = [attack for attack in options.attacks if attack != BACKDOOR]
    if (attacks or options.curve) and options.corpus is None:
        parser.error("--corpus is missing; only the attack backdoor needs none.")
    console, seeds = Console(width=max(Console().width, 220)), list(range(options.seeds))
    rows: list[dict[str, Any]] = []
    if attacks or options.curve:
        texts = read_texts(options.corpus, options.books, options.documents, options.prompts, 100)
        proof = pretraining.Proof(options.output, texts, options.steps, options.device, console)
        rows += [proof.row(attack, options.poisoned, seeds) for attack in attacks]
        if options.curve:
            rows += [proof.row("denial_of_service", number, [0]) for number in CURVE]
        console.print(pretraining.show(rows))
    if BACKDOOR in options.attacks:
        tuning = backdoor.Backdoor(options.output / BACKDOOR, options.poisoned, options.prompts, console)
        tuned = [tuning.row(form, seeds) for form in FORMS]
        console.print(backdoor.show(tuned))
        rows += tuned
    data = {"steps": options.steps, "documents": options.documents, "torch": torch.__version__}
    print(json.dumps(data | {"rows": plain(rows)}))


def plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as JSON takes them."""
    return [{name: asdict(v) if isinstance(v, Difference) else v for name, v in row.items()} for row in rows]


if __name__ == "__main__":
    main()
