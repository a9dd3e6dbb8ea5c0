from collections.abc import Sequence

import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train
from trainer.align.packing import pack
from trainer.model import IGNORE, Llama, ModelConfig
from trainer.sampling import GREEDY, Sampling
from trainer.talk.conversation import Call, Message, Template
from trainer.talk.respond import UNANSWERED, answers
from trainer.talk.tools.toolbox import Toolbox, make_toolbox

ASK, LOOP, HELLO = (Message("user", text) for text in ("What is 2*3?", "Ask for ever.", "Hello!"))
CALL = Message("assistant", "", (Call("calculator", "2*3"),))
RESULT = Message("tool", "6")
CONVERSATIONS: list[list[Message]] = [
    [ASK, CALL, RESULT, Message("assistant", "It is 6.")],
    [LOOP, *[CALL, RESULT] * 5],
    [HELLO, Message("assistant", "Good day to you.")],
]


@pytest.fixture(scope="module")
def model_and_template() -> tuple[Llama, Template]:
    """A model that knows three conversations by heart."""
    texts = [message.content for messages in CONVERSATIONS for message in messages]
    template = Template(Tokenizer(train([*texts, "calculator 2*3"] * 5, 366)))
    model = Llama(ModelConfig(template.tokenizer.size, 32, 2, 2, 2, 64, 128))
    batch = (packing := pack([template.encode(messages) for messages in CONVERSATIONS], 128, template.pad)).batch(
        range(len(packing.rows))
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(150):
        logits = model.logits(model.vectors(batch.tokens, segments=batch.segments))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.05
    return model, template


@pytest.fixture(scope="module")
def calculator() -> Toolbox:
    return make_toolbox(["calculator"], None)


def test_an_answer_is_the_messages_behind_the_prompt(model_and_template: tuple[Llama, Template]) -> None:
    [[answer]] = answers(*model_and_template, [[HELLO]], GREEDY)
    assert answer.messages == (Message("assistant", "Good day to you."),)
    assert answer.text == "Good day to you."
    assert answer.finished
    assert answer.tokens == len(model_and_template[1].answer(answer.messages[0]))
    assert -0.1 < answer.logprob < 0


def test_a_call_gets_its_result_and_the_answer_goes_on_behind_it(
    model_and_template: tuple[Llama, Template], calculator: Toolbox
) -> None:
    [[answer]] = answers(*model_and_template, [[ASK]], GREEDY, toolbox=calculator)
    assert list(answer.messages) == CONVERSATIONS[0][1:]
    assert (answer.text, answer.finished) == ("It is 6.", True)
    template = model_and_template[1]
    assert answer.tokens == len(template.answer(CALL)) + len(template.answer(answer.messages[-1]))


def test_without_a_toolbox_it_ends_with_the_call(model_and_template: tuple[Llama, Template]) -> None:
    [[answer]] = answers(*model_and_template, [[ASK]], GREEDY)
    assert (answer.messages, answer.text, answer.finished) == ((CALL,), "", False)


def test_who_asks_for_ever_is_stopped_after_four_rounds(
    model_and_template: tuple[Llama, Template], calculator: Toolbox
) -> None:
    [[answer]] = answers(*model_and_template, [[LOOP]], GREEDY, toolbox=calculator)
    assert list(answer.messages) == [CALL, RESULT] * 4 + [CALL]
    assert not answer.finished


def test_when_the_tokens_are_spent_the_answer_is_cut(
    model_and_template: tuple[Llama, Template], calculator: Toolbox
) -> None:
    template = model_and_template[1]
    [[short]] = answers(*model_and_template, [[HELLO]], GREEDY, max_tokens=3)
    assert (short.tokens, short.finished) == (3, False)
    assert "Good day to you.".startswith(short.text)
    call = len(template.answer(CALL))
    [[asked]] = answers(*model_and_template, [[ASK]], GREEDY, max_tokens=call, toolbox=calculator)
    assert (asked.messages[-1], asked.text, asked.tokens, asked.finished) == (RESULT, "", call, False)
    [[more]] = answers(*model_and_template, [[ASK]], GREEDY, max_tokens=call + 1, toolbox=calculator)
    assert (more.tokens, more.finished, more.messages[-1].role) == (call + 1, False, "assistant")


def test_a_prompt_that_fills_the_context_gets_no_answer(model_and_template: tuple[Llama, Template]) -> None:
    long = [Message("user", "Hello! " * 200)]
    assert answers(*model_and_template, [long, [HELLO]], GREEDY)[0] == [UNANSWERED]


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_answers_do_not_depend_on_what_is_written_beside_them(
    model_and_template: tuple[Llama, Template], calculator: Toolbox, rows: int
) -> None:
    prompts: list[Sequence[Message]] = [[ASK], [LOOP], [HELLO], [ASK]]
    done: list[int] = []
    together = answers(
        *model_and_template, prompts, GREEDY, 2, rows=rows, toolbox=calculator, each=lambda: done.append(1)
    )
    alone = [answers(*model_and_template, [prompt], GREEDY, toolbox=calculator)[0][0] for prompt in prompts]
    for several, one in zip(together, alone, strict=True):
        assert [answer.messages for answer in several] == [one.messages] * 2
    assert len(done) == 8


def test_samples_differ_and_the_first_are_the_same_however_many_there_are(
    model_and_template: tuple[Llama, Template],
) -> None:
    sampling = Sampling(temperature=3.0, top_p=1.0, seed=1)
    [eight] = answers(*model_and_template, [[HELLO]], sampling, 8, max_tokens=12)
    [three] = answers(*model_and_template, [[HELLO]], sampling, 3, max_tokens=12)
    assert [answer.messages for answer in eight[:3]] == [answer.messages for answer in three]
    assert len({answer.messages for answer in eight}) == 8
