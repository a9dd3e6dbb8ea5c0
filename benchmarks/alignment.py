"""DPO, GRPO and PPO from one fine-tuned model, side by side on held-out questions, with intervals. Minutes on a CPU.

    python -m benchmarks.alignment --seed 1
    python -m benchmarks.alignment --stages sft grpo --output runs/alignment

The task is the sum of two numbers of two digits, answered at once. A model of 0.8 M parameters is fine-tuned on so few
demonstrations that a good part of new sums is wrong; the other stages then see other questions, and of the answers only
whether they are right. How few that are depends on the seed, as the model learns to add all of a sudden: of 600, 650,
700, ... the first number with which 35% of the answers to 300 other questions, not the held-out ones, are right. DPO
learns from pairs of the fine-tuned model's own answers, one right and one wrong, as the verifier says. The
comparison is blind: of two models' answers to one question, drawn with the same random numbers, the verifier says which
is right. Settings were chosen on seed 0. Prints a table, and one line of JSON at the end; what is already in --output
is not trained again.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainer

import argparse
import dataclasses
import hashlib
import json
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer import checkpoint, records
from trainer.align.evaluate import answers
from trainer.align.preference.command import dpo
from trainer.align.preference.config import DpoConfig
from trainer.align.rl.command import rl
from trainer.align.rl.config import RlConfig
from trainer.align.rl.report import Answered, Change, Reader, change
from trainer.align.rl.rewards import Judge
from trainer.align.sft import SftConfig, sft
from trainer.align.tuning import Result
from trainer.checkpoint import About, checkpoint_id
from trainer.measure import tasks
from trainer.measure.agreement import without_nan
from trainer.model import Llama, ModelConfig, parameters
from trainer.progress import Observer, Screen, Silent
from trainer.records import Prompt
from trainer.sampling import Sampling
from trainer.talk.conversation import Template, to_json

TASK, DIGITS, VERIFIER = "addition", 2, "number"
VOCABULARY, CONTEXT, ANSWER = 400, 48, 8
"""Pieces (digits are always apart), tokens of the context, tokens of an answer."""
DEMONSTRATIONS, ENOUGH, PROBED = range(600, 1501, 50), 0.35, 300
PROMPTS, HELD_OUT = 2000, 600
PAIR_SAMPLES = 8
"""Answers to each prompt from which DPO's pairs are made: the first right one and the first wrong one."""
KL_LIMIT = 3.0
"""Nats an answer. An answer that was right in one of 20 samples and then always is has gone ln 20 = 3.0."""
STAGES = ("sft", "dpo", "grpo", "ppo")


@dataclass(frozen=True)
class Row:
    """A stage's model, and how it compares with the fine-tuned one."""

    stage: str
    sampled: Change
    greedy: Change
    steps: int
    """After which its best checkpoint was written."""
    seconds: float
    """Of training and its evaluations."""


@dataclass
class Bench:
    """Data, folders and settings of one seed."""

    folder: Path
    seed: int
    observer: Observer
    start: Path = field(init=False)
    """The fine-tuned model, and how many demonstrations it had."""
    demonstrations: int = 0

    def prepare(self) -> None:
        most = max(DEMONSTRATIONS)
        train = tasks.items(TASK, most + PROMPTS, self.seed, "train", digits=DIGITS)
        demonstrations, others = train[:most], train[most:]
        held_out = tasks.items(TASK, HELD_OUT, self.seed, "held-out", digits=DIGITS)
        self.folder.mkdir(parents=True, exist_ok=True)
        for count in DEMONSTRATIONS:
            rows = [item.demonstration() for item in demonstrations[:count]]
            tasks.write(self.folder / f"demonstrations-{count}.jsonl", rows)
        tasks.write(self.folder / "prompts.jsonl", [item.question() for item in others])
        tasks.write(self.folder / "held-out.jsonl", [item.question() for item in held_out])
        if not (self.folder / "base").exists():
            self._fresh([turn.content for item in demonstrations for turn in item.messages])

    def _fresh(self, texts: Sequence[str]) -> None:
        """A model that knows nothing, with a vocabulary of the task's own texts."""
        vocabulary = train_vocabulary(texts, VOCABULARY)
        shape = ModelConfig(VOCABULARY, 128, 4, 4, 2, 352, CONTEXT)
        weights, digest = Llama(shape, self.seed).state_dict(), hashlib.sha256(vocabulary).hexdigest()
        bos = Tokenizer(vocabulary).bos_id
        about = About(checkpoint_id(weights, shape, digest), 0, shape, digest, bos, "0" * 64)
        (self.folder / "vocabulary").write_bytes(vocabulary)
        checkpoint.save(self.folder / "base", about, weights, {}, self.folder / "vocabulary")

    def sft(self) -> Result:
        """The fine-tuned model that the others start from: the first one that knows enough."""
        for count in DEMONSTRATIONS:
            data, output = (self.folder / f"demonstrations-{count}.jsonl",), self.folder / f"sft-{count}"
            config = SftConfig(model=self.folder / "base", data=data, output=output, seed=self.seed, **SFT)
            result = sft(config, self.observer)
            self.start, self.demonstrations = result.checkpoint, count
            right = [verdict for _, one in self._verdicts(1, PROBED) for _, verdict in one]
            self.observer.note(f"{count} demonstrations: {sum(right) / PROBED:.1%} of {PROBED} answers are right.")
            if sum(right) / PROBED >= ENOUGH:
                break
        return result

    def dpo(self) -> Result:
        pairs = self.folder / "pairs.jsonl"
        if not pairs.exists():
            tasks.write(pairs, self._pairs())
        return dpo(self._config(DpoConfig, "dpo", pairs, DPO), self.observer)

    def grpo(self) -> Result:
        return rl(self._config(RlConfig, "grpo", self.folder / "prompts.jsonl", {**RL, **GRPO}), self.observer)

    def ppo(self) -> Result:
        return rl(self._config(RlConfig, "ppo", self.folder / "prompts.jsonl", {**RL, **PPO}), self.observer)

    def _config(self, kind: Any, name: str, data: Path, settings: dict[str, Any]) -> Any:
        return kind(model=self.start, data=(data,), output=self.folder / name, seed=self.seed, **settings)

    def _pairs(self) -> list[dict[str, Any]]:
        """Comparisons by the verifier, of the fine-tuned model's answers to the training prompts."""
        rows = []
        for prompt, several in self._verdicts(PAIR_SAMPLES, PROMPTS):
            right = next((text for text, verdict in several if verdict), None)
            wrong = next((text for text, verdict in several if not verdict), None)
            if right and wrong:
                rows.append({"prompt": to_json(prompt.messages), "chosen": right, "rejected": wrong})
        return rows

    def _verdicts(self, samples: int, number: int) -> list[tuple[Prompt, list[tuple[str, float]]]]:
        """The first training prompts, each with the fine-tuned model's answers and the verifier's verdicts on them."""
        found = checkpoint.load(self.start)
        template = Template(Tokenizer(found.vocabulary.read_bytes()))
        prompts, judge = records.read_prompts(self.folder / "prompts.jsonl")[:number], Judge(VERIFIER)
        sampling = Sampling(1.0, top_p=1.0, seed=self.seed + 2000)
        asked = [prompt.messages for prompt in prompts]
        rows = []
        written = answers(found.model, template, asked, sampling, samples, ANSWER)
        for prompt, several in zip(prompts, written, strict=True):
            turns, ended = [one.messages[-1] for one in several], [one.finished for one in several]
            verdicts = judge.verdicts([prompt] * samples, turns, ended).tolist()
            rows.append((prompt, [(turn.content, verdict) for turn, verdict in zip(turns, verdicts, strict=True)]))
        return rows

    def compare(self, stages: Sequence[str]) -> list[Row]:
        """Trains the stages that are not there yet, and examines all on the held-out questions."""
        prompts = list(records.read_prompts(self.folder / "held-out.jsonl"))
        rows: list[Row] = []
        start: Llama | None = None
        before: list[Answered] = []
        train: dict[str, Callable[[], Result]] = {"sft": self.sft, "dpo": self.dpo, "grpo": self.grpo, "ppo": self.ppo}
        for stage in stages:
            result = train[stage]()
            found = checkpoint.load(result.checkpoint)
            template = Template(Tokenizer(found.vocabulary.read_bytes()))
            reader = Reader(template, Judge(VERIFIER), 1.0, ANSWER, seed=self.seed + 3000)
            start = start or found.model
            both = [reader.examine(found.model, start, prompts, greedy) for greedy in (False, True)]
            before = before or both
            sampled, greedy = (change(one, other) for one, other in zip(before, both, strict=True))
            rows.append(Row(stage, sampled, greedy, result.step, result.seconds))
        return rows


SFT: dict[str, Any] = {"steps": 250, "lr": 3e-3, "batch_tokens": 1024, "held_out": 0.0}
DPO: dict[str, Any] = {"epochs": 6, "lr": 1e-4, "beta": 1.0, "batch": 32, "held_out": 0.05}
RL: dict[str, Any] = {
    "verifier": VERIFIER,
    "prompts": 16,
    "samples": 8,
    "max_new_tokens": ANSWER,
    "kl_limit": KL_LIMIT,
    "steps": 200,
    "held_out": 0.1,
    "eval_prompts": 200,
}
GRPO: dict[str, Any] = {"lr": 1.5e-4}
PPO: dict[str, Any] = {"algorithm": "ppo", "lr": 1.5e-4, "inner_epochs": 1, "minibatches": 2, "kl_coef": 0.01}


def table(rows: Sequence[Row]) -> Table:
    columns = ("", "right, sampled", "right, greedy", "KL", "sampled, against sft", "greedy, against sft", "seconds")
    found = Table(*columns, title=f"{HELD_OUT:,} held-out questions; 95% intervals", title_justify="left")
    for row in rows:
        first = row.stage == "sft"
        cells = (
            row.stage,
            str(row.sampled.accuracy_after),
            str(row.greedy.accuracy_after),
            "" if first else str(row.sampled.kl),
            "" if first else str(row.sampled.duel),
            "" if first else str(row.greedy.duel),
            f"{row.seconds:,.0f}",
        )
        found.add_row(*cells)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of data and runs; settings were chosen on 0 (%(default)s)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="sft comes first")
    parser.add_argument("--output", type=Path, help="keep data and models here; else they are deleted")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="the table alone")
    options = parser.parse_args()
    if options.stages[0] != "sft":
        parser.error("the first of the stages must be sft, which the others start from.")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(options.output or Path(temporary), options.seed, Silent() if options.quiet else Screen())
        bench.prepare()
        rows = bench.compare(options.stages)
        size = parameters(checkpoint.read_about(checkpoint.find(bench.folder / "base")).model)
    console = Console(width=max(Console().width, 200))
    console.print(table(rows))
    environment = {"torch": torch.__version__, "cpu": platform.processor(), "threads": options.threads}
    data = {"demonstrations": bench.demonstrations, "prompts": PROMPTS, "held_out": HELD_OUT}
    described = {"seed": options.seed, "parameters": size, **data, **environment}
    print(json.dumps(without_nan({**described, "rows": [dataclasses.asdict(row) for row in rows]})))


if __name__ == "__main__":
    main()
