from pathlib import Path

import pytest
import torch

from tests.trainer.align.conftest import Watching
from trainer.align.rl.guard import Watch, divergence
from trainer.align.rl.rollout import Reading, Rollouts


def test_length_that_doubles_while_the_reward_rises_is_told_once(tmp_path: Path) -> None:
    watching = Watching()
    watch = Watch(tmp_path, watching)
    watch.look(0, {"reward": 0.2, "length": 4.0, "repetition": 0.0})
    watch.look(1, {"reward": 0.2, "length": 9.0, "repetition": 0.5})
    watch.look(2, {"reward": 0.3, "length": 7.9, "repetition": 0.09})
    assert watching.notes == []
    watch.look(3, {"reward": 0.3, "length": 8.0, "repetition": 0.1})
    watch.look(4, {"reward": 0.4, "length": 9.0, "repetition": 0.2})
    assert [note.split(" is ")[0] for note in watching.notes] == [
        "step 4: the answers' length",
        "step 4: the answers' repetition",
    ]


def test_divergence_by_hand() -> None:
    now, then = torch.tensor([[-1.0, -2.0, 0.0], [-3.0, 0.0, 0.0]]), torch.tensor([[-1.5, -1.0, 0.0], [-3.0, 0.0, 0.0]])
    mask = torch.tensor([[False, True, True, False], [False, True, False, False]])
    batch = Rollouts(torch.zeros(2, 4, dtype=torch.int64), mask, torch.tensor([3, 2]), mask[:, 1], ())
    found = divergence(Reading(now, now), Reading(then, then), batch)
    k3 = (torch.tensor([-0.5, 1.0, 0.0]).expm1() - torch.tensor([-0.5, 1.0, 0.0])).sum().item()
    assert found == pytest.approx({"kl": -0.25, "kl_token": -0.5 / 3, "k3": k3 / 2, "k3_token": k3 / 3})
