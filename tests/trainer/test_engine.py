import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import engine as engine_module
from trainer.engine import Engine, Request, Written
from trainer.model import Llama, ModelConfig
from trainer.sampling import GREEDY, Sampling

CONFIG = ModelConfig(31, 24, 2, 6, 2, 40, 64)


def lively(config: ModelConfig = CONFIG) -> Llama:
    model, generator = Llama(config), torch.Generator().manual_seed(3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.3, generator=generator)
    return model


def written(
    model: Llama,
    prompts: list[list[int]],
    number: int,
    sampling: Sampling = GREEDY,
    stop: set[int] | None = None,
    rows: int = 64,
) -> list[list[int]]:
    engine = Engine(model, rows)
    numbers = [
        engine.add(Request(prompt, number, sampling, stop or set(), stream)) for stream, prompt in enumerate(prompts)
    ]
    texts: dict[int, list[int]] = {number: [] for number in numbers}
    for step in engine.run():
        for event in step:
            if event.finish != "stop":
                texts[event.request].append(event.token)
    return [texts[number] for number in numbers]


@torch.no_grad()
def without_cache(model: Llama, prompt: list[int], number: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(number):
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_with_a_cache_the_same_is_written_as_without() -> None:
    model = lively()
    assert written(model, [[1, 5, 7]], 40) == [without_cache(model, [1, 5, 7], 40)]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0, top_p=1.0, seed=4)])
def test_rows_of_different_lengths_do_not_disturb_each_other(sampling: Sampling) -> None:
    model, prompts = lively(), [[1, 2, 3, 4, 5, 6], [1], [1, 9, 8]]
    together = written(model, prompts, 20, sampling)
    assert [len(row) for row in together] == [20, 20, 20]
    assert together[0] == written(model, prompts[:1], 20, sampling)[0]
    if sampling is GREEDY:
        assert together == [written(model, [prompt], 20)[0] for prompt in prompts]


def test_writing_ends_before_a_stop_token_and_other_rows_go_on() -> None:
    model = lively()
    free = written(model, [[1, 5, 7], [1, 6]], 20)
    stop = free[0][4]
    ended = written(model, [[1, 5, 7], [1, 6]], 20, stop={stop})
    assert ended[0] == free[0][: free[0].index(stop)]
    assert ended[1] == (free[1][: free[1].index(stop)] if stop in free[1] else free[1])


def test_when_the_context_is_full_the_last_half_of_it_is_read_again() -> None:
    model = lively(ModelConfig(31, 24, 2, 6, 2, 40, max_seq_len=8))
    tokens = [1, 5, 7]
    for _ in range(20):
        # 8 tokens are read, then the last 4 of them and the new one, until there are 8 again.
        seen = len(tokens) if len(tokens) <= 8 else (len(tokens) - 9) % 5 + 4
        tokens += without_cache(model, tokens[-seen:], 1)
    assert written(model, [[1, 5, 7]], 20) == [tokens[3:]]
    assert len(written(model, [list(range(30))], 3)[0]) == 3


def test_the_seed_decides_what_is_written() -> None:
    model = lively()
    one, again, other = (written(model, [[1]], 30, Sampling(temperature=1.0, seed=seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_a_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="begin it with the vocabulary's BOS"):
        written(lively(), [[1], []], 1)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(0, 6)), min_size=1, max_size=9),
    st.integers(1, 4),
    st.sampled_from([3, 512]),
)
def test_what_a_request_gets_does_not_depend_on_when_it_joins_or_whom_it_meets(
    requests: list[tuple[int, int, int]], rows: int, piece: int
) -> None:
    model = lively()
    engine_module.PIECE = piece  # short ones, so that a prompt of 40 tokens is read in many
    engine, got, waiting, alone = Engine(model, rows), dict[int, list[int]](), list(enumerate(requests)), []
    numbers: dict[int, int] = {}
    time = 0
    while engine.busy or waiting:
        for index, (length, most, join) in list(waiting):
            if join <= time:
                prompt = [(index * 7 + place * 3) % 30 + 1 for place in range(length)]
                numbers[index] = engine.add(Request(prompt, most, GREEDY, {4}))
                waiting.remove((index, (length, most, join)))
        for event in engine.step():
            got.setdefault(event.request, []).append(event.token)
        time += 1
    engine_module.PIECE = 512
    for index, (length, most, _) in enumerate(requests):
        prompt = [(index * 7 + place * 3) % 30 + 1 for place in range(length)]
        alone = [
            event.token for step in _engine_with(model, Request(prompt, most, GREEDY, {4})).run() for event in step
        ]
        assert got[numbers[index]] == alone


def _engine_with(model: Llama, request: Request) -> Engine:
    engine = Engine(model, 1)
    engine.add(request)
    return engine


def test_the_last_token_says_why_it_is_the_last() -> None:
    model = lively()
    events = [event for step in _engine_with(model, Request([1, 5], 6, GREEDY)).run() for event in step]
    assert [event.finish for event in events] == [None] * 5 + ["length"]
    stop = events[2].token
    first = next(place for place, event in enumerate(events) if event.token == stop)
    events = [event for step in _engine_with(model, Request([1, 5], 6, GREEDY, {stop})).run() for event in step]
    assert [event.finish for event in events] == [None] * first + ["stop"]
    assert events[-1].token == stop


def test_logprobs_are_the_models_own_whatever_the_sampling() -> None:
    model = lively()
    sampling = Sampling(temperature=3.0, top_k=5, seed=2)
    events = [event for step in _engine_with(model, Request([1, 5, 7], 12, sampling)).run() for event in step]
    tokens = [1, 5, 7, *[event.token for event in events]]
    with torch.no_grad():
        logprobs = model(torch.tensor([tokens])).log_softmax(-1)[0, 2:-1]
    expected = logprobs[torch.arange(12), torch.tensor(tokens[3:])]
    torch.testing.assert_close(torch.tensor([event.logprob for event in events]), expected, rtol=1e-4, atol=1e-4)


def test_a_cancelled_request_makes_room_and_gets_no_more() -> None:
    model = lively()
    engine = Engine(model, 1)
    first, second = engine.add(Request([1], 50, GREEDY)), engine.add(Request([2, 3], 5, GREEDY))
    assert [event.request for event in engine.step()] == [first]
    engine.cancel(first)
    engine.cancel(first)
    events: list[Written] = [event for step in engine.run() for event in step]
    assert [event.request for event in events] == [second] * 5
    assert [event.token for event in events] == written(model, [[2, 3]], 5)[0]


def test_a_long_prompt_is_read_while_others_go_on_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PIECE", 8)
    engine = Engine(lively(), 2)
    short = engine.add(Request([1], 20, GREEDY))
    engine.step()
    long = engine.add(Request([index % 30 + 1 for index in range(40)], 3, GREEDY))
    steps = [{event.request for event in engine.step()} for _ in range(4)]
    assert steps == [{short}, {short}, {short}, {short, long}]


def test_no_setting_can_leave_nothing_to_draw_from() -> None:
    for sampling in (Sampling(temperature=1e-40), Sampling(temperature=1e-5), Sampling(top_p=1e-50)):
        assert written(lively(), [[1, 5]], 5, sampling) == written(lively(), [[1, 5]], 5)
