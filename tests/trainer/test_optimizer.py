import itertools

import pytest
import torch

from trainer.model import Llama, ModelConfig
from trainer.optimizer import adamw, learning_rate, load_state_tensors, state_tensors

CONFIG = ModelConfig(31, 24, 2, 6, 2, 40, 16)


def rates(schedule: str, steps: int = 100, warmup: int = 10) -> list[float]:
    return [learning_rate(step, steps, 1.0, warmup, schedule, 0.1) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_rate_rises_in_equal_steps_to_its_peak_and_falls_to_its_end(schedule: str) -> None:
    course = rates(schedule)
    assert course[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert max(course) == 1.0
    assert 0.1 < course[-1] < 0.15
    assert learning_rate(100, 100, 1.0, 10, schedule, 0.1) == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in itertools.pairwise(course[9:]))


def test_cosine_is_half_way_down_half_way_through() -> None:
    assert learning_rate(55, 100, 1.0, 10, "cosine", 0.1) == pytest.approx(0.55)


def test_wsd_stays_at_its_peak_until_the_last_fifth() -> None:
    course = rates("wsd")
    assert course[10:81] == [1.0] * 71
    assert course[81] == pytest.approx(0.1 + 0.9 * 19 / 20)


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 0), (3, 3)])
def test_the_shortest_runs_have_rates_too(schedule: str, steps: int, warmup: int) -> None:
    assert all(0 < rate <= 1 for rate in rates(schedule, steps, warmup))


def test_matrices_decay_and_norms_do_not() -> None:
    model = Llama(CONFIG)
    optimizer = adamw(model, lr=0.1, weight_decay=0.5)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)  # no gradient: what moves is decay
    optimizer.step()
    for name, weight in model.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if weight.dim() == 2 else before[name]
        torch.testing.assert_close(weight.detach(), expected)


def test_the_state_goes_through_names_and_back() -> None:
    def trained(model: Llama, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            tokens = torch.randint(31, (2, 9), generator=torch.Generator().manual_seed(step))
            model(tokens[:, :-1], tokens[:, 1:]).backward()
            optimizer.step()
            optimizer.zero_grad()

    straight = Llama(CONFIG)
    optimizer = adamw(straight, 0.01, 0.1)
    trained(straight, optimizer, range(3))
    resumed = Llama(CONFIG, seed=9)
    resumed.load_state_dict(straight.state_dict())
    fresh = adamw(resumed, 0.01, 0.1)
    load_state_tensors(
        resumed, fresh, {name: value.clone() for name, value in state_tensors(straight, optimizer).items()}
    )
    trained(straight, optimizer, range(3, 6))
    trained(resumed, fresh, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))
    assert "exp_avg.model.norm.weight" in state_tensors(straight, optimizer)
