"""A reward model: from people's comparisons of answers to one number that says how good an answer is.

Bradley and Terry 1952 on a language model's trunk (Christiano et al. 2017; Ouyang et al. 2022, section 3.5), with the
margins of Touvron et al. 2023 (Llama 2, section 3.2.2). With the core's own dependencies alone:

    python -m trainer.align.reward --model OUT/sft --data comparisons.jsonl --output OUT/reward
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from trainer import checkpoint, records
from trainer.align import losses
from trainer.align.answers import Answers, Fitter, all_pairs, micro_batches, pad, tokens_of
from trainer.align.reward_report import Report, judge, length_rule
from trainer.align.tuning import Judged, Tuner, judged, run, steps_of, usual_notes
from trainer.arguments import from_arguments
from trainer.config import TuneConfig
from trainer.data import reading_order
from trainer.device import autocast, pick_device
from trainer.loop import Evaluation, Update
from trainer.measure.agreement import annotators_agreement, verdicts
from trainer.model import RewardModel, Trunk
from trainer.optimizer import descend
from trainer.progress import Observer, Silent, short
from trainer.records import Limits, Ranking, Rejected
from trainer.records.read import comparison
from trainer.records.rows import find_files, read_rows
from trainer.stage import run_stage, show_report
from trainer.talk.conversation import Encoded, Message, read_template

EPOCHS = 1.0
"""More overfit: Ouyang et al. 2022, appendix C.2, and Touvron et al. 2023, section 3.2.2."""


@dataclass(frozen=True, kw_only=True)
class RewardConfig(TuneConfig):
    """`data` are comparisons: `prompt`, `chosen` and `rejected` (`margin`), or `completions` and `ranks`."""

    # Margins are off by default. On 2,000 made-up comparisons, graded with noise, margin_scale 1 and 3 raised held-out
    # accuracy from 65.9% to 66.3% and 66.9% (3 seeds, +-1), and the calibration error from 0.05 to 0.10 and 0.17.
    batch: Annotated[int, "prompts a step; all answers to a prompt are in one"] = 32
    margin_scale: Annotated[float, "how much a margin of 1 (significantly better) must part two scores; 0: not"] = 0.0
    center: Annotated[float, "pulls scores towards 0, which comparisons leave open; 0.01 is usual"] = 0.0
    frozen_layers: Annotated[int, "lowest layers that are not trained, nor the embeddings if there is one"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "batch")
        self.at_least(0, "margin_scale", "center", "frozen_layers")


class Reward(Tuner):
    """What `loop.train` asks of a stage."""

    stage, head = "reward", "score"
    model: RewardModel

    def __init__(
        self, config: RewardConfig, train: Sequence[Ranking], held_out: Sequence[Ranking], data_sha256: str
    ) -> None:
        super().__init__(config, data_sha256)
        self.settings = config
        self.fitter = Fitter(self.template, self.context)
        self.train = [self.fitter.ranking(ranking) for ranking in train]
        self.held_out = [self.fitter.ranking(ranking) for ranking in held_out]
        if not self.train:
            raise ValueError("no comparison is left to learn from; give more, or hold out a smaller share.")
        self.rows = min(config.batch, len(self.train))
        self.model = self._model().to(self.device)
        freeze(self.model, config.frozen_layers)
        self.ready(default_lr(self.parent.model.dim))

    def _model(self) -> RewardModel:
        """The parent's trunk; and its head where it is a reward model, which then learns on."""
        model = RewardModel(self.parent.model, self.config.seed)
        weights = checkpoint.read_weights(self.folder, self.parent)
        known = {name: tensor for name, tensor in weights.items() if name in model.state_dict()}
        model.load_state_dict({**model.state_dict(), **known})
        return model

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train), self.config.seed)
        batch = [self.train[place] for place in order]
        weight, pairs = sum(one.weight for one in batch), sum(len(one.pairs) for one in batch)
        loss, right = torch.zeros((), device=self.device), 0.0
        for places in micro_batches(batch, self.config.micro_batch_tokens):
            part, better, worse = self.loss([batch[place] for place in places], weight, pairs)
            part.backward()
            loss += part.detach()
            right += float(verdicts(better.detach().cpu(), worse.detach().cpu()).sum())
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, loss.item())
        return Update(loss.item(), norm, tokens_of(batch), {"accuracy": right / pairs})

    def loss(self, answers: Sequence[Answers], weight: float, pairs: int) -> tuple[Tensor, Tensor, Tensor]:
        """A micro-batch's part of the loss of a batch of `weight` and `pairs`; and the scores [P] of its pairs."""
        scores = self._scores(answers)
        found, config = all_pairs(answers, self.device), self.settings
        better, worse = scores[found.better], scores[found.worse]
        loss = losses.bradley_terry(better, worse, config.margin_scale * found.margin, found.weight, weight)
        if config.center:
            loss = loss + losses.center(better, worse, config.center) * (len(better) / pairs)
        return loss, better, worse

    def _scores(self, answers: Sequence[Answers]) -> Tensor:
        rows = [one for several in answers for one in several.encoded]
        return final_scores(self.model, rows, self.template.pad, self.device, self.config.precision)

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        """The loss without margins, weighted as in training; and the share of pairs in the right order."""
        if not self.held_out:
            return None
        loss = right = 0.0
        for places in micro_batches(self.held_out, self.config.micro_batch_tokens):
            answers = [self.held_out[place] for place in places]
            scores, found = self._scores(answers), all_pairs(answers, self.device)
            better, worse = scores[found.better], scores[found.worse]
            loss += losses.bradley_terry(better, worse, None, found.weight, 1.0).item()
            right += float(verdicts(better.cpu(), worse.cpu()).sum())
        weight, pairs = sum(one.weight for one in self.held_out), sum(len(one.pairs) for one in self.held_out)
        return Evaluation(loss / weight, metrics={"val_accuracy": right / pairs})


def default_lr(dim: int) -> float:
    """Falls with the width, as `trainer.align.sft`'s does: 1e-3 for nano.

    On 1,100 comparisons of HH-RLHF a layer of dim 128 reached a held-out loss of 0.648 and 0.663 (two splits) with it,
    0.658 and 0.681 with three times as much.
    """
    return 0.128 / dim


def freeze(model: Trunk, layers: int) -> None:
    """The embeddings and the lowest `layers` ask for no gradient; 0 leaves all as they are."""
    if layers > len(model.model.layers):
        raise ValueError(f"--frozen-layers is {layers}, but the model has {len(model.model.layers)}; freeze fewer.")
    if layers:
        model.model.embed_tokens.requires_grad_(False)
    for layer in model.model.layers[:layers]:
        layer.requires_grad_(False)


def final_scores(
    model: RewardModel, rows: Sequence[Encoded], pad_id: int, device: torch.device, precision: str
) -> Tensor:
    """The score at each conversation's last token, which is its `<|end|>`: float32 [rows]."""
    batch = pad(rows, pad_id, device)
    with autocast(device, precision):
        scores = model(batch.tokens)
    out: Tensor = scores[torch.arange(len(rows), device=device), batch.lengths - 1]
    return out


class Scorer:
    """A reward model to ask: conversations that end with an assistant's turn -> their scores, in order."""

    def __init__(
        self, path: Path, device: str = "auto", precision: str = "auto", micro_batch_tokens: int = 65536
    ) -> None:
        self.device, self.precision, self.micro_batch_tokens = pick_device(device), precision, micro_batch_tokens
        self.checkpoint = checkpoint.load_reward(path, device=self.device)
        self.model = self.checkpoint.model.eval()
        self.template = read_template(self.checkpoint.vocabulary)
        self.fitter = Fitter(self.template, self.checkpoint.about.model.max_seq_len)

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        return self.of([(messages[:-1], messages[-1:]) for messages in conversations])

    def of(self, answers: Sequence[tuple[Sequence[Message], Sequence[Message]]]) -> list[float]:
        """(prompt, answer) each; where they are too long together, the prompt's oldest turns are left out."""
        return self._score([Answers(self.fitter.fit(prompt, [answer])) for prompt, answer in answers])

    def rankings(self, rankings: Sequence[Ranking]) -> list[list[float]]:
        """The scores of each one's completions."""
        flat = iter(self._score(fitted := [self.fitter.ranking(ranking) for ranking in rankings]))
        return [[next(flat) for _ in one.encoded] for one in fitted]

    @torch.no_grad()
    def _score(self, answers: Sequence[Answers]) -> list[float]:
        scores: dict[int, list[float]] = {}
        for places in micro_batches(answers, self.micro_batch_tokens):
            rows = [one for place in places for one in answers[place].encoded]
            found = iter(final_scores(self.model, rows, self.template.pad, self.device, self.precision).tolist())
            scores.update((place, [next(found) for _ in answers[place].encoded]) for place in places)
        return [score for place in range(len(answers)) for score in scores[place]]


def score(path: Path, conversations: Sequence[Sequence[Message]], device: str = "auto") -> list[float]:
    """As `Scorer`, which keeps the model, for one time."""
    return Scorer(path, device)(conversations)


def reward(config: RewardConfig, observer: Observer | None = None) -> Judged[Report]:
    """Trains a reward model from `config.model` on the comparisons in `config.data`; a run in `config.output` goes on.

    Leaves, besides what every run leaves, evaluation.json: a `Report` of the best checkpoint on what is held out.
    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    read = records.read_comparisons(config.data)
    train, held_out = records.split(read, config.held_out)
    tuner = Reward(config, train, held_out, records.digest(read))
    for note in (*usual_notes(read, "comparisons", tuner.held_out, "accuracy"), *tuner.fitter.notes()):
        observer.note(note)
    steps = steps_of(config, len(tuner.train), tuner.rows, EPOCHS)
    result = run(tuner, steps, _facts(tuner, steps), observer, {"batch": tuner.rows})
    report = None
    if held_out:
        scorer = Scorer(result.checkpoint, config.device, config.precision, config.micro_batch_tokens)
        agreement = annotators_agreement(people(config.data))
        report = judge(scorer.rankings(held_out), held_out, length_rule(train), agreement)
    return judged(tuner, result, report)


def people(data: Sequence[Path]) -> Iterator[tuple[Ranking, int]]:
    """Each row's comparison, and how many people made it: as many as `annotators` names, else one.

    `read_comparisons` keeps one of several equal rows, but here each is a vote.
    """
    limits = Limits()
    for file in find_files(data):
        for row in read_rows(file, limits):
            if isinstance(row, Rejected):
                continue
            named = row.fields.get("annotators")
            yield comparison(row.fields, limits), len(named) if isinstance(named, list) and named else 1


def _facts(tuner: Reward, steps: int) -> list[tuple[str, str]]:
    train, held_out, config = tuner.train, tuner.held_out, tuner.settings
    graded = sum(one.margin is not None for one in train)
    learnt = sum(weight.numel() for weight in tuner.trained_weights())
    use = f"times {config.margin_scale:g}" if config.margin_scale else "not used"
    pairs, read = sum(len(one.pairs) for one in train), tokens_of(train)
    return [
        ("comparisons", f"{len(train):,} prompts, {pairs:,} pairs, {read:,} tokens"),
        ("held out", f"{len(held_out):,} prompts, {sum(len(one.pairs) for one in held_out):,} pairs"),
        ("margins", f"{graded:,} comparisons have one, {use}"),
        ("learns", f"{short(learnt)} weights; {config.frozen_layers} of {tuner.parent.model.layers} layers are frozen"),
        ("steps", f"{steps:,} of {tuner.rows} prompts = {steps * tuner.rows / len(train):.2f} epochs"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(RewardConfig, "corpuscle train reward", "Learn a reward from comparisons.", arguments)
    return run_stage(config, reward, show_report)


if __name__ == "__main__":
    sys.exit(main())
