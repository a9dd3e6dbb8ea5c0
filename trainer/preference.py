"""Learning from preferences without a reward model: DPO for comparisons, KTO for single verdicts.

Rafailov et al. 2023 and Ethayarajh et al. 2024. The reference is the checkpoint that the run starts from; its
log-probabilities are computed once, so training holds one model in memory. With the core's own dependencies alone:

    python -m trainer.preference --model OUT/sft --data comparisons.jsonl --output OUT/dpo
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from torch import Tensor

from trainer import checkpoint, losses, records
from trainer.agreement import verdicts
from trainer.answers import Answers, Fitter, all_pairs, micro_batches, pad
from trainer.config import TuneConfig, from_arguments
from trainer.data import reading_order
from trainer.device import autocast
from trainer.loop import Evaluation, Update, where_it_goes_on
from trainer.model import Llama
from trainer.optimizer import DivergedError, descend
from trainer.progress import Observer, Screen, Silent
from trainer.records import Limits, Ranking, Rejected, Unpaired
from trainer.records.read import kind_of
from trainer.records.rows import find_files, read_rows
from trainer.tuning import Result, Tuner, run, steps_of

EPOCHS = 1.0

NOTE_EVERY = 10000
"""Conversations of which the reference's log-probabilities are computed between two notes of progress."""


@dataclass(frozen=True, kw_only=True)
class DpoConfig(TuneConfig):
    """`data` are comparisons (DPO), or single verdicts: `prompt`, `completion` and `label` (KTO)."""

    batch: Annotated[int, "prompts a step; all answers to a prompt are in one"] = 32
    beta: Annotated[float, "how dear it is to part from the reference: more holds the model nearer to it"] = 0.1
    label_smoothing: Annotated[float, "DPO: the share of comparisons that are likely the wrong way round"] = 0.0
    length_normalised: Annotated[bool, "compare mean log-probabilities a token, not sums; wants beta 2 to 10"] = False
    sft_coefficient: Annotated[float, "DPO: also imitate the chosen answer, its loss a token times this"] = 0.0
    kl_limit: Annotated[float | None, "stop where the drift from the reference passes this, in nats a token"] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "batch")
        self.at_least(0, "sft_coefficient")
        self.positive("beta", "kl_limit")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; expected 0 or more, and less than 0.5.")


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds the answers of some rows: ln p of the answer [N] (of a token, if length-normalised),
    ln p of each learnt token [M], row after row, and how many a row has [N]."""

    answers: Tensor
    tokens: Tensor
    counts: Tensor


class FromReference(Tuner):
    """What DPO and KTO share: log-probabilities, the reference's, and how far the model has drifted from it.

    Drift is half the mean square of ln(policy / reference) over the answers' tokens: Schulman 2020 ("Approximating KL
    divergence", k2) of KL(policy || reference). The tokens are the data's and not the policy's own, so it is a
    yardstick and not the divergence; unlike the mean shift it is not 0 where half of the answers rise and half fall.
    """

    model: Llama

    def __init__(self, config: DpoConfig, data_sha256: str) -> None:
        super().__init__(config, data_sha256)
        self.settings = config
        self.fitter = Fitter(self.template, self.context)
        self.model = checkpoint.load(self.folder, device=self.device).model
        self.ready(default_lr(self.parent.model.dim))

    def likelihood(self, answers: Sequence[Answers]) -> Likelihood:
        """Logits are computed where an answer's token is foreseen, and nowhere else."""
        batch = pad([one for several in answers for one in several.encoded], self.template.pad, self.device)
        where = batch.trained[:, 1:]
        with autocast(self.device, self.config.precision):
            logits = self.model.logits(self.model.vectors(batch.tokens)[:, :-1][where])
        tokens = losses.token_logprobs(logits[None], batch.tokens[:, 1:][where][None])[0]
        spread = torch.zeros(where.shape, device=self.device).masked_scatter(where, tokens)
        by_answer = losses.sequence_logprobs(spread, where, self.settings.length_normalised)
        return Likelihood(by_answer, tokens, where.sum(-1))

    @torch.no_grad()
    def reference(self, answers: Sequence[Answers], observer: Observer) -> list[list[NDArray[np.float32]]]:
        """The model's ln p of each answer's tokens, of each prompt; to be asked before the first step."""
        found: dict[int, list[NDArray[np.float32]]] = {}
        done, said, everything = 0, 0, sum(len(several.encoded) for several in answers)
        for places in micro_batches(answers, self.config.micro_batch_tokens):
            likely = self.likelihood([answers[place] for place in places])
            rows = iter(np.split(likely.tokens.cpu().numpy(), np.cumsum(likely.counts.cpu().numpy())[:-1]))
            found.update((place, [next(rows) for _ in answers[place].encoded]) for place in places)
            done += sum(len(answers[place].encoded) for place in places)
            if done - said >= NOTE_EVERY:
                said = done
                observer.note(f"the reference has read {done:,} of {everything:,} conversations.")
        return [found[place] for place in range(len(answers))]

    def held(self, reference: Sequence[Sequence[NDArray[np.float32]]]) -> Likelihood:
        """The reference's log-probabilities of a micro-batch, as `likelihood` gives the policy's."""
        rows = [row for several in reference for row in several]
        tokens = torch.from_numpy(np.concatenate(rows)).to(self.device)
        counts = torch.tensor([len(row) for row in rows], device=self.device)
        sums = torch.stack([row.sum() for row in tokens.split(counts.tolist())])
        return Likelihood(sums / counts.clamp(min=1) if self.settings.length_normalised else sums, tokens, counts)

    def stop(self, drift: float) -> str | None:
        """Why to stop, if so. Drift is that of the weights before a step's update: the limit is passed by one step."""
        limit = self.settings.kl_limit
        if limit is None or drift <= limit:
            return None
        return f"the drift from the reference is {drift:.3g} nats a token, more than kl_limit ({limit:g})"


def held_out_names(metrics: Mapping[str, float]) -> dict[str, float]:
    """As val_loss is called, lest the log mix them up with the batch's."""
    return {f"val_{name}": value for name, value in metrics.items()}


def squares(policy: Likelihood, reference: Likelihood) -> float:
    """Half the sum of squares of ln(policy / reference) over tokens; divided by their number it is the drift."""
    return float(((policy.tokens.detach() - reference.tokens) ** 2).sum()) / 2


@dataclass
class Sums:
    """What is counted over the micro-batches of a batch."""

    loss: float = 0.0
    squares: float = 0.0
    tokens: int = 0
    first: float = 0.0
    """Rewards of the better answers, or of the good ones."""
    second: float = 0.0
    right: float = 0.0
    logprob: float = 0.0
    """ln p of the better answers' tokens."""
    learnt: int = 0
    """How many those are."""


class Dpo(FromReference):
    """What `loop.train` asks of a stage, for comparisons."""

    stage = "dpo"

    def __init__(
        self,
        config: DpoConfig,
        train: Sequence[Ranking],
        held_out: Sequence[Ranking],
        data_sha256: str,
        observer: Observer,
    ) -> None:
        super().__init__(config, data_sha256)
        self.train = [self.fitter.ranking(ranking) for ranking in train]
        self.held_out = [self.fitter.ranking(ranking) for ranking in held_out]
        if not self.train:
            raise ValueError("no comparison is left to learn from; give more, or hold out a smaller share.")
        self.rows = min(config.batch, len(self.train))
        self.train_reference = self.reference(self.train, observer)
        self.held_out_reference = self.reference(self.held_out, observer)

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train), self.config.seed)
        batch = [self.train[place] for place in order]
        sums = self._read(batch, [self.train_reference[place] for place in order], learn=True)
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, sums.loss)
        metrics = self._metrics(sums, batch)
        return Update(sums.loss, norm, tokens_of(batch), metrics, self.stop(metrics["drift"]))

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        if not self.held_out:
            return None
        sums = self._read(self.held_out, self.held_out_reference, learn=False)
        return Evaluation(sums.loss, metrics=held_out_names(self._metrics(sums, self.held_out)))

    def _read(self, batch: Sequence[Answers], reference: Sequence[Sequence[NDArray[np.float32]]], learn: bool) -> Sums:
        config, sums = self.settings, Sums()
        weight = sum(one.weight for one in batch)
        for places in micro_batches(batch, config.micro_batch_tokens):
            answers = [batch[place] for place in places]
            policy, held = self.likelihood(answers), self.held([reference[place] for place in places])
            pairs = all_pairs(answers, self.device)
            found = losses.dpo(
                policy.answers[pairs.better],
                policy.answers[pairs.worse],
                held.answers[pairs.better],
                held.answers[pairs.worse],
                config.beta,
                config.label_smoothing,
            )
            means = policy.answers / (1 if config.length_normalised else policy.counts.clamp(min=1))
            imitation = -config.sft_coefficient * means[pairs.better]
            loss = ((found.losses + imitation) * pairs.weight).sum() / weight
            if learn:
                loss.backward()
            sums.loss += loss.item()
            sums.squares += squares(policy, held)
            sums.tokens += len(policy.tokens)
            sums.first += found.chosen_rewards.sum().item()
            sums.second += found.rejected_rewards.sum().item()
            sums.right += float(verdicts(found.chosen_rewards.cpu(), found.rejected_rewards.cpu()).sum())
            sums.logprob += (means * policy.counts)[pairs.better].sum().item()
            sums.learnt += int(policy.counts[pairs.better].sum())
        return sums

    def _metrics(self, sums: Sums, batch: Sequence[Answers]) -> dict[str, float]:
        """Over pairs; `chosen_logprob` is of a token. Of one pair's rewards the better answer's should be higher."""
        pairs = sum(len(one.pairs) for one in batch)
        return {
            "accuracy": sums.right / pairs,
            "margin": (sums.first - sums.second) / pairs,
            "chosen_logprob": sums.logprob / max(1, sums.learnt),
            "drift": sums.squares / max(1, sums.tokens),
        }


class Kto(FromReference):
    """What `loop.train` asks of a stage, for single verdicts.

    Its z0 comes from mismatched conversations: each prompt with the answer to another. Which other is fixed for the
    run, so that the reference reads those too but once.
    """

    stage = "kto"

    def __init__(
        self,
        config: DpoConfig,
        train: Sequence[Unpaired],
        held_out: Sequence[Unpaired],
        data_sha256: str,
        observer: Observer,
    ) -> None:
        super().__init__(config, data_sha256)
        self.good_weight, self.bad_weight = _weights(train)
        self.rows = min(config.batch, len(train))
        self.train, self.held_out = Verdicts(self, train, observer), Verdicts(self, held_out, observer)

    def step(self, step: int, lr: float) -> Update:
        order = reading_order(step * self.rows, self.rows, len(self.train.answers), self.config.seed)
        sums = self._read(self.train, order.tolist(), learn=True)
        norm = descend(self.trained_weights(), self.optimizer, lr, self.config.clip, sums.loss)
        metrics = self._metrics(sums, self.train, order.tolist())
        read = [several[place] for place in order for several in (self.train.answers, self.train.mismatched)]
        return Update(sums.loss, norm, tokens_of(read), metrics, self.stop(metrics["drift"]))

    @torch.no_grad()
    def evaluate(self) -> Evaluation | None:
        everything = list(range(len(self.held_out.answers)))
        if not everything:
            return None
        sums = self._read(self.held_out, everything, learn=False)
        return Evaluation(sums.loss, metrics=held_out_names(self._metrics(sums, self.held_out, everything)))

    def _read(self, data: "Verdicts", chosen: Sequence[int], learn: bool) -> Sums:
        config, sums = self.settings, Sums()
        mismatched, held_mismatched = self._mismatched(data, chosen)
        batch = [data.answers[place] for place in chosen]
        weight = sum(one.weight for one in batch)
        for places in micro_batches(batch, config.micro_batch_tokens):
            numbers = [chosen[place] for place in places]
            policy = self.likelihood([data.answers[number] for number in numbers])
            held = self.held([data.reference[number] for number in numbers])
            good = torch.tensor([data.good[number] for number in numbers], device=self.device)
            weights = torch.tensor([data.answers[number].weight for number in numbers], device=self.device)
            found = losses.kto(
                policy.answers,
                held.answers,
                good,
                mismatched,
                held_mismatched,
                config.beta,
                self.good_weight,
                self.bad_weight,
            )
            loss = (found.losses * weights).sum() / weight
            if learn:
                loss.backward()
            sums.loss += loss.item()
            sums.squares += squares(policy, held)
            sums.tokens += len(policy.tokens)
            sums.first += found.rewards[good].sum().item()
            sums.second += found.rewards[~good].sum().item()
        return sums

    @torch.no_grad()
    def _mismatched(self, data: "Verdicts", chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Policy's and reference's ln p of the mismatched answers of a batch, [N] each, in the same order."""
        batch = [data.mismatched[place] for place in chosen]
        policy, held = [], []
        for places in micro_batches(batch, self.config.micro_batch_tokens):
            policy.append(self.likelihood([batch[place] for place in places]).answers)
            held.append(self.held([data.mismatched_reference[chosen[place]] for place in places]).answers)
        return torch.cat(policy), torch.cat(held)

    def _metrics(self, sums: Sums, data: "Verdicts", chosen: Sequence[int]) -> dict[str, float]:
        """Mean rewards of good and of bad answers; 0 where there is none."""
        good = sum(data.good[place] for place in chosen)
        up, down = sums.first / max(1, good), sums.second / max(1, len(chosen) - good)
        return {"good_reward": up, "bad_reward": down, "drift": sums.squares / max(1, sums.tokens)}


class Verdicts:
    """Single verdicts as tokens, each prompt once more with the answer to another; and the reference's ln p of both."""

    def __init__(self, tuner: FromReference, verdicts: Sequence[Unpaired], observer: Observer) -> None:
        fit, partner = tuner.fitter.fit, _partners(verdicts, tuner.config.seed)
        self.good = [verdict.good for verdict in verdicts]
        self.answers = [Answers(fit(one.prompt, [one.completion]), weight=one.weight) for one in verdicts]
        self.mismatched = [
            Answers(fit(one.prompt, [verdicts[other].completion])) for one, other in zip(verdicts, partner, strict=True)
        ]
        self.reference = tuner.reference(self.answers, observer)
        self.mismatched_reference = tuner.reference(self.mismatched, observer)


def _partners(verdicts: Sequence[Unpaired], seed: int) -> list[int]:
    """For each verdict one to another prompt: the next such in a shuffled round. Itself where all prompts are one."""
    partner = list(range(len(verdicts)))
    if len({verdict.prompt for verdict in verdicts}) < 2:
        return partner
    round_ = reading_order(0, len(verdicts), len(verdicts), seed).tolist()
    for place, number in enumerate(round_):
        later = (round_[(place + step) % len(round_)] for step in range(1, len(round_)))
        partner[number] = next((other for other in later if verdicts[other].prompt != verdicts[number].prompt), number)
    return partner


def _weights(train: Sequence[Unpaired]) -> tuple[float, float]:
    """Of good and of bad answers, so that both kinds weigh the same in all (Ethayarajh et al. 2024, equation 9).

    Raises ValueError where one kind is missing.
    """
    good = sum(one.good for one in train)
    bad = len(train) - good
    if not good or not bad:
        raise ValueError(f"{good:,} good and {bad:,} bad answers to learn from; KTO needs both.")
    return max(1.0, bad / good), max(1.0, good / bad)


def tokens_of(answers: Sequence[Answers]) -> int:
    return sum(len(one.tokens) for several in answers for one in several.encoded)


def default_lr(dim: int) -> float:
    """Falls with the width, as `trainer.sft`'s does, and is a tenth of it."""
    return 0.0128 / dim


def dpo(config: DpoConfig, observer: Observer | None = None) -> Result:
    """Trains `config.model` on comparisons (DPO) or single verdicts (KTO); a run found in `config.output` is resumed.

    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    tuner: Dpo | Kto
    read: records.Records[Unpaired] | records.Records[Ranking]
    if _unpaired(config):
        read = verdicts = records.read_unpaired(config.data)
        tuner = Kto(config, *records.split(verdicts, config.held_out), records.digest(verdicts), observer)
        facts = _kto_facts(tuner)
        count = len(tuner.train.answers)
    else:
        read = comparisons = records.read_comparisons(config.data)
        tuner = Dpo(config, *records.split(comparisons, config.held_out), records.digest(comparisons), observer)
        facts = _dpo_facts(tuner)
        count = len(tuner.train)
    for note in (*read.notes, *tuner.fitter.notes(), *_notes(config, tuner, read.duplicates)):
        observer.note(note)
    steps = steps_of(config, count, tuner.rows, EPOCHS)
    facts.append(("steps", f"{steps:,} of {tuner.rows} prompts = {steps * tuner.rows / count:.2f} epochs"))
    return run(tuner, steps, facts, observer, {"batch": tuner.rows})


def _unpaired(config: DpoConfig) -> bool:
    """What the first row is, all must be; the readers say which row is not."""
    rows = (row for file in find_files(config.data) for row in read_rows(file, Limits()))
    first = next((row for row in rows if not isinstance(row, Rejected)), None)
    return first is not None and kind_of(first.fields) == "unpaired"


def _notes(config: DpoConfig, tuner: Dpo | Kto, duplicates: int) -> list[str]:
    notes = []
    if duplicates:
        notes.append(f"{duplicates:,} records are there more than once and read once.")
    if isinstance(tuner, Kto) and (config.label_smoothing or config.sft_coefficient):
        notes.append("the data are single verdicts: label_smoothing and sft_coefficient are DPO's and not used.")
    if not (tuner.held_out if isinstance(tuner, Dpo) else tuner.held_out.answers):
        notes.append("nothing is held out: no held-out loss; the last checkpoint counts as the best.")
    return notes


def _dpo_facts(tuner: Dpo) -> list[tuple[str, str]]:
    train, held_out, config = tuner.train, tuner.held_out, tuner.settings
    pairs = sum(len(one.pairs) for one in train)
    options = [f"beta {config.beta:g}"]
    options += [f"label smoothing {config.label_smoothing:g}"] if config.label_smoothing else []
    options += ["length-normalised"] if config.length_normalised else []
    options += [f"imitation {config.sft_coefficient:g}"] if config.sft_coefficient else []
    return [
        ("comparisons", f"{len(train):,} prompts, {pairs:,} pairs, {tokens_of(train):,} tokens"),
        ("held out", f"{len(held_out):,} prompts, {sum(len(one.pairs) for one in held_out):,} pairs"),
        ("DPO", ", ".join(options)),
    ]


def _kto_facts(tuner: Kto) -> list[tuple[str, str]]:
    good, bad = sum(tuner.train.good), len(tuner.train.good) - sum(tuner.train.good)
    weights = f"weights {tuner.good_weight:.3g} and {tuner.bad_weight:.3g}"
    return [
        ("verdicts", f"{good:,} good and {bad:,} bad answers, {tokens_of(tuner.train.answers):,} tokens"),
        ("held out", f"{len(tuner.held_out.good):,} answers"),
        ("KTO", f"beta {tuner.settings.beta:g}, {weights}"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(DpoConfig, "corpuscle train dpo", "Learn from preferences directly.", arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        result = dpo(config, Screen(console))
    except (DivergedError, OSError, ValueError) as error:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
        errors.print(f"[red]error:[/] {escape(told)}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print(f"stopped; {where_it_goes_on(config.output)}", highlight=False, soft_wrap=True)
        return 130
    console.print(f"best checkpoint {escape(str(result.checkpoint))} ({result.seconds:,.0f} s)", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
