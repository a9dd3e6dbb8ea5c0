"""From a corpus and what people wrote to an assistant, by one command: pretrain, sft, reward, rl, and a report.

The order is InstructGPT's (Ouyang et al. 2022). Each stage has a folder in the output and is what its own command
makes; so a stopped run goes on where it was, and a stage can be looked at, or made again, by itself.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape

from trainer import records
from trainer.assistant_report import Stage, table, write_page
from trainer.assistant_report import judge as judge_stages
from trainer.checkpoint import find, point, read_about, write_whole
from trainer.config import PretrainConfig, from_arguments
from trainer.conversation import to_json
from trainer.optimizer import DivergedError
from trainer.pretrain import pretrain
from trainer.progress import Observer, Screen, Silent
from trainer.records import Prompt
from trainer.reward import RewardConfig, reward
from trainer.rl import RlConfig, rl
from trainer.sft import SftConfig, sft
from trainer.verify import verifier

REPORT, PAGE, PROMPTS = "report.json", "report.html", "prompts.jsonl"


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
            raise ValueError("give a corpus to pre-train on or a base model to start from, and not both.")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; the report needs prompts: a share between 0 and 1.")
        if self.verifier is not None:
            verifier(self.verifier)


@dataclass(frozen=True)
class Assistant:
    """What came of it: the checkpoint to serve, and the stages beside one another."""

    checkpoint: Path
    stages: tuple[Stage, ...]


def assistant(config: AssistantConfig, observer: Observer | None = None) -> Assistant:
    """Runs the stages that are not done yet; leaves them, report.json and report.html in `config.output`.

    Raises what the stages raise: FileNotFoundError or ValueError where something given is not usable.
    """
    observer = observer or Silent()
    # What people wrote is read first: a typo in it should not wait for the end of a pre-training.
    prompts = _prompts(config)
    train, held_out = records.split(prompts, config.held_out)
    if not held_out:
        raise ValueError(
            f"of {len(prompts):,} prompts none is held out at a share of {config.held_out}; give more, or a larger one."
        )
    config.output.mkdir(parents=True, exist_ok=True)
    practice = config.output / PROMPTS
    _write_prompts(practice, prompts)
    common: dict[str, Any] = {"held_out": config.held_out, "seed": config.seed, "device": config.device}

    if config.model is None:
        assert config.corpus is not None
        observer.note("stage 1 of 4: pre-training the base model")
        settings = PretrainConfig(
            data=config.corpus,
            output=config.output / "base",
            model=config.base,
            minutes=config.minutes,
            seed=config.seed,
            device=config.device,
        )
        base = pretrain(settings, observer).checkpoint
    else:
        base = find(config.model)
    observer.note("stage 2 of 4: fine-tuning on the demonstrations")
    tuned = sft(
        SftConfig(
            model=base, data=config.demonstrations, output=config.output / "sft", epochs=config.sft_epochs, **common
        ),
        observer,
    ).checkpoint
    observer.note("stage 3 of 4: a reward model from the comparisons")
    rewarded = reward(
        RewardConfig(
            model=tuned, data=config.comparisons, output=config.output / "reward", epochs=config.reward_epochs, **common
        ),
        observer,
    ).checkpoint
    observer.note("stage 4 of 4: reinforcement learning")
    trained = rl(
        RlConfig(
            model=tuned,
            data=(practice,),
            output=config.output / "rl",
            reward=rewarded,
            verifier=config.verifier,
            steps=config.rl_steps,
            algorithm=config.algorithm,
            max_new_tokens=config.max_new_tokens,
            **common,
        ),
        observer,
    ).checkpoint
    observer.note(f"every stage answers {len(held_out):,} prompts that none of them has seen")
    stages = judge_stages(
        {"base": base, "sft": tuned, "rl": trained},
        rewarded,
        held_out,
        config.verifier,
        config.max_new_tokens,
        config.device,
    )
    found = {
        "stages": [stage.as_json() for stage in stages],
        "reward_model": {"id": read_about(rewarded).id, "metrics": read_about(rewarded).metrics},
        "prompts": {"practised on": len(train), "held out": len(held_out)},
    }
    write_whole(config.output / REPORT, json.dumps(found, indent=1) + "\n")
    write_page(config.output / PAGE, stages, read_about(rewarded).metrics)
    point(config.output, trained)
    return Assistant(trained, tuple(stages))


def _prompts(config: AssistantConfig) -> list[Prompt]:
    """What to practise on: the prompts that are given, or those of demonstrations and comparisons, each once."""
    if config.prompts:
        return list(records.read_prompts(config.prompts))
    if config.verifier is not None:
        raise ValueError(f"the verifier {config.verifier} needs prompts with their answers; give them as prompts.")
    shown = [one.prompt for one in records.read_demonstrations(config.demonstrations)]
    compared = [one.prompt for one in records.read_comparisons(config.comparisons)]
    made = [records.kinds.prompt(messages) for messages in (*shown, *compared)]
    return list({one.id: one for one in made}.values())


def _write_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    rows = [
        {"prompt": to_json(one.messages), **({} if one.answer is None else {"answer": one.answer})} for one in prompts
    ]
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    config = from_arguments(
        AssistantConfig, "corpuscle train assistant", "From a base model to an assistant, all stages.", arguments
    )
    console, errors = Console(), Console(stderr=True)
    try:
        result = assistant(config, Screen(console))
    except (DivergedError, FileNotFoundError, ValueError) as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from the last checkpoint.")
        return 130
    console.print(table(result.stages))
    console.print(f"report     {escape(str(config.output / PAGE))}", soft_wrap=True)
    console.print(f"assistant  {escape(str(result.checkpoint))}", soft_wrap=True)
    if read_about(result.checkpoint).step == 0:
        console.print("note: reinforcement learning found nothing better than the fine-tuned model, which is kept.")
    console.print(f"talk to it: corpuscle serve {escape(str(config.output))}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
