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

from pipeline.tokenize.encode import Tokenizer
from trainer.agreement import Rate, rate, without_nan
from trainer.checkpoint import load, write_whole
from trainer.conversation import Template
from trainer.device import pick_device
from trainer.records import Prompt
from trainer.respond import answers
from trainer.reward import Scorer
from trainer.rl_report import Duel, Mean, duel, mean
from trainer.rollout import repetition
from trainer.sampling import GREEDY
from trainer.verify import verifier

EXAMPLES = 5


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
    examples: tuple[tuple[str, str], ...]
    """(last message of the prompt, answer) of the first prompts."""

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
        tokenizer = Tokenizer(loaded.vocabulary.read_bytes())
        found = [several[0] for several in answers(loaded.model, Template(tokenizer), asked, GREEDY, 1, max_tokens)]
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
                repetition=float(np.mean([repetition(tokenizer.encode(answer.text)) for answer in found])),
                beside=duel(verdicts, before) if before is not None else None,
                examples=tuple(
                    (prompt.messages[-1].content, answer.text)
                    for prompt, answer in zip(prompts[:EXAMPLES], found, strict=False)
                ),
            )
        )
        before = verdicts
    return stages


ROWS = (
    "reward",
    "accuracy",
    "beside the stage before",
    "tokens an answer",
    "finished",
    "repeated 4-grams",
)


def _cells(stage: Stage) -> tuple[str, ...]:
    return (
        str(stage.reward),
        str(stage.accuracy) if stage.accuracy is not None else "–",
        str(stage.beside) if stage.beside is not None else "–",
        f"{stage.length:.1f}",
        f"{stage.finished:.0%}",
        f"{stage.repetition:.1%}",
    )


def table(stages: Sequence[Stage]) -> Table:
    """A column a stage."""
    shown = Table("", *(stage.name for stage in stages))
    for name, *cells in zip(ROWS, *map(_cells, stages), strict=True):
        shown.add_row(name, *cells)
    return shown


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1c2530; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d9dee3; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 16rem; }
.quiet { color: #5c6975; font-size: .875rem; }
"""


def write_page(path: Path, stages: Sequence[Stage], reward_metrics: Mapping[str, float]) -> None:
    """One self-contained HTML page; what models wrote is escaped."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
        for name, *cells in zip(ROWS, *map(_cells, stages), strict=True)
    )
    learnt = ", ".join(f"{html.escape(name)} {value:.3g}" for name, value in reward_metrics.items())
    names = "".join(f"<th>{html.escape(stage.name)}</th>" for stage in stages)
    said = "".join(
        "<tr>"
        + "".join(
            f'<td class="text">{html.escape(text.strip() or "(nothing)")}</td>'
            for text in (stages[0].examples[place][0], *texts)
        )
        + "</tr>"
        for place, texts in enumerate(zip(*([text for _, text in stage.examples] for stage in stages), strict=True))
    )
    write_whole(
        path,
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>From base model to assistant</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>From base model to assistant</h1>
<p>Each stage's model answered the same held-out prompts, taking the likeliest token each time. Intervals are 95%.
A stage is compared blindly with the one before.</p>
<table><tr><th></th>{names}</tr>{rows}</table>
<p class="quiet">The reward model on comparisons it has not seen: {learnt or "nothing was held out"}. Reinforcement
learning has climbed this reward: look at length and repetition beside it.</p>
<h2>The first prompts</h2>
<table><tr><th>prompt</th>{names}</tr>{said}</table>
<p class="quiet">{"; ".join(f"{html.escape(stage.name)} is {stage.checkpoint[:12]}" for stage in stages)}</p>
</body></html>
""",
    )
