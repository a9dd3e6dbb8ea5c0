"""A model that teaches itself: it answers, what a verifier finds right is kept, and the start model learns from that.

Rounds as in STaR (Zelikman et al. 2022, section 3.1), without its hints: each round fine-tunes the original checkpoint
anew, so that what one round overfits is not carried on. With the core's own dependencies alone:

    python -m trainer.align.improve --model OUT/base --data prompts.jsonl --verifier number --output OUT/improved
"""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer import checkpoint, loop, records
from trainer.align.evaluate import answers
from trainer.align.rl.rewards import Judge
from trainer.align.sft import SftConfig, sft
from trainer.arguments import from_arguments
from trainer.checkpoint import Checkpoint, write_whole
from trainer.config import TuneConfig
from trainer.data import key
from trainer.device import pick_device
from trainer.loop import record_plan, recorded_plan, settings_of
from trainer.measure.agreement import Rate, rate
from trainer.measure.questions import read_questions
from trainer.model import Llama
from trainer.output import prepare_output
from trainer.progress import Observer, Silent
from trainer.records import Demonstration, Prompt
from trainer.records.kinds import demonstration
from trainer.sampling import GREEDY, Sampling
from trainer.stage import run_stage
from trainer.talk.conversation import Message, read_template, to_json

KEPT, EVALUATION = "kept.jsonl", "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class ImproveConfig(TuneConfig):
    """`data` are prompts with their right answers; steps, rates and batches are those of each round's fine-tuning."""

    verifier: Annotated[str, "what checks answers: exact, number, choice, json, format:PATTERN"]
    demonstrations: Annotated[tuple[Path, ...], "demonstrations that each round learns too, the first them alone"] = ()
    rounds: Annotated[int, "how often answers are sampled and learnt from"] = 3
    samples: Annotated[int, "answers to each training prompt in a round"] = 8
    keep: Annotated[int, "most different right answers that are kept of a prompt"] = 2
    max_new_tokens: Annotated[int, "longest answer in tokens"] = 128
    temperature: Annotated[float, "at which answers are drawn"] = 1.0
    batch_tokens: Annotated[int | None, "tokens a step of fine-tuning; `sft`'s own by default"] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "rounds", "samples", "keep", "max_new_tokens", "batch_tokens")
        self.positive("temperature")


@dataclass(frozen=True)
class Round:
    """Round 0 is the model before any of its own answers: fine-tuned on the demonstrations, if there are some."""

    number: int
    checkpoint: str
    """The id of the model that the round ends with."""
    demonstrations: int
    kept: int
    """Right answers of the round before's model that it learnt from."""
    solved: float | None
    """Share of the training prompts to which one of the samples was right; None in round 0."""
    accuracy: Rate
    """Of greedy answers to the held-out prompts."""


@dataclass(frozen=True)
class Improved:
    """How it went: all rounds, and the checkpoint of the last one."""

    checkpoint: Path
    rounds: tuple[Round, ...]

    def table(self) -> Table:
        table = Table("round", "demonstrations", "own answers", "solved in training", "right, held out")
        for found in self.rounds:
            solved = "" if found.solved is None else f"{found.solved:.1%}"
            cells = (str(found.number), f"{found.demonstrations:,}", f"{found.kept:,}", solved, str(found.accuracy))
            table.add_row(*cells)
        return table


class Improver:
    """What all rounds share: the prompts, the demonstrations, the verifier."""

    def __init__(self, config: ImproveConfig, observer: Observer) -> None:
        self.config, self.observer = config, observer
        self.device = pick_device(config.device)
        self.folder = checkpoint.find(config.model)
        prompts = read_questions(config.data, config.verifier)
        # The same split as fine-tuning makes: what is held out here is no demonstration there either.
        self.train, self.held_out = records.split(prompts, config.held_out)
        self.demonstrations = list(records.read_demonstrations(config.demonstrations)) if config.demonstrations else []
        self.judge = Judge(config.verifier)
        if not self.train:
            raise ValueError("no prompt is left to learn from; give more, or hold out a smaller share.")
        if not self.held_out:
            raise ValueError("nothing is held out, so no round could be measured; raise --held-out, or give more.")
        read: list[Prompt | Demonstration] = [*prompts, *self.demonstrations]
        self.digest = records.digest(read)

    def round(self, number: int, before: Path) -> tuple[Path, Round]:
        """Does a round, or finds it done. `before` is the checkpoint that the round before ended with."""
        output = self.config.output / f"round-{number}"
        path = output / EVALUATION
        if path.exists():
            fields = json.loads(path.read_text())
            return self._end(output), Round(**{**fields, "accuracy": Rate(**fields["accuracy"])})
        output.mkdir(parents=True, exist_ok=True)
        kept, solved = (self._kept(output, number, before)) if number else ([], None)
        learnt = len(self.demonstrations) + len(kept)
        if learnt:
            self._fine_tune(output, number)
        end = self._end(output)
        model = checkpoint.load(end, device=self.device)
        found = Round(number, model.about.id, len(self.demonstrations), len(kept), solved, self._accuracy(model))
        self.observer.note(f"round {number}: {found.accuracy} of the held-out prompts are answered right.")
        write_whole(path, json.dumps(dataclasses.asdict(found), indent=1) + "\n")
        return end, found

    def _end(self, output: Path) -> Path:
        """The last checkpoint, not that of the lowest loss: on few demonstrations the held-out loss is lowest early.

        On 400 sums of two digits it was after 36 of 180 steps, where 3% of new ones were right; at the end 12% were.
        """
        return checkpoint.find(output, "last") if (output / checkpoint.INDEX).exists() else self.folder

    def _kept(self, output: Path, number: int, before: Path) -> tuple[list[Demonstration], float]:
        """What the last round's model got right; asked for once, as a killed round finds it in its folder."""
        path = output / KEPT
        if not path.exists():
            model = checkpoint.load(before, device=self.device)
            right = self._right(model, number)
            rows = [{"messages": to_json(one.messages)} for several in right for one in several]
            write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        kept = list(records.read_demonstrations(path)) if path.stat().st_size else []
        openings = {one.prompt for one in kept}
        solved = sum(tuple(prompt.messages) in openings for prompt in self.train)
        if not kept:
            self.observer.note(f"round {number}: not one of the samples is right, so nothing of its own is learnt.")
        return kept, solved / len(self.train)

    def _right(self, model: Checkpoint[Llama], number: int) -> list[list[Demonstration]]:
        """Of each training prompt the first `keep` different right answers, each as a demonstration."""
        config = self.config
        sampling = Sampling(config.temperature, top_p=1.0, seed=key(config.seed, number))
        written = self._answers(model, self.train, sampling, config.samples)
        return [
            [demonstration([*prompt.messages, answer]) for answer in texts[: config.keep]]
            for prompt, texts in zip(self.train, (list(dict.fromkeys(one)) for one in written), strict=True)
        ]

    def _answers(
        self, model: Checkpoint[Llama], prompts: Sequence[Prompt], sampling: Sampling, samples: int
    ) -> list[list[Message]]:
        """The right ones among each prompt's finished answers, in order."""
        template = read_template(model.vocabulary)
        rows = max(1, self.config.micro_batch_tokens // model.about.model.max_seq_len)
        asked = [prompt.messages for prompt in prompts]
        found = answers(model.model, template, asked, sampling, samples, self.config.max_new_tokens, rows)
        right = []
        for prompt, several in zip(prompts, found, strict=True):
            texts = [Message("assistant", one.text) for one in several]
            ended = [one.finished and bool(one.text.strip()) for one in several]
            verdicts = self.judge.verdicts([prompt] * samples, texts, ended)
            right.append([text for text, verdict in zip(texts, verdicts.tolist(), strict=True) if verdict == 1])
        return right

    def _accuracy(self, model: Checkpoint[Llama]) -> Rate:
        return rate([float(bool(right)) for right in self._answers(model, self.held_out, GREEDY, 1)])

    def _fine_tune(self, output: Path, number: int) -> None:
        own = (output / KEPT,) if number and (output / KEPT).stat().st_size else ()
        config = self.config
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(TuneConfig)}
        data = (*config.demonstrations, *own)
        sft(SftConfig(**{**shared, "data": data, "output": output}, batch_tokens=config.batch_tokens), self.observer)


def improve(config: ImproveConfig, observer: Observer | None = None) -> Improved:
    """Rounds of sampling, checking and fine-tuning; those found in `config.output` are not done again.

    Leaves a folder for each round (kept.jsonl, the run of its fine-tuning, evaluation.json) and the rounds together in
    evaluation.json. Raises FileNotFoundError or ValueError where model, data or settings are not usable, and
    DivergedError where a loss is not finite.
    """
    improver = Improver(config, observer or Silent())
    prepare_output(config.output)
    settings = settings_of(config, _resolved(improver))
    if recorded_plan(config.output, settings, loop.Plan) is None:
        record_plan(config.output, settings, loop.Plan(config.rounds, 0, 1, 1))
    folder, rounds = improver.folder, []
    for number in range(config.rounds + 1):
        folder, found = improver.round(number, folder)
        rounds.append(found)
    text = json.dumps([dataclasses.asdict(found) for found in rounds], indent=1) + "\n"
    write_whole(config.output / EVALUATION, text)
    checkpoint.point(config.output, folder)
    return Improved(folder, tuple(rounds))


def _resolved(improver: Improver) -> Mapping[str, Any]:
    about = checkpoint.read_about(improver.folder)
    return {"model": about.id, "data_sha256": improver.digest, "demonstrations": len(improver.demonstrations)}


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    about = "Rounds of sampling answers, keeping the right ones and fine-tuning on them."
    return run_stage(from_arguments(ImproveConfig, "corpuscle train improve", about, arguments), improve, _show)


def _show(result: Improved, console: Console) -> None:
    console.print(result.table())
    console.print(f"last checkpoint {escape(str(result.checkpoint))}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
