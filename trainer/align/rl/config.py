"""What reinforcement learning can be asked to do, and which of it does not go together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from trainer.config import TuneConfig

ALGORITHMS = ("grpo", "ppo")


@dataclass(frozen=True, kw_only=True)
class RlConfig(TuneConfig):
    """`data` are prompts: `prompt`, and `answer` where a verifier needs the right one."""

    algorithm: Annotated[str, f"{' or '.join(ALGORITHMS)}: how an answer's reward becomes its advantage"] = "grpo"
    verifier: Annotated[str | None, "what checks answers: exact, number, choice, json, format:PATTERN"] = None
    verifier_weight: Annotated[float, "of its verdict, 0 or 1, in the reward"] = 1.0
    reward: Annotated[Path | None, "a reward model's checkpoint or run folder"] = None
    reward_weight: Annotated[float, "of its score, in standard deviations of the start model's, in the reward"] = 1.0
    prompts: Annotated[int, "prompts a step"] = 16
    samples: Annotated[int, "answers to each prompt"] = 8
    max_new_tokens: Annotated[int, "longest answer in tokens; one that has not ended there gets the least reward"] = 128
    temperature: Annotated[float, "at which answers are drawn"] = 1.0
    inner_epochs: Annotated[int, "how often a step's answers are learnt from"] = 1
    minibatches: Annotated[int, "updates in each of these"] = 1
    clip_low: Annotated[float, "how far below 1 a token's probability ratio is followed"] = 0.2
    clip_high: Annotated[float, "how far above 1"] = 0.2
    kl_coef: Annotated[float, "cost of parting from the start model: GRPO in its loss, PPO in its rewards"] = 0.0
    kl_limit: Annotated[float, "stop where the KL from the start model passes this, in nats an answer"] = 10.0
    normalise: Annotated[str, "token: all tokens weigh the same; sequence: all answers"] = "token"
    unscaled: Annotated[bool, "GRPO: don't divide advantages by their deviation in the group"] = False
    gamma: Annotated[float, "PPO: what a reward is worth one token earlier"] = 1.0
    lam: Annotated[float, "PPO: 0 trusts the value model, 1 the rewards"] = 0.95
    value_coef: Annotated[float, "PPO: weight of the value model's loss"] = 0.1
    eval_prompts: Annotated[int, "most held-out prompts of an evaluation"] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f'--algorithm is "{self.algorithm}"; expected {" or ".join(ALGORITHMS)}.')
        if self.normalise not in ("token", "sequence"):
            raise ValueError(f'--normalise is "{self.normalise}"; expected token or sequence.')
        if self.verifier is None and self.reward is None:
            raise ValueError("nothing says which answers are good; give --verifier, --reward, or both.")
        if self.algorithm == "grpo" and self.samples < 2:
            raise ValueError(f"--samples is {self.samples}; GRPO compares answers to one prompt and needs at least 2.")
        self.at_least(1, "prompts", "samples", "max_new_tokens", "inner_epochs", "minibatches", "eval_prompts")
        self.at_least(0, "kl_coef", "value_coef", "verifier_weight", "reward_weight")
        self.positive("temperature", "clip_low", "clip_high", "kl_limit")
        self.share("gamma", "lam")
        if self.minibatches > self.prompts * self.samples:
            raise ValueError(f"--minibatches is {self.minibatches}, more than the answers of a step; ask for fewer.")
