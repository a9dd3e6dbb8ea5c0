"""From a corpus and what people wrote to an assistant, by one command: pretrain, sft, reward, rl, and a report.

The order is InstructGPT's (Ouyang et al. 2022). Each stage has a folder in the output and is what its own command
makes; so a stopped run goes on where it was, and a stage can be looked at, or made again, by itself.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape

from pipeline.tokenize.reader import ShardSet
from trainer import records
from trainer.align.assistant_report import Stage, table, write_page
from trainer.align.assistant_report import judge as judge_stages
from trainer.align.reward import RewardConfig, reward
from trainer.align.rl.command import rl
from trainer.align.rl.config import RlConfig
from trainer.align.sft import SftConfig, sft
from trainer.arguments import from_arguments
from trainer.checkpoint import find, point, read_about, write_whole
from trainer.config import PretrainConfig, option
from trainer.loop import check_settings
from trainer.measure.questions import read_questions
from trainer.measure.tasks import write as write_rows
from trainer.measure.verify import verifier
from trainer.output import RUN, prepare_output
from trainer.preset import preset
from trainer.pretrain import pretrain
from trainer.progress import Observer, Silent
from trainer.records import Prompt
from trainer.stage import run_stage
from trainer.talk.conversation import to_json

REPORT, PAGE, PROMPTS = "report.json", "report.html", "prompts.jsonl"

STAGES = {
    "base": ("corpus_sha256", "base", "minutes"),
    "sft": ("model", "demonstrations_sha256", "sft_epochs"),
    "reward": ("comparisons_sha256", "reward_epochs"),
    "rl": ("prompts_sha256", "verifier", "algorithm", "rl_steps", "max_new_tokens"),
}
"""The stages' folders, and the settings that each one adds to those of the stages before."""

COMMON = ("held_out", "seed")
"""The settings that all stages have."""


@dataclass(frozen=True, kw_only=True)
class AssistantConfig:
    """Give `corpus`, and a base model is pre-trained on it, or `model`, and that is the base."""

    demonstrations: Annotated[tuple[Path, ...], "conversations with ideal answers: JSONL or Parquet, or folders"]
    comparisons: Annotated[tuple[Path, ...], "prompts with a better and a worse answer, or rankings"]
    output: Annotated[Path, "folder for all stages and the report; a run found in it is resumed"]
    corpus: Annotated[Path | None, "folder of a finished `corpuscle run`, to pre-train the base model on"] = None
    model: Annotated[Path | None, "or a base model: its folder, or a run's output folder"] = None
    base: Annotated[str, "preset or shape of the base model that is pre-trained"] = "nano"
    minutes: Annotated[float, "how long it is pre-trained"] = 5.0
    prompts: Annotated[tuple[Path, ...], "prompts to practise on; by default those of the other two"] = ()
    verifier: Annotated[str | None, "what checks answers to prompts that have one: number, exact, choice, ..."] = None
    rl_steps: Annotated[int, "how many steps of reinforcement learning"] = 100
    algorithm: Annotated[str, "grpo or ppo"] = "grpo"
    max_new_tokens: Annotated[int, "longest answer in tokens"] = 64
    held_out: Annotated[float, "share of the prompts that nothing is trained on, and that the report is about"] = 0.1
    sft_epochs: Annotated[float | None, "how often the demonstrations are read; sft's own number by default"] = None
    reward_epochs: Annotated[float | None, "how often the comparisons are; reward's own number by default"] = None
    seed: Annotated[int, "of everything that is drawn"] = 0
    device: Annotated[str, "auto, cuda, cpu or another name that PyTorch knows; auto prefers CUDA"] = "auto"

    def __post_init__(self) -> None:
        if (self.corpus is None) == (self.model is None):
            raise ValueError("give --corpus, to pre-train on, or --model, to start from, and not both.")
        if not 0 < self.held_out < 1:
            raise ValueError(f"--held-out is {self.held_out}; the report needs prompts: a share between 0 and 1.")
        preset(self.base)
        if self.verifier is not None:
            verifier(self.verifier)
            if not self.prompts:
                raise ValueError(
                    f"--verifier {self.verifier} needs prompts with their right answers; give them by --prompts."
                )


@dataclass(frozen=True)
class Assistant:
    """What came of it: the checkpoint to serve, the stages beside one another, and the page that shows them."""

    checkpoint: Path
    stages: tuple[Stage, ...]
    page: Path


@dataclass(frozen=True)
class Made:
    """The stages' checkpoints."""

    base: Path
    sft: Path
    reward: Path
    rl: Path


def assistant(config: AssistantConfig, observer: Observer | None = None) -> Assistant:
    """Runs the stages that are not done yet; leaves them, report.json and report.html in `config.output`.

    Raises what the stages raise: FileNotFoundError or ValueError where something given is not usable.
    """
    observer = observer or Silent()
    # What people wrote is read first: a typo in it should not wait for the end of a pre-training.
    given = _read(config)
    prompts = given.prompts
    train, held_out = records.split(prompts, config.held_out)
    if not held_out:
        raise ValueError(
            f"of {len(prompts):,} prompts none is held out by --held-out {config.held_out}; give more, or a larger one."
        )
    prepare_output(config.output, tuple(STAGES))
    _record(config, given.digests)
    write_rows(config.output / PROMPTS, [_row(one) for one in prompts])
    made = _train(config, observer)
    observer.note(f"every stage answers {len(held_out):,} prompts that none of them has seen")
    models = {"base": made.base, "sft": made.sft, "rl": made.rl}
    stages = judge_stages(models, made.reward, held_out, config.verifier, config.max_new_tokens, config.device)
    about = read_about(made.reward)
    found = {
        "stages": [stage.as_json() for stage in stages],
        "reward_model": {"id": about.id, "metrics": about.metrics},
        "prompts": {"practised on": len(train), "held out": len(held_out)},
    }
    write_whole(config.output / REPORT, json.dumps(found, indent=1) + "\n")
    point(config.output, made.rl)
    page = config.output / PAGE
    write_page(page, stages, about.metrics, _settings(config), f"corpuscle serve {config.output}")
    return Assistant(made.rl, tuple(stages), page)


def _train(config: AssistantConfig, observer: Observer) -> Made:
    """Each stage from the one before, in a folder of its own; those that are done are found done."""
    output = config.output
    common: dict[str, Any] = {"held_out": config.held_out, "seed": config.seed, "device": config.device}
    if config.model is None:
        assert config.corpus is not None
        observer.note("stage 1 of 4: pre-training the base model")
        settings = {"minutes": config.minutes, "seed": config.seed, "device": config.device}
        base = pretrain(
            PretrainConfig(data=config.corpus, output=output / "base", model=config.base, **settings),  # type: ignore[arg-type]
            observer,
        ).checkpoint
    else:
        base = find(config.model)
    observer.note("stage 2 of 4: fine-tuning on the demonstrations")
    shown = SftConfig(model=base, data=config.demonstrations, output=output / "sft", epochs=config.sft_epochs, **common)
    tuned = sft(shown, observer).checkpoint
    observer.note("stage 3 of 4: a reward model from the comparisons")
    compared = RewardConfig(
        model=tuned, data=config.comparisons, output=output / "reward", epochs=config.reward_epochs, **common
    )
    rewarded = reward(compared, observer).checkpoint
    observer.note("stage 4 of 4: reinforcement learning")
    practised = RlConfig(
        model=tuned,
        data=(output / PROMPTS,),
        output=output / "rl",
        reward=rewarded,
        verifier=config.verifier,
        steps=config.rl_steps,
        algorithm=config.algorithm,
        max_new_tokens=config.max_new_tokens,
        **common,
    )
    return Made(base, tuned, rewarded, rl(practised, observer).checkpoint)


@dataclass(frozen=True)
class Given:
    """What to practise on, and what tells whether a run had the same data."""

    prompts: Sequence[Prompt]
    digests: Mapping[str, str | None]


def _read(config: AssistantConfig) -> Given:
    """All that is given. The prompts are those of --prompts, or of demonstrations and comparisons, each once."""
    shown, compared = records.read_demonstrations(config.demonstrations), records.read_comparisons(config.comparisons)
    if config.prompts:
        prompts = list(read_questions(config.prompts, config.verifier))
    else:
        asked = [*(one.prompt for one in shown), *(one.prompt for one in compared)]
        made = [records.kinds.prompt(messages) for messages in asked]
        prompts = list({one.id: one for one in made}.values())
    corpus = ShardSet(config.corpus).manifest.read_bytes() if config.corpus is not None else None
    digests = {
        "corpus_sha256": hashlib.sha256(corpus).hexdigest() if corpus is not None else None,
        "model": read_about(find(config.model)).id if config.model is not None else None,
        "demonstrations_sha256": records.digest(shown),
        "comparisons_sha256": records.digest(compared),
        "prompts_sha256": records.digest(prompts),
    }
    return Given(prompts, digests)


def _record(config: AssistantConfig, digests: Mapping[str, str | None]) -> None:
    """Leaves run.json: the settings as they were typed here. Raises ValueError where a stage was made with others.

    The stages would find out too, but each only when those before it are done, and by options of its own.
    """
    path = config.output / RUN
    fields = {**vars(config), **digests}
    settings = {name: fields[name] for names in (COMMON, *STAGES.values()) for name in names}
    if path.exists():
        begun = [name for stage, own in STAGES.items() if (config.output / stage / RUN).exists() for name in own]
        then = json.loads(path.read_text())["settings"]
        check_settings(path, then, {name: settings[name] for name in (*COMMON, *begun) if begun})
    write_whole(path, json.dumps({"format": 1, "settings": settings}, indent=1) + "\n")


def _row(prompt: Prompt) -> dict[str, Any]:
    return {"prompt": to_json(prompt.messages)} | ({} if prompt.answer is None else {"answer": prompt.answer})


def _settings(config: AssistantConfig) -> dict[str, str]:
    """As they are typed, those that are not given left out."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if config.model is not None:
        del fields["base"], fields["minutes"]
    return {
        option(name): " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in fields.items()
        if value not in (None, ())
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    about = "From a base model to an assistant, all stages."
    config = from_arguments(AssistantConfig, "corpuscle train assistant", about, arguments)

    def show(result: Assistant, console: Console) -> None:
        console.print(table(result.stages))
        console.print(f"report     {escape(str(result.page))}", soft_wrap=True)
        console.print(f"assistant  {escape(str(result.checkpoint))}", soft_wrap=True)
        if read_about(result.checkpoint).step == 0:
            console.print("note: reinforcement learning found nothing better than the fine-tuned model, which is kept.")
        console.print(f"talk to it: corpuscle serve {escape(str(config.output))}", soft_wrap=True)

    return run_stage(config, assistant, show)


if __name__ == "__main__":
    sys.exit(main())
