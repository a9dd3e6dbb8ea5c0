"""The stages of an assistant side by side: each answers the same held-out prompts, and is held against the one before.

The reward is the reward model's, which reinforcement learning has seen: it says what was learnt, not how good it is.
Length and repetition stand beside it for that reason, and a verifier's verdict where there is one.
"""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from trainer.align.reward import Scorer
from trainer.align.rl.report import Duel, Mean, duel, mean
from trainer.align.rl.rollout import repetition
from trainer.checkpoint import load, write_whole
from trainer.device import pick_device
from trainer.measure.agreement import Rate, rate, without_nan
from trainer.measure.verify import verifier
from trainer.records import Prompt
from trainer.sampling import GREEDY
from trainer.talk.conversation import read_template
from trainer.talk.respond import answers

EXAMPLES = 5


@dataclass(frozen=True)
class Example:
    """An answer, the last message of the prompt that it answers, and the system message that the prompt begins with."""

    system: str | None
    prompt: str
    answer: str


@dataclass(frozen=True)
class Stage:
    """What one stage's model answers, greedily."""

    name: str
    checkpoint: str
    reward: Mean
    accuracy: Rate | None
    """By the verifier; None where there is none."""
    length: float
    """Tokens an answer."""
    finished: float
    repetition: float
    beside: Duel | None
    """Against the stage before: by the verifier where there is one, else by the reward model."""
    examples: tuple["Example", ...]
    """Of the first prompts."""

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = without_nan(dataclasses.asdict(self))
        return fields


def judge(
    models: Mapping[str, Path],
    reward_model: Path,
    prompts: Sequence[Prompt],
    verifier_name: str | None,
    max_tokens: int,
    device: str,
) -> list[Stage]:
    """Lets each model answer each prompt once; the models in the order in which they were made."""
    scorer = Scorer(reward_model, device)
    check = verifier(verifier_name) if verifier_name is not None else None
    asked = [prompt.messages for prompt in prompts]
    stages: list[Stage] = []
    before: list[float] | None = None
    for name, path in models.items():
        loaded = load(path, device=pick_device(device))
        template = read_template(loaded.vocabulary)
        found = [several[0] for several in answers(loaded.model, template, asked, GREEDY, 1, max_tokens)]
        rewards = scorer.of([(messages, answer.messages) for messages, answer in zip(asked, found, strict=True)])
        verdicts = rewards
        if check is not None:
            verdicts = [
                check.score(prompt.messages[-1].content, answer.text, prompt.answer or "") if answer.finished else 0.0
                for prompt, answer in zip(prompts, found, strict=True)
            ]
        stages.append(
            Stage(
                name=name,
                checkpoint=loaded.about.id,
                reward=mean(rewards),
                accuracy=rate([float(verdict == 1) for verdict in verdicts]) if check is not None else None,
                length=float(np.mean([answer.tokens for answer in found])),
                finished=float(np.mean([answer.finished for answer in found])),
                repetition=float(np.mean([repetition(template.tokenizer.encode(answer.text)) for answer in found])),
                beside=duel(verdicts, before) if before is not None else None,
                examples=tuple(
                    Example(_system(prompt), prompt.messages[-1].content, answer.text)
                    for prompt, answer in zip(prompts[:EXAMPLES], found, strict=False)
                ),
            )
        )
        before = verdicts
    return stages


ROWS = (
    "reward",
    "right, by the verifier",
    "beside the stage before",
    "tokens an answer",
    "finished",
    "repeated 4-grams",
)


def _system(prompt: Prompt) -> str | None:
    first = prompt.messages[0]
    return first.content if first.role == "system" else None


def _cells(stage: Stage) -> tuple[str, ...]:
    return (
        str(stage.reward),
        str(stage.accuracy) if stage.accuracy is not None else "–",
        str(stage.beside) if stage.beside is not None else "–",
        f"{stage.length:.1f}",
        f"{stage.finished:.0%}",
        f"{stage.repetition:.1%}",
    )


def _rows(stages: Sequence[Stage]) -> list[tuple[str, ...]]:
    """A measure and its value for each stage; none of what was not measured at all."""
    rows = zip(ROWS, *map(_cells, stages), strict=True)
    return [row for row in rows if any(cell != "–" for cell in row[1:])]


def table(stages: Sequence[Stage]) -> Table:
    """A column a stage."""
    shown = Table("", *(stage.name for stage in stages))
    for row in _rows(stages):
        shown.add_row(*row)
    return shown


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1c2530; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d9dee3; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 16rem; }
.quiet { color: #5c6975; font-size: .875rem; }
"""


def write_page(
    path: Path, stages: Sequence[Stage], reward_metrics: Mapping[str, float], settings: Mapping[str, str], next_: str
) -> None:
    """One self-contained HTML page; what people and models wrote is escaped. `next_` is what to type now."""
    rows = "".join(
        f"<tr><th>{_text(name)}</th>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"
        for name, *cells in _rows(stages)
    )
    names = "".join(f"<th>{_text(stage.name)}</th>" for stage in stages)
    said = "".join(_said(examples) for examples in zip(*(stage.examples for stage in stages), strict=True))
    asked = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in settings.items())
    checkpoints = "; ".join(f"{_text(stage.name)} is {stage.checkpoint[:12]}" for stage in stages)
    write_whole(
        path,
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>From base model to assistant</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>From base model to assistant</h1>
<p>Each stage's model answered the same held-out prompts, taking the likeliest token each time. Intervals are 95%.
A stage is compared blindly with the one before.</p>
<table><tr><th></th>{names}</tr>{rows}</table>
<p class="quiet">{_text(_learnt(reward_metrics))} Reinforcement learning has climbed this reward: look at length and
repetition beside it.</p>
<p>Talk to it: <code>{_text(next_)}</code></p>
<h2>The first prompts</h2>
<table><tr><th>prompt</th>{names}</tr>{said}</table>
<h2>Settings</h2>
<table>{asked}</table>
<p class="quiet">{checkpoints}</p>
</body></html>
""",
    )


def _learnt(metrics: Mapping[str, float]) -> str:
    """What the reward model's two accuracies are: of pairs of answers, where the verifier's is of single ones."""
    if "val_accuracy" not in metrics:
        return "No comparisons were held out, so it is not known how far the reward model can be trusted."
    held_out = f"{metrics['val_accuracy']:.1%} of the held-out pairs"
    learnt = f", and in {metrics['accuracy']:.1%} of the last ones that it learnt from" if "accuracy" in metrics else ""
    return f"The reward model puts the better of two answers first in {held_out}{learnt}."


def _said(examples: Sequence[Example]) -> str:
    """A row of the table: what was asked, and what each stage answered."""
    asked = examples[0]
    system = f'<span class="quiet">system: {_text(asked.system)}</span>\n' if asked.system is not None else ""
    answers = "".join(f'<td class="text">{_text(one.answer.strip() or "(nothing)")}</td>' for one in examples)
    return f'<tr><td class="text">{system}{_text(asked.prompt)}</td>{answers}</tr>'


def _text(text: str) -> str:
    return html.escape(text)
