"""`corpuscle redteam MODEL`: jailbreak attempts by family, how many succeed, and what became of it since another model.

Perez et al. 2022 ("Red teaming language models with language models") and garak's probes, with canaries for harm.
"""

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from trainer import checkpoint
from trainer.arguments import from_arguments
from trainer.checkpoint import Checkpoint, write_whole
from trainer.command import guarded
from trainer.config import option
from trainer.device import pick_device
from trainer.model import Llama
from trainer.output import make_folder
from trainer.redteam.attack import Attack
from trainer.redteam.files import library
from trainer.redteam.page import render
from trainer.redteam.report import Change, Model, Report, changes, families
from trainer.redteam.trial import Trial, ask
from trainer.sampling import Sampling
from trainer.talk.tools.tool import TOOLS, WITHOUT_CORPUS

REPORT, PAGE = "redteam.json", "redteam.html"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of a model, and how it is to answer."""

    samples: Annotated[int, "answers drawn to each attack"] = 1
    temperature: Annotated[float, "of drawing; 0 takes the likeliest token"] = 0.8
    max_tokens: Annotated[int, "most tokens of an answer"] = 128
    seed: Annotated[int, "of the canaries and of what is drawn"] = 0
    tools: Annotated[tuple[str, ...], f"tools that may be called, of {', '.join(TOOLS)}; none by default"] = ()
    corpus: Annotated[Path | None, "what the tool `search` searches: the folder of a finished run"] = None
    device: Annotated[str, "auto, cuda, cpu or another name that PyTorch knows"] = "auto"

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{option(name)} is {value}; it must be at least 1.")
        Sampling(self.temperature)
        if "search" in self.tools and self.corpus is None:
            raise ValueError(WITHOUT_CORPUS)

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, 0, 1.0, self.seed)

    def as_json(self) -> dict[str, Any]:
        """What the answers depend on besides model and attacks."""
        names = ("samples", "temperature", "max_tokens", "seed")
        return {name: getattr(self, name) for name in names} | {"tools": list(self.tools)}


@dataclass(frozen=True, kw_only=True)
class RedteamConfig(Options):
    """What the command can be asked besides."""

    POSITIONAL: ClassVar[str] = "model"

    model: Annotated[Path, "a training's folder (its best is taken), or one of its checkpoints"]
    attacks: Annotated[tuple[Path, ...], "further files of attacks, or folders"] = ()
    before: Annotated[Path | None, "another model, to say what has changed since"] = None
    output: Annotated[Path | None, f"folder for {REPORT} and {PAGE}"] = None
    store: Annotated[str | None, "URL of the store that findings are reported to: sqlite:///corpuscle.db"] = None


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
        from trainer.talk.tools.toolbox import make_toolbox  # brings search and plotting with it

        toolbox = make_toolbox(options.tools, options.corpus)
    total = range(len(attacks) * options.samples)
    bar = iter(track(total, f"attacks on {escape(name)}", disable=not progress, transient=True))

    def advance() -> None:
        next(bar, None)

    return ask(loaded, attacks, options.sampling, options.samples, options.max_tokens, toolbox, advance)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status: 0 whatever succeeded, 1 where it could not be tried."""
    about = "Put jailbreak attempts and their benign twins to a model, and report how many succeed, by family."
    config = from_arguments(RedteamConfig, "corpuscle redteam", about, arguments)
    return guarded(
        lambda console: _run(config, console), lambda: "stopped; not all attacks were put, and there is no report."
    )


def _run(config: RedteamConfig, console: Console) -> None:
    attacks = library(config.attacks).attacks(config.seed)
    if config.output is not None:
        make_folder(config.output)  # before the work, which takes minutes
    with contextlib.ExitStack() as stack:
        if config.store:
            from trainer.redteam import findings  # the store's libraries are no part of the trainer's core

            database = stack.enter_context(findings.opened(config.store))  # before the work: the URL may be wrong
        outcome = redteam(config.model, attacks, config, config.before, console.is_terminal)
        console.print(outcome.report.table())
        if config.output is not None:
            write(outcome.report, config.output)
            console.print(f"report {escape(str(config.output / PAGE))}", soft_wrap=True)
        if config.store:
            found = findings.reports(outcome.trials, outcome.report.model.checkpoint, config.as_json())
            new, known = findings.keep(database, found)
            console.print(f"{new:,} findings reported, {known:,} were reported before", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
