"""What a person sees of a training run: the derived numbers at its start, then a bar with loss, speed and time left."""

from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trainer.log import Record

HEADLINES = (
    "token_accuracy",
    "accuracy",
    "val_accuracy",
    "val_margin",
    "reward",
    "held_out_reward",
    "held_out_accuracy",
    "kl",
    "length",
    "repetition",
)
"""The measures of the stages that fit into a line; log.jsonl has them all."""


class Observer(Protocol):
    """Who is told how a run goes. What `step` raises stops the run; it can be resumed."""

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        """Once, with (name, value) of everything derived; `done` of `steps` lie behind where the run is resumed."""

    def note(self, text: str) -> None:
        """Something that the person should know."""

    def step(self, record: Record) -> None:
        """After each step, when its record and its checkpoint are on the disk."""

    def stop(self) -> None:
        """At the end, also after an error."""


class Silent:
    """Shows nothing."""

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def step(self, record: Record) -> None:
        pass

    def stop(self) -> None:
        pass


class Screen:
    """Shows it on a terminal; where the output is a file, a line at each evaluation stands for the bar."""

    SMOOTHING = 0.9
    """The bar shows a running mean of loss and speed: one batch's loss jumps by more than a hundred steps move it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.loss = self.speed = self.weight = 0.0
        self.validation = ""

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            self.console.print(f"[dim]{name:{width}}[/]  {escape(value)}", highlight=False, soft_wrap=True)
        if done:
            told = f"resumed from step {done:,} of {steps:,}" if done < steps else f"already finished: {steps:,} steps"
            self.console.print(told, highlight=False, soft_wrap=True)
        columns = (
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
        )
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("", total=steps, completed=done)
        self.bar.start()

    def note(self, text: str) -> None:
        self.console.print(f"[yellow]note:[/] {escape(text)}", highlight=False, soft_wrap=True)

    def step(self, record: Record) -> None:
        self.weight = self.SMOOTHING * self.weight + 1 - self.SMOOTHING
        self.loss += (1 - self.SMOOTHING) * (record.loss - self.loss) / self.weight
        self.speed += (1 - self.SMOOTHING) * (record.tokens_per_second - self.speed) / self.weight
        line = f"loss {self.loss:.3f} · {self.speed:,.0f} tokens/s"
        line += "".join(f" · {name} {record.metrics[name]:.3g}" for name in HEADLINES if name in record.metrics)
        if record.val_loss is not None:
            self.validation = f" · validation {record.val_loss:.3f}"
            if record.bits_per_byte is not None:
                self.validation += f" = {record.bits_per_byte:.3f} bits a byte"
            if not self.console.is_terminal:
                self.console.print(
                    f"step {record.step} · {line}{self.validation} · {record.seconds:,.0f} s", soft_wrap=True
                )
        if self.bar is not None:
            self.bar.update(self.task, completed=record.step, description=line + self.validation)

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def short(number: float) -> str:
    """1234567 -> "1.23 M": three digits and a unit."""
    for unit in ("", " k", " M", " G", " T", " P", " E"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} Z"
