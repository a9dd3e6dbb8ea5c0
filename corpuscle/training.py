"""`corpuscle train ...`: one command a stage. Options and messages are the trainer's own, as on a bare GPU image."""

from collections.abc import Callable, Mapping
from importlib import import_module

import typer

app = typer.Typer(no_args_is_help=True, help="Train a model: pre-train, fine-tune, learn from comparisons and rewards.")

STAGES = {
    "pretrain": ("trainer.pretrain", "Pre-train a model on a corpus's shards."),
    "sft": ("trainer.sft", "Fine-tune on demonstrations: conversations with ideal answers."),
    "reward": ("trainer.reward", "Train a reward model on comparisons of answers."),
    "dpo": ("trainer.preference", "Learn from comparisons directly (DPO), or from good and bad answers (KTO)."),
    "rl": ("trainer.rl", "Reinforcement learning (GRPO, PPO) with a reward model or verifiable answers."),
    "improve": ("trainer.improve", "Rounds of rejection sampling and fine-tuning on verifiable tasks."),
    "assistant": ("trainer.assistant", "All of it: sft, reward, rl and evaluation, with a report."),
    "inspect": ("trainer.inspect", "Show training data as the model sees them, the trained tokens coloured."),
    "convert": ("trainer.convert", "Convert data from ShareGPT, Alpaca, HH-RLHF, OASST and the like."),
    "task": ("trainer.tasks", "Write a generated task whose answers can be verified."),
}


def _command(module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        arguments = list(context.args)
        if module == "trainer.pretrain" and arguments and not arguments[0].startswith("-"):
            arguments[:1] = ["--data", arguments[0]]
        raise typer.Exit(import_module(module).main(arguments))

    return command


BESIDE = {
    "evaluate": ("trainer.evaluate", "How often a model answers right, with one try and with several."),
    "redteam": ("trainer.redteam.command", "Attack a model: jailbreaks, injections, triggers; the rate a family."),
}
"""Commands of the trainer's that train nothing."""


def add_commands(target: typer.Typer, commands: Mapping[str, tuple[str, str]]) -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name, (module, text) in commands.items():
        target.command(name, help=text, add_help_option=False, context_settings=passed_on)(_command(module))


add_commands(app, STAGES)
