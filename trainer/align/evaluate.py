"""How often a model is right on held-out prompts, and how much more often if it may try several times.

Accuracy against tokens spent, by `trainer.measure.best_of`; as a table, as JSON and as a picture. What went wrong is
kept as `corpuscle flywheel collect` reads it.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from trainer import checkpoint
from trainer.align.reward import Scorer
from trainer.arguments import from_arguments
from trainer.checkpoint import write_whole
from trainer.command import guarded
from trainer.config import option
from trainer.device import pick_device
from trainer.measure.best_of import RULES, Drawn, Point, curve, groups
from trainer.measure.questions import WITHOUT_ANSWER, read_questions
from trainer.measure.verify import Verifier, verifier
from trainer.output import make_folder
from trainer.records import Prompt
from trainer.sampling import Sampling
from trainer.talk.conversation import read_template, to_json
from trainer.talk.respond import Answer, answers
from trainer.talk.tools.tool import WITHOUT_CORPUS
from trainer.talk.tools.toolbox import TOOLS, make_toolbox

LABELS = {
    "majority": "majority",
    "reward": "reward model",
    "verify": "any right (what choosing could reach at best)",
}

REPORT, PLOT, FAILED = "evaluation.json", "evaluation.png", "failed.jsonl"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    POSITIONAL: ClassVar[str] = "model"

    model: Annotated[Path, "the checkpoint: its folder, or a run's output folder (its best is taken)"]
    data: Annotated[tuple[Path, ...], "JSONL or Parquet files of prompts with their answers, or folders of them"]
    output: Annotated[Path | None, f"folder for {REPORT}, {PLOT} and {FAILED}"] = None
    samples: Annotated[int, "answers drawn to each prompt"] = 1
    select: Annotated[tuple[str, ...], f"how one of them is chosen, of {', '.join(RULES)}; majority by default"] = (
        "majority",
    )
    verifier: Annotated[str, "what an answer is checked by: exact, number, choice, json, or format:PATTERN"] = "number"
    reward_model: Annotated[Path | None, "the reward model that `--select reward` asks"] = None
    temperature: Annotated[float, "of drawing; 0 takes the likeliest token"] = 0.8
    top_p: Annotated[float, "draw from the likeliest tokens that together have this chance"] = 1.0
    max_tokens: Annotated[int, "most tokens of an answer"] = 256
    tools: Annotated[tuple[str, ...], f"tools that may be called, of {', '.join(TOOLS)}; none by default"] = ()
    corpus: Annotated[Path | None, "what the tool `search` searches: the folder of a finished run"] = None
    limit: Annotated[int | None, "read only so many prompts, the first ones"] = None
    rows: Annotated[int, "answers written at a time"] = 64
    seed: Annotated[int, "of what is drawn"] = 0
    device: Annotated[str, "auto, cuda, cpu or another name that PyTorch knows"] = "auto"

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens", "rows", "limit"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{option(name)} is {value}; it must be at least 1.")
        for rule in self.select:
            if rule not in RULES:
                raise ValueError(f'--select is "{rule}"; expected {", ".join(RULES)}.')
        if "reward" in self.select and self.reward_model is None:
            raise ValueError("--select reward asks a reward model; name one by --reward-model.")
        Sampling(self.temperature, 0, self.top_p)
        if self.output is not None and (self.output / FAILED).resolve() in [path.resolve() for path in self.data]:
            raise ValueError(f"{self.output / FAILED} is read and would be written over; name another --output.")
        if "search" in self.tools and self.corpus is None:
            raise ValueError(WITHOUT_CORPUS)
        verifier(self.verifier)


@dataclass(frozen=True)
class Evaluation:
    checkpoint: str
    prompts: int
    unfinished: float
    """Share of the answers that did not come to an end. They count as wrong."""
    tokens: float
    """Written for one answer, in the mean."""
    points: tuple[Point, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def table(self) -> Table:
        title = f"{self.prompts:,} prompts, {self.tokens:.1f} tokens an answer, {self.unfinished:.1%} without an end"
        table = Table("select", "samples", "tokens a prompt", "accuracy", "95% interval", title=title)
        for point in self.points:
            between = f"{point.low:.1%} to {point.high:.1%}"
            table.add_row(point.rule, f"{point.samples:,}", f"{point.tokens:,.0f}", f"{point.accuracy:.1%}", between)
        return table


def evaluate(config: EvaluateConfig, progress: Progress | None = None) -> Evaluation:
    """Lets the model answer and checks it. With `config.output`, leaves evaluation.json and evaluation.png there, and
    in failed.jsonl the first wrong answer to each prompt that has one.

    Raises FileNotFoundError or ValueError where model, data or settings are not usable.
    """
    began = time.monotonic()
    check, prompts = verifier(config.verifier), read_questions(config.data, config.verifier)[: config.limit]
    loaded = checkpoint.load(config.model, device=pick_device(config.device))
    template = read_template(loaded.vocabulary)
    toolbox = make_toolbox(config.tools, config.corpus) if config.tools else None
    scorer = Scorer(config.reward_model, config.device) if config.reward_model is not None else None
    task = progress.add_task("answers", total=len(prompts) * config.samples) if progress is not None else None

    def advance() -> None:
        if progress is not None and task is not None:
            progress.advance(task)

    if config.output is not None:
        make_folder(config.output)  # before the work, which takes minutes
    found = answers(
        loaded.model,
        template,
        [prompt.messages for prompt in prompts],
        Sampling(config.temperature, 0, config.top_p, config.seed),
        config.samples,
        config.max_tokens,
        config.rows,
        toolbox,
        advance,
    )
    unread = sum(not several[0].tokens for several in found)
    if unread:
        raise ValueError(
            f"{unread:,} of {len(prompts):,} prompts leave no room for an answer in the context of "
            f"{loaded.about.model.max_seq_len:,} tokens; leave them out, or evaluate a model with a longer context."
        )
    drawn = [_judge(prompt, several, check, scorer) for prompt, several in zip(prompts, found, strict=True)]
    points = [point for rule in dict.fromkeys(config.select) for point in curve(drawn, rule, config.seed)]
    result = Evaluation(
        checkpoint=loaded.about.id,
        prompts=len(prompts),
        unfinished=float(np.mean([not answer.finished for several in found for answer in several])),
        tokens=float(np.mean([one.tokens.mean() for one in drawn])),
        points=tuple(points),
        seconds=time.monotonic() - began,
    )
    if config.output is not None:
        wrong = _failed(config.verifier, loaded.about.id, prompts, found, drawn)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in wrong)
        write_whole(config.output / FAILED, lines)
        write_whole(config.output / REPORT, json.dumps(result.as_json(), indent=1) + "\n")
        draw(result.points, config.output / PLOT, f"{config.model}, by the verifier {config.verifier}")
    return result


def _judge(prompt: Prompt, several: Sequence[Answer], check: Verifier, scorer: Scorer | None) -> Drawn:
    said, texts = prompt.messages[-1].content, [answer.text for answer in several]
    same = groups(texts, check)
    finished = [answer.finished for answer in several]
    rewards = None
    if scorer is not None:
        rewards = np.array(scorer.of([(prompt.messages, answer.messages) for answer in several]))
    return Drawn(
        right=np.array(finished) & np.array([check.score(said, text, prompt.answer or "") == 1 for text in texts]),
        group=np.where(finished, same, -1),
        logprob=np.array([answer.logprob for answer in several]),
        tokens=np.array([answer.tokens for answer in several]),
        reward=rewards,
    )


def _failed(
    name: str, checkpoint_id: str, prompts: Sequence[Prompt], found: Sequence[Sequence[Answer]], drawn: Sequence[Drawn]
) -> Iterator[dict[str, Any]]:
    """Rows with the check by which `flywheel.cases` tells whether a later answer is wrong, too."""
    for prompt, several, judged in zip(prompts, found, drawn, strict=True):
        wrong = [answer for answer, right in zip(several, judged.right, strict=True) if not right]
        if wrong:
            yield {
                "id": prompt.id,
                "prompt": to_json(prompt.messages),
                "answer": wrong[0].text,
                "check": {"kind": "verified", "verifier": name, "expected": prompt.answer or ""},
                "category": "format" if name.startswith(WITHOUT_ANSWER) else "wrong",
                "checkpoint_id": checkpoint_id,
            }


def draw(points: Sequence[Point], path: Path, of: str) -> None:
    """A PNG: accuracy over tokens spent a prompt, a curve with its interval for each rule; `of` says whose and how."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for rule in dict.fromkeys(point.rule for point in points):
        own = [point for point in points if point.rule == rule]
        tokens = [point.tokens for point in own]
        axes.plot(tokens, [point.accuracy for point in own], marker="o", label=LABELS[rule])
        axes.fill_between(tokens, [point.low for point in own], [point.high for point in own], alpha=0.15)
    axes.set_xscale("log", base=2)
    axes.set_title(f"{of}\n{points[0].prompts:,} prompts; bands are 95% intervals", fontsize="medium")
    axes.set(xlabel="tokens written for a prompt", ylabel="accuracy", ylim=(0, 1.02))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend()
    fresh = path.with_name(f".{path.name}.part")
    figure.savefig(fresh, format="png", dpi=120)
    fresh.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    about = "How often a model answers right, with one try and with several."
    config = from_arguments(EvaluateConfig, "corpuscle evaluate", about, arguments)

    def run(console: Console) -> None:
        with Progress(console=console, transient=True) as progress:
            result = evaluate(config, progress)
        console.print(result.table())
        if config.output is not None:
            console.print(
                f"{escape(str(config.output / REPORT))}, {PLOT}, {FAILED} ({result.seconds:,.0f} s)", soft_wrap=True
            )

    return guarded(run, lambda: "stopped; nothing is kept of an evaluation that did not end.")


if __name__ == "__main__":
    sys.exit(main())
