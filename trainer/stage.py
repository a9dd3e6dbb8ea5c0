"""A stage of training as a command: progress on the screen, where a stopped run goes on, what came of it.

A stage's `main` says what it reads, what works and what is shown of it; what else a person meets is here, once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape

from trainer.command import guarded
from trainer.loop import where_it_goes_on
from trainer.optimizer import DivergedError
from trainer.progress import Observer, Screen

C = TypeVar("C", bound=Any)
R = TypeVar("R", bound=Any)


def run_stage(config: C, work: Callable[[C, Observer], R], show: Callable[[R, Console], None]) -> int:
    """Does a stage, whose settings have an `output` folder, and shows what came of it. Returns the exit status."""

    def run(console: Console) -> None:
        show(work(config, Screen(console)), console)

    return guarded(run, lambda: f"stopped; {where_it_goes_on(config.output)}", DivergedError)


def show_best(result: Any, console: Console) -> None:
    """The last line of a stage: where its model lies (`checkpoint`) and how long it took (`seconds`)."""
    console.print(f"best checkpoint {escape(str(result.checkpoint))} ({result.seconds:,.0f} s)", soft_wrap=True)


def show_report(result: Any, console: Console) -> None:
    """As `show_best`, below the table of the result's `report` where there is one."""
    if result.report is not None:
        console.print(result.report.table())
    show_best(result, console)
