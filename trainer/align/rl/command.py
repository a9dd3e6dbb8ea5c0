"""`corpuscle train rl`: reinforcement learning as a run, from prompts to a checkpoint and a report of what it gained.

With the core's own dependencies alone:

    python -m trainer.align.rl.command --model OUT/sft --data prompts.jsonl --verifier number --output OUT/rl
"""

import sys

from trainer import checkpoint, records
from trainer.align.rl.config import RlConfig
from trainer.align.rl.guard import afterthoughts
from trainer.align.rl.report import Report
from trainer.align.rl.stage import Rl
from trainer.align.tuning import Judged, judged, run, steps_of, usual_notes
from trainer.arguments import from_arguments
from trainer.log import read_log
from trainer.loop import LOG
from trainer.measure.questions import read_questions
from trainer.progress import Observer, Silent
from trainer.stage import run_stage, show_report

EPOCHS = 1.0


def rl(config: RlConfig, observer: Observer | None = None) -> Judged[Report]:
    """Trains `config.model` by the rewards of its answers to the prompts in `config.data`; a run found there goes on.

    Leaves, besides what every run leaves, evaluation.json: a `Report` of the best checkpoint on what is held out.
    Raises FileNotFoundError or ValueError where model, data or settings are not usable, and DivergedError where the
    loss is not finite.
    """
    observer = observer or Silent()
    prompts = read_questions(config.data, config.verifier)
    train, held_out = records.split(prompts, config.held_out)
    tuner = Rl(config, train, held_out, records.digest(prompts), observer)
    for note in (*usual_notes(prompts, "prompts", tuner.examined, "held-out reward"), *_notes(tuner)):
        observer.note(note)
    steps = steps_of(config, len(tuner.train), tuner.prompts, EPOCHS)
    resolved: dict[str, object] = {"prompts": tuner.prompts}
    if tuner.judge.scorer is not None:
        resolved["reward"] = tuner.judge.scorer.checkpoint.about.id
    result = run(tuner, steps, _facts(tuner, steps), observer, resolved)
    for note in afterthoughts(result.step, read_log(config.output / LOG)):
        observer.note(note)
    best = checkpoint.load(result.checkpoint, device=tuner.device).model
    return judged(tuner, result, tuner.report(best), start=tuner.parent.id)


def _notes(tuner: Rl) -> list[str]:
    if not tuner.left_out:
        return []
    context = f"the context of {tuner.context:,}"
    return [f"{tuner.left_out:,} prompts leave no room for an answer in {context} and are left out."]


def _facts(tuner: Rl, steps: int) -> list[tuple[str, str]]:
    config, parts = tuner.settings, []
    if config.verifier is not None:
        parts.append(f"{config.verifier_weight:g} x verifier {config.verifier}")
    if config.reward is not None:
        parts.append(
            f"{config.reward_weight:g} x ({config.reward} - {tuner.judge.mean:.3g}) / {tuner.judge.deviation:.3g}"
        )
    answers = tuner.prompts * config.samples
    updates = config.inner_epochs * config.minibatches
    facts = [
        ("prompts", f"{len(tuner.train):,}, {len(tuner.examined):,} of {len(tuner.held_out):,} held out are examined"),
        ("reward", " + ".join(parts)),
        ("answers", f"up to {config.max_new_tokens:,} tokens, temperature {config.temperature:g}, top-p 1"),
        (config.algorithm.upper(), _method(config)),
        (
            "steps",
            f"{steps:,} of {tuner.prompts} prompts x {config.samples} = {answers:,} answers, {updates} updates each; "
            f"{steps * tuner.prompts / len(tuner.train):.2f} epochs",
        ),
    ]
    return facts


def _method(config: RlConfig) -> str:
    parts = [
        f"ratio in {1 - config.clip_low:g} .. {1 + config.clip_high:g}",
        f"KL cost {config.kl_coef:g}, limit {config.kl_limit:g} nats an answer",
        f"normalised by {config.normalise}",
    ]
    if config.algorithm == "ppo":
        parts.append(f"gamma {config.gamma:g}, lambda {config.lam:g}, value loss x {config.value_coef:g}")
    else:
        parts.append("advantages unscaled" if config.unscaled else "advantages scaled by the group's deviation")
    return ", ".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """The command line, for images without typer. Returns the exit status."""
    config = from_arguments(RlConfig, "corpuscle train rl", "Learn from rewards (GRPO, PPO).", arguments)
    return run_stage(config, rl, show_report)


if __name__ == "__main__":
    sys.exit(main())
