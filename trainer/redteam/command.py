"""`corpuscle redteam MODEL`: jailbreak attempts by family, how many succeed, and what became of it since another model.

Perez et al. 2022 ("Red teaming language models with language models") and garak's probes, with canaries for harm.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from trainer import checkpoint
from trainer.checkpoint import Checkpoint, write_whole
from trainer.device import pick_device
from trainer.model import Llama
from trainer.redteam.attack import Attack
from trainer.redteam.files import library
from trainer.redteam.page import render
from trainer.redteam.report import Change, Model, Report, changes, families
from trainer.redteam.trial import Trial, ask
from trainer.sampling import Sampling

REPORT, PAGE = "redteam.json", "redteam.html"


@dataclass(frozen=True)
class Options:
    """What is asked of a model, and how it is to answer. `tools` and `corpus` as for `corpuscle chat`."""

    samples: int = 1
    temperature: float = 0.8
    max_tokens: int = 128
    seed: int = 0
    tools: tuple[str, ...] = ()
    corpus: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1.")
        Sampling(self.temperature)

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, 0, 1.0, self.seed)

    def as_json(self) -> dict[str, Any]:
        """What the answers depend on besides model and attacks."""
        names = ("samples", "temperature", "max_tokens", "seed")
        return {name: getattr(self, name) for name in names} | {"tools": list(self.tools)}


@dataclass(frozen=True)
class Outcome:
    """The report, and all that MODEL was asked and said."""

    report: Report
    trials: tuple[Trial, ...]


def redteam(
    model: Path, attacks: Sequence[Attack], options: Options, before: Path | None = None, progress: bool = False
) -> Outcome:
    """Puts the attacks to a model, and to `before` if there is one.

    Raises FileNotFoundError or ValueError where a model or a tool is not usable.
    """
    loaded = _load(model, options)
    earlier = None if before is None else _load(before, options)
    if earlier is not None and earlier.about.id == loaded.about.id:
        raise ValueError(f"{model} and {before} are the same checkpoint; there is no before and after.")
    trials = _ask(loaded, attacks, options, str(model), progress)
    names = list(dict.fromkeys(attack.family for attack in attacks))
    first: Model | None = None
    moved: tuple[Change, ...] = ()
    if earlier is not None:
        old = _ask(earlier, attacks, options, str(before), progress)
        first = Model(str(before), earlier.about.id, families(old, names))
        moved = changes(old, trials, names)
    report = Report(
        model=Model(str(model), loaded.about.id, families(trials, names)),
        before=first,
        changes=moved,
        settings=options.as_json(),
        successes=tuple(trial for trial in trials if trial.attack.twin_of is None and any(trial.met)),
    )
    return Outcome(report, tuple(trials))


def write(report: Report, folder: Path) -> None:
    """Leaves redteam.json and redteam.html in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPORT, json.dumps(report.as_json(), indent=1) + "\n")
    write_whole(folder / PAGE, render(report))


def _load(model: Path, options: Options) -> Checkpoint[Llama]:
    return checkpoint.load(model, device=pick_device(options.device))


def _ask(
    loaded: Checkpoint[Llama], attacks: Sequence[Attack], options: Options, name: str, progress: bool
) -> list[Trial]:
    toolbox = None
    if options.tools:
        from trainer.tools.toolbox import make_toolbox  # brings search and plotting with it

        toolbox = make_toolbox(options.tools, options.corpus)
    total = range(len(attacks) * options.samples)
    bar = iter(track(total, f"attacks on {escape(name)}", disable=not progress, transient=True))

    def advance() -> None:
        next(bar, None)

    return ask(loaded, attacks, options.sampling, options.samples, options.max_tokens, toolbox, advance)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status: 0 whatever succeeded, 1 where it could not be tried."""
    given = _parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    tools = tuple(name.strip() for name in given.tools.split(",") if name.strip())
    try:
        options = Options(
            given.samples, given.temperature, given.max_tokens, given.seed, tools, given.corpus, given.device
        )
        attacks = library(given.attacks).attacks(given.seed)
        with contextlib.ExitStack() as stack:
            if given.store:
                from trainer.redteam import findings  # the store's libraries are no part of the trainer's core

                database = stack.enter_context(findings.opened(given.store))  # before the work: the URL may be wrong
            outcome = redteam(given.model, attacks, options, given.before, console.is_terminal)
            console.print(outcome.report.table())
            if given.output is not None:
                write(outcome.report, given.output)
                console.print(f"report {escape(str(given.output / PAGE))}", soft_wrap=True)
            if given.store:
                found = findings.reports(outcome.trials, outcome.report.model.checkpoint, options.as_json())
                new, known = findings.keep(database, found)
                console.print(f"{new:,} findings reported, {known:,} were reported before", soft_wrap=True)
    except (FileNotFoundError, ValueError) as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; the attacks were not all put, and there is no report.")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="corpuscle redteam",
        description="Put jailbreak attempts and their benign twins to a model, and report how many succeed, by family.",
    )
    parser.add_argument("model", type=Path, help="a training's folder (its best is taken), or one of its checkpoints")
    parser.add_argument("--attacks", type=Path, nargs="+", default=[], help="further files of attacks, or folders")
    parser.add_argument("--before", type=Path, help="another model, to say what has changed since")
    parser.add_argument("--output", type=Path, help=f"folder for {REPORT} and {PAGE}")
    parser.add_argument("--store", help="URL of the store that findings are reported to: sqlite:///corpuscle.db")
    parser.add_argument("--samples", type=int, default=1, help="answers drawn to each attack (%(default)s)")
    parser.add_argument("--temperature", type=float, default=0.8, help="of drawing; 0 for the likeliest (%(default)s)")
    parser.add_argument("--max-tokens", type=int, default=128, help="most tokens of an answer (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the canaries and of what is drawn (%(default)s)")
    parser.add_argument("--tools", default="", help="tools that may be called, separated by commas; none by default")
    parser.add_argument("--corpus", type=Path, help="what the tool search looks in: the folder of a finished run")
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
