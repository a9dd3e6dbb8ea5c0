"""What learning from preferences can be asked to do."""

from dataclasses import dataclass
from typing import Annotated

from trainer.config import TuneConfig


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
            raise ValueError(f"--label-smoothing is {self.label_smoothing}; expected 0 or more, and less than 0.5.")
