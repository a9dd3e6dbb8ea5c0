import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer.align.losses import entropy, token_logprobs
from trainer.align.rl.rollout import Rollouts, logits_of, logprobs_of, read, repetition, rollouts
from trainer.data import key
from trainer.engine import Engine, Request
from trainer.model import Llama, ModelConfig
from trainer.sampling import Sampling
from trainer.talk.conversation import Message, Template

PROMPTS = ("What is 2 + 3?", "Name a river.", "Go")
DRAWN = Sampling(1.0, top_p=1.0, seed=5)


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(Tokenizer(train_vocabulary(["the river ran to the old house and 2 + 3 is 5"] * 20, 380)))


def make(template: Template, context: int = 48, **favours: float) -> Llama:
    """Some symbols' logits are raised; without any, ends are, so that answers have all lengths."""
    shape = ModelConfig(380, dim=16, layers=2, heads=2, kv_heads=1, hidden=32, max_seq_len=context)
    model, bias = Llama(shape, seed=3), torch.zeros(380)
    for name, favour in (favours or {"end": 5.0}).items():
        bias[template.tokenizer.controls[f"<|{name}|>"]] = favour
    plain = model.logits
    model.logits = lambda vectors: plain(vectors) + bias  # type: ignore[method-assign]
    return model


def asked(template: Template) -> list[list[int]]:
    return [template.prompt([Message("user", text)]) for text in PROMPTS]


def write(
    template: Template, model: Llama, samples: int = 4, first: int = 0, most: int = 12, rows: int = 64
) -> Rollouts:
    return rollouts(model, template, asked(template), samples, first, most, DRAWN, rows)


def test_answers_are_what_the_engine_alone_writes(template: Template) -> None:
    model = make(template)
    found = write(template, model, first=30)
    for row in range(12):
        prompt = asked(template)[row // 4]
        engine = Engine(model)
        engine.add(Request(prompt, 12, DRAWN, template.stops, key(30 + row // 4, row % 4)))
        alone = [event.token for events in engine.run() for event in events]
        assert found.tokens[row, : found.lengths[row]].tolist() == prompt + alone


def test_the_mask_is_the_answer_and_its_end(template: Template) -> None:
    found = write(template, make(template))
    assert len(set(found.lengths.tolist())) > 3
    for row in range(12):
        start, end = len(asked(template)[row // 4]), int(found.lengths[row])
        assert found.mask[row].nonzero().flatten().tolist() == list(range(start, end))
        assert set(found.tokens[row, end:].tolist()) <= {template.pad}
        assert bool(found.finished[row]) == (found.tokens[row, end - 1] == template.end)
    assert found.written.tolist() == found.mask.sum(-1).tolist()


def test_an_answer_that_is_cut_off_is_not_finished(template: Template) -> None:
    model = make(template)
    short, long = write(template, model, most=1), write(template, model, most=40)
    assert short.written.tolist() == [1] * 12
    ended_at_once = short.tokens[torch.arange(12), short.lengths - 1] == template.end
    assert short.finished.tolist() == ended_at_once.tolist()
    assert 0 < int(short.finished.sum()) < 12
    assert int(long.finished.sum()) > int(short.finished.sum())


def test_another_turn_s_beginning_is_no_end(template: Template) -> None:
    found = write(template, make(template, user=50.0))
    assert found.written.tolist() == [1] * 12
    assert not found.finished.any()


def test_an_answer_that_asks_a_tool_is_not_finished(template: Template) -> None:
    found = write(template, make(template, call=20.0, end=19.0), samples=8)
    asking = [bool(answer.calls) for answer in found.answers]
    assert any(asking)
    assert not any(ended and asks for ended, asks in zip(found.finished.tolist(), asking, strict=True))


def test_answers_depend_on_seed_place_and_sample_alone(template: Template) -> None:
    model = make(template)
    all_at_once, few = write(template, model), write(template, model, rows=5)
    assert torch.equal(all_at_once.tokens, few.tokens)
    more = write(template, model, samples=6)
    for row in range(12):
        other = row // 4 * 6 + row % 4
        assert all_at_once.answers[row] == more.answers[other]
    elsewhere = write(template, model, first=3)
    assert all_at_once.answers != elsewhere.answers
    assert len({answer.content for answer in all_at_once.answers[:4]}) > 1


def test_answers_end_where_the_context_does(template: Template) -> None:
    model = make(template, context=len(max(asked(template), key=len)) + 2)
    found = write(template, model, samples=8, most=30)
    assert int(found.lengths.max()) == model.config.max_seq_len


def test_a_prompt_without_room_is_an_error(template: Template) -> None:
    model = make(template, context=10)
    with pytest.raises(ValueError, match=r"a prompt has \d+ tokens, and the model's context is 10"):
        write(template, model)


def test_logprobs_are_of_the_written_tokens_at_the_temperature(template: Template) -> None:
    model = make(template)
    found = write(template, model)
    for temperature in (1.0, 0.7):
        reading = read(model, found, temperature, "float32", rows=5)
        with torch.no_grad():
            logits = model(found.tokens[:, :-1]) / temperature
        where = found.mask[:, 1:]
        expected = token_logprobs(logits, found.tokens[:, 1:])
        torch.testing.assert_close(reading.logprobs, expected.masked_fill(~where, 0))
        torch.testing.assert_close(reading.entropy, entropy(logits).masked_fill(~where, 0))
        with torch.no_grad():
            again = logprobs_of(logits_of(model, found, temperature, "float32"), found)
        torch.testing.assert_close(again, reading.logprobs)


def test_some_rows_are_no_wider_than_they_need(template: Template) -> None:
    found = write(template, make(template))
    shortest = found.lengths.argsort()[:2]
    part = found.rows(shortest)
    assert part.tokens.shape[1] == int(found.lengths[shortest].max())
    assert part.answers == tuple(found.answers[row] for row in shortest.tolist())


@pytest.mark.parametrize(
    ("tokens", "share"),
    [([], 0.0), ([1, 2, 3], 0.0), ([1, 2, 3, 4, 5], 0.0), ([1, 2] * 4, 3 / 5), ([7] * 104, 100 / 101)],
)
def test_repetition_is_the_share_of_4_grams_that_were_there_before(tokens: list[int], share: float) -> None:
    assert repetition(tokens) == pytest.approx(share)
