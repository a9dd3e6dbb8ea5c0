"""What clients may send: the parts of OpenAI's API that a small model can honour, and our own few calls.

Of OpenAI's API fields that are not known are ignored, as its clients send many; known ones are checked. Our own calls
refuse unknown ones: a consent that is spelt wrongly would be none, and nobody would be told.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainer.talk.conversation import Call, Message

Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
UUID4 = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
DIGEST = r"^[0-9a-f]{64}$"
Id = Annotated[str, Field(pattern=UUID4)]
"""A random UUID (version 4) of the client's, so that sending a thing again stores it once."""
Checkpoint = Annotated[str, Field(pattern=DIGEST)]


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_lone_surrogates(cls, value: Any) -> Any:
        """JSON can spell half a character ("\\ud800"), which no vocabulary can encode and no database can keep."""
        if isinstance(value, str):
            _checked(value)
        return value


class OwnBody(Body):
    """A call that is not OpenAI's."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict) and (unknown := [str(key) for key in value if key not in cls.model_fields]):
            raise ValueError(f"unknown key {unknown[0][:60]}; expected {', '.join(cls.model_fields)}")
        return value


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half a character (a lone surrogate) at position {error.start}") from None
    return text


class FunctionCall(Body):
    name: str
    arguments: str = ""


class ToolCall(Body):
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(Body):
    type: Literal["text"]
    text: str


class ChatMessage(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None

    def message(self) -> Message:
        text = self.content or ""
        if isinstance(text, list):
            text = "".join(part.text for part in text)
        calls = tuple(Call(call.function.name, call.function.arguments) for call in self.tool_calls or ())
        return Message("system" if self.role == "developer" else self.role, text, calls)


class SamplingBody(Body):
    temperature: float = Field(0.8, ge=0, le=10)
    top_p: float = Field(0.95, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    seed: Seed | None = None
    max_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    n: int = Field(1, ge=1, le=8)
    model: str | None = None
    stream: bool = False

    @field_validator("temperature", "top_p", "top_k", "n", "stream", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > 4:
            raise ValueError("at most 4 stop texts")
        for text in [value] if isinstance(value, str) else value or []:
            if len(_checked(text)) > 200:
                raise ValueError("a stop text has at most 200 characters")
        return value

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple([self.stop] if isinstance(self.stop, str) else self.stop or [])


class StreamOptions(Body):
    include_usage: bool = False


class ChatBody(SamplingBody):
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    """False: the exchange is not kept in a sample of traffic. True asks for no more than null does."""

    @model_validator(mode="after")
    def _new_name(self) -> "ChatBody":
        if self.max_completion_tokens is not None:
            self.max_tokens = self.max_completion_tokens
        return self


class CompletionBody(SamplingBody):
    prompt: str | list[str] = ""
    echo: bool = False
    stream_options: StreamOptions | None = None

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class SamplingNote(OwnBody):
    """How an answer was drawn, as the page tells it."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None


class ReportBody(OwnBody):
    """A problem that somebody reports, or a thumb.

    `checkpoint` is the one that answered, which may no longer be served; without it, `model`'s is taken.
    """

    id: Id
    model: str | None = None
    checkpoint: Checkpoint | None = None
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    category: Literal["wrong", "harmful", "refusal", "format", "repetition", "injection", "other"] | None = None
    description: str = Field("", max_length=10_000)
    wished_answer: str | None = Field(None, max_length=100_000)
    rating: Literal[-1, 1] | None = None
    consent: bool = False
    mask: bool = True
    sampling: SamplingNote = SamplingNote()

    @model_validator(mode="after")
    def _says_something(self) -> "ReportBody":
        if self.category is None and self.rating is None:
            raise ValueError("neither category nor rating; expected one of them at least")
        if (last := self.messages[-1].role) != "assistant":
            raise ValueError(f"messages end with the {last}; expected the assistant's answer that the report is about")
        if len(self.messages) < 2 or self.messages[-2].role not in ("user", "tool"):
            raise ValueError("messages have nothing that was answered; expected a user's message before the answer")
        return self


class AnswerNote(OwnBody):
    """An answer, from whom (as in `ReportBody`), and how it was drawn."""

    text: str
    messages: list[ChatMessage] = Field([], max_length=1000)
    """All that was said in the answer, where that is more than `text`: tool calls, their results, and last the text."""
    model: str | None = None
    checkpoint: Checkpoint | None = None
    sampling: SamplingNote = SamplingNote()

    @model_validator(mode="after")
    def _ends_with_the_text(self) -> "AnswerNote":
        if self.messages:
            last = self.messages[-1].message()
            if last.role != "assistant" or last.content != self.text:
                raise ValueError("the answer's messages don't end with its text")
            if any(message.role not in ("assistant", "tool") for message in self.messages):
                raise ValueError("an answer has messages of the assistant and of tools alone")
        return self


class ComparisonBody(OwnBody):
    """Two answers to the same messages, and which is better."""

    id: Id
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    a: AnswerNote
    b: AnswerNote
    choice: Literal["a", "b", "tie", "both_bad"]
    session: str = Field("", max_length=100)
    consent: bool = False
    mask: bool = True


class ArenaBody(OwnBody):
    """A question to two models whose names are not told."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    max_tokens: int | None = Field(None, ge=1)


class ArenaChoice(OwnBody):
    match: str = Field(max_length=100)
    choice: Literal["a", "b", "tie", "both_bad"]
    session: str = Field("", max_length=100)
    consent: bool = False
    mask: bool = True
