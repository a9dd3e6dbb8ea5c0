"""`corpuscle train ...`: one command a stage. Options and messages are the trainer's own, as on a bare GPU image."""

from collections.abc import Callable, Mapping
from importlib import import_module

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # the help of the stages, which bare GPU images show too, has no boxes either
    help="Train a model: pre-train, fine-tune, learn from comparisons and rewards.",
)

STAGES = {
    "pretrain": ("trainer.pretrain", "Pre-train a model on a corpus's shards."),
    "sft": ("trainer.align.sft", "Fine-tune on conversations with ideal answers."),
    "reward": ("trainer.align.reward", "Train a reward model on comparisons of answers."),
    "dpo": ("trainer.align.preference.command", "Learn from comparisons (DPO) or single verdicts (KTO) directly."),
    "rl": ("trainer.align.rl.command", "Reinforcement learning (GRPO, PPO) by rewards."),
    "improve": ("trainer.align.improve", "Rounds of answering, checking and fine-tuning (STaR)."),
    "assistant": ("trainer.align.assistant", "All of it: sft, reward, rl, and a report."),
    "inspect": ("trainer.records.inspect", "Show training data as the model sees them."),
    "convert": ("trainer.records.convert", "Convert data from ShareGPT, Alpaca, HH-RLHF and others."),
    "task": ("trainer.measure.tasks", "Write a generated task whose answers can be verified."),
}


def _command(module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        raise typer.Exit(import_module(module).main(list(context.args)))

    return command


BESIDE = {
    "evaluate": ("trainer.align.evaluate", "How often a model answers right, with one try and several."),
    "redteam": ("trainer.redteam.command", "Attack a model: the rate of success by family."),
}
"""Commands of the trainer's that train nothing."""


def add_commands(target: typer.Typer, commands: Mapping[str, tuple[str, str]]) -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name, (module, text) in commands.items():
        target.command(name, help=text, add_help_option=False, context_settings=passed_on)(_command(module))


add_commands(app, STAGES)
