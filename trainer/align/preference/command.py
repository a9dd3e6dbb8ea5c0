"""`corpuscle train dpo`: learning from preferences as a run; the rows say whether it is DPO or KTO.

With the core's own dependencies alone:

    python -m trainer.align.preference.command --model OUT/sft --data comparisons.jsonl --output OUT/dpo
"""

import sys

from trainer import records
from trainer.align.answers import tokens_of
from trainer.align.preference.config import DpoConfig
from trainer.align.preference.dpo import Dpo
from trainer.align.preference.kto import Kto
from trainer.align.tuning import Result, run, steps_of, usual_notes
from trainer.arguments import from_arguments
from trainer.progress import Observer, Silent
from trainer.records import Limits, Ranking, Rejected, Unpaired
from trainer.records.read import kind_of
from trainer.records.rows import find_files, read_rows
from trainer.stage import run_stage, show_best

EPOCHS = 1.0


def dpo(config: DpoConfig, observer: Observer | None = None) -> Result:
    """Trains `config.model` on comparisons (DPO) or single verdicts (KTO); a run found in `config.output` is resumed.

    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    tuner: Dpo | Kto
    read: records.Records[Unpaired] | records.Records[Ranking]
    if _unpaired(config):
        read = verdicts = records.read_unpaired(config.data)
        tuner = Kto(config, *records.split(verdicts, config.held_out), records.digest(verdicts), observer)
        facts = _kto_facts(tuner)
        count = len(tuner.train.answers)
    else:
        read = comparisons = records.read_comparisons(config.data)
        tuner = Dpo(config, *records.split(comparisons, config.held_out), records.digest(comparisons), observer)
        facts = _dpo_facts(tuner)
        count = len(tuner.train)
    held_out = tuner.held_out if isinstance(tuner, Dpo) else tuner.held_out.answers
    usual = usual_notes(read, "records", held_out, "held-out loss")
    for note in (*usual, *tuner.fitter.notes(), *_notes(config, tuner)):
        observer.note(note)
    steps = steps_of(config, count, tuner.rows, EPOCHS)
    facts.append(("steps", f"{steps:,} of {tuner.rows} prompts = {steps * tuner.rows / count:.2f} epochs"))
    return run(tuner, steps, facts, observer, {"batch": tuner.rows})


def _unpaired(config: DpoConfig) -> bool:
    """What the first row is, all must be; the readers say which row is not."""
    rows = (row for file in find_files(config.data) for row in read_rows(file, Limits()))
    first = next((row for row in rows if not isinstance(row, Rejected)), None)
    return first is not None and kind_of(first.fields) == "unpaired"


def _notes(config: DpoConfig, tuner: Dpo | Kto) -> list[str]:
    if isinstance(tuner, Kto) and (config.label_smoothing or config.sft_coefficient):
        return ["the data are single verdicts: --label-smoothing and --sft-coefficient are DPO's and not used."]
    return []


def _dpo_facts(tuner: Dpo) -> list[tuple[str, str]]:
    train, held_out, config = tuner.train, tuner.held_out, tuner.settings
    pairs = sum(len(one.pairs) for one in train)
    options = [f"beta {config.beta:g}"]
    options += [f"label smoothing {config.label_smoothing:g}"] if config.label_smoothing else []
    options += ["length-normalised"] if config.length_normalised else []
    options += [f"imitation {config.sft_coefficient:g}"] if config.sft_coefficient else []
    return [
        ("comparisons", f"{len(train):,} prompts, {pairs:,} pairs, {tokens_of(train):,} tokens"),
        ("held out", f"{len(held_out):,} prompts, {sum(len(one.pairs) for one in held_out):,} pairs"),
        ("DPO", ", ".join(options)),
    ]


def _kto_facts(tuner: Kto) -> list[tuple[str, str]]:
    good, bad = sum(tuner.train.good), len(tuner.train.good) - sum(tuner.train.good)
    weights = f"weights {tuner.good_weight:.3g} and {tuner.bad_weight:.3g}"
    return [
        ("verdicts", f"{good:,} good and {bad:,} bad answers, {tokens_of(tuner.train.answers):,} tokens"),
        ("held out", f"{len(tuner.held_out.good):,} answers"),
        ("KTO", f"beta {tuner.settings.beta:g}, {weights}"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(DpoConfig, "corpuscle train dpo", "Learn from preferences directly.", arguments)
    return run_stage(config, dpo, show_best)


if __name__ == "__main__":
    sys.exit(main())
