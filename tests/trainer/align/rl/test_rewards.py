from pathlib import Path

import pytest
import torch

from trainer.align.reward import Scorer
from trainer.align.rl.rewards import MODEL, UNFINISHED, VERIFIER, Judge
from trainer.records import Prompt
from trainer.records.kinds import prompt
from trainer.talk.conversation import Message


def asks(answer: str = "4") -> Prompt:
    return prompt([Message("user", "2 + 2?")], answer)


def says(*texts: str) -> list[Message]:
    return [Message("assistant", text) for text in texts]


def test_an_unfinished_answer_is_never_right() -> None:
    found = Judge("number", 2.0).scores([asks()] * 3, says("4", "4", "5"), [True, False, True])
    assert found.total.tolist() == [2.0, 0.0, 0.0]


def test_a_reward_model_counts_from_the_start_model_s_mean(reward_model: Path) -> None:
    scorer = Scorer(reward_model, "cpu")
    judge = Judge("number", 1.0, scorer, 0.5)
    texts = ["4", "the river", "old house", "0"]
    judge.calibrate([asks()] * 4, says(*texts))
    found = judge.scores([asks()] * 5, says(*texts, "4"), [True] * 4 + [False])
    assert found.parts[MODEL][:4].mean().item() == pytest.approx(0, abs=1e-5)
    assert found.parts[MODEL][:4].std().item() == pytest.approx(1, abs=1e-5)
    assert found.parts[MODEL][4] == UNFINISHED
    assert found.parts[VERIFIER].tolist() == [1, 0, 0, 0, 0]
    torch.testing.assert_close(found.total, found.parts[VERIFIER] + 0.5 * found.parts[MODEL])


def test_no_answer_gains_by_never_ending(reward_model: Path) -> None:
    judge = Judge(None, scorer=Scorer(reward_model, "cpu"))
    judge.mean, judge.deviation = 1e6, 1.0
    assert judge.scores([asks()] * 2, says("4", "4"), [True, False]).total.tolist() == [UNFINISHED] * 2
