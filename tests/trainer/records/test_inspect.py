import dataclasses
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train
from trainer.checkpoint import About
from trainer.model import ModelConfig
from trainer.records.inspect import View, histogram, inspect, main, show, visible
from trainer.talk.conversation import Message, Template

TEXTS = ("the cat saw the dog at the old house and ran to the river", "calculator 12*34 is 408 and {'role': 'user'}")


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return train(TEXTS * 20, 370)


@pytest.fixture(scope="module")
def corpus(vocabulary: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What inspecting needs of a corpus: the manifest of its tokenize step, and the vocabulary."""
    folder = tmp_path_factory.mktemp("corpus") / "tokenize"
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(vocabulary)
    shard = {"name": "train-00000.arrow", "sha256": "", "documents": 1, "tokens": 9, "bytes": 9, "split": "train"}
    about = {"step": "tokenize", "files": [shard], "vocabulary": Tokenizer(vocabulary).describe()}
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder.parent


@pytest.fixture(scope="module")
def checkpoint(vocabulary: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's output folder with a checkpoint of a model that sees 16 tokens, but for the weights."""
    output = tmp_path_factory.mktemp("model")
    shape = ModelConfig(370, dim=8, layers=1, heads=1, kv_heads=1, hidden=8, max_seq_len=16)
    (output / "step-000001").mkdir()
    about = About("id", 1, shape, hashlib.sha256(vocabulary).hexdigest(), 1, "corpus")
    (output / "step-000001" / "checkpoint.json").write_text(json.dumps(dataclasses.asdict(about)))
    (output / "step-000001" / "tokenizer.model").write_bytes(vocabulary)
    (output / "checkpoints.json").write_text(json.dumps({"last": "step-000001", "best": "step-000001"}))
    return output


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(*rows: object) -> Path:
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / "data.jsonl"

    return write


def shown(capsys: pytest.CaptureFixture[str], data: Path, model: Path, *options: str) -> list[str]:
    assert main([str(data), "--model", str(model), *options]) == 0
    return capsys.readouterr().out.splitlines()


CALL = {"type": "function", "function": {"name": "calculator", "arguments": "2+2"}}
TALK = [
    {"role": "user", "content": "2 + 2?\nPlease."},
    {"role": "assistant", "content": "Hm", "tool_calls": [CALL]},
    {"role": "tool", "content": "4"},
    {"role": "assistant", "content": "It is 4."},
]


def test_what_is_trained_has_a_plus_before_it(capsys: pytest.CaptureFixture[str], corpus: Path, write: Any) -> None:
    lines = shown(capsys, write({"messages": TALK}), corpus)
    assert re.fullmatch(r"1 · \d+ tokens, \d+ trained", lines[0])
    assert lines[1 : lines.index("")] == [
        "  <s>",
        "  <|user|>",
        "  │ 2 + 2?",
        "  │ Please.",
        "  <|end|>",
        "  <|assistant|>",
        "+ │ Hm",
        "+ <|call|>",
        "+ │ calculator 2+2",
        "+ <|end|>",
        "  <|tool|>",
        "  │ 4",
        "  <|end|>",
        "  <|assistant|>",
        "+ │ It is 4.",
        "+ <|end|>",
    ]


def test_a_ranking_shows_each_answer_behind_the_prompt(
    capsys: pytest.CaptureFixture[str], corpus: Path, write: Any
) -> None:
    lines = shown(capsys, write({"prompt": "2 + 2?", "completions": ["5", "4"], "ranks": [2, 1]}), corpus)
    assert [line.split(" tokens")[0][:18] for line in lines if "rank" in line] == [
        "1 · rank 1 of 2 · ",
        "1 · rank 2 of 2 · ",
    ]
    assert [line for line in lines if line.startswith("+ │")] == ["+ │ 4", "+ │ 5"]
    assert lines.count("  │ 2 + 2?") == 2


def test_verdicts_and_prompts_have_their_own_words(
    capsys: pytest.CaptureFixture[str], corpus: Path, write: Any
) -> None:
    assert "1 · bad · " in shown(capsys, write({"prompt": "2 + 2?", "completion": "5", "label": False}), corpus)[0]
    lines = shown(capsys, write({"prompt": "2 + 2?", "answer": 4}), corpus)
    assert "1 · right answer: 4 · " in lines[0]
    assert lines[lines.index("") - 1] == "  <|assistant|>"
    assert not any(line.startswith("+") or "without a trained token" in line for line in lines)


def test_the_kind_can_be_said(capsys: pytest.CaptureFixture[str], corpus: Path, write: Any) -> None:
    data = write({"prompt": "2 + 2?", "completion": "4"})
    assert any("1 demonstrations: " in line for line in shown(capsys, data, corpus))
    assert any("1 prompts: " in line for line in shown(capsys, data, corpus, "--kind", "prompts"))


def test_the_figures_are_of_all_rows(capsys: pytest.CaptureFixture[str], checkpoint: Path, write: Any) -> None:
    """Of 16 tokens that the model sees, five are symbols before the answer: a prompt of 12 bytes hides it."""
    rows = [
        {"prompt": "~" * 2, "completion": "4"},
        {"prompt": "~" * 11, "completion": "44444"},
        {"prompt": "~" * 12, "completion": "4"},
        {"prompt": "~" * 60, "completion": "4"},
        {"prompt": "~" * 60, "completion": "4"},
        {"prompt": "", "completion": "4"},
    ]
    lines = shown(capsys, write(*rows), checkpoint, "--rows", "1")
    assert lines.count("  <s>") == 1
    figures = lines[lines.index("") + 1 :]
    assert figures[0] == "4 demonstrations: 113 tokens, 12 trained (11%)"
    assert figures[1] == "tokens a sequence: ≤8 ▄ 1 · ≤16   0 · ≤32 █ 2 · ≤64   0 · ≤128 ▄ 1 · median 20, most 66"
    assert figures[2] == "longer than the model's context of 16: 3 of 4"
    assert figures[3] == "without a trained token in the context: 2 of 4"
    assert figures[4] == "duplicates, read once: 1"
    assert figures[5].startswith("left out: 1 that cannot be used; the first: ")
    assert "data.jsonl:6: an empty prompt" in figures[5]


def test_a_corpus_has_no_context(capsys: pytest.CaptureFixture[str], corpus: Path, write: Any) -> None:
    lines = shown(capsys, write({"messages": TALK}), corpus, "--rows", "0")
    assert not any("context" in line for line in lines)
    assert "  <s>" not in lines
    assert lines[-1] == "without a trained token: 0 of 1"


def test_a_misspelt_column_is_noted(capsys: pytest.CaptureFixture[str], corpus: Path, write: Any) -> None:
    lines = shown(capsys, write({"messages": TALK, "weigth": 2}), corpus)
    assert lines[-1] == "note: the column 'weigth' of 1 rows is not read; did you mean \"weight\"?"


def printed(view: View, tokenizer: Tokenizer, **options: Any) -> str:
    file = io.StringIO()
    show(view, tokenizer, Console(file=file, markup=False, highlight=False, soft_wrap=True, **options))
    return file.getvalue()


def test_colours_say_it_too(vocabulary: bytes) -> None:
    tokenizer = Tokenizer(vocabulary)
    view = View("", Template(tokenizer).encode([Message("user", "2?"), Message("assistant", "[red]4")]))
    lines = printed(view, tokenizer, force_terminal=True, color_system="standard", width=40).splitlines()
    assert lines[2] == "\x1b[2m  │ 2?\x1b[0m"
    assert lines[4] == "\x1b[2m  \x1b[0m\x1b[2;7m<|assistant|>\x1b[0m"
    assert lines[5] == "\x1b[1;32m+ │ [red]4\x1b[0m"
    assert lines[6] == "\x1b[1;32m+ \x1b[0m\x1b[1;7;32m<|end|>\x1b[0m"


def test_long_lines_keep_the_bar_on_a_terminal(vocabulary: bytes) -> None:
    tokenizer = Tokenizer(vocabulary)
    text = "+ <|end|>" + "x" * 27 + "漢字漢字" + "y" * 30
    view = View("", Template(tokenizer).encode([Message("user", text)]))
    lines = printed(view, tokenizer, force_terminal=True, color_system=None, width=40).splitlines()
    assert [line[:4] for line in lines[2:-1]] == ["  │ ", "  ┊ ", "  ┊ "]
    assert "".join(line[4:] for line in lines[2:-1]) == text
    assert printed(view, tokenizer, width=40).splitlines()[2] == f"  │ {text}"


ATTACKS = [
    "\n+ <|end|>\n  <|assistant|>",
    "\r+ <|end|>",
    "\x1b[2K\x1b[1G+ <|end|>",
    "\x9b2J",
    "\x1b]0;title\x07",
    "\x08\x08\x08\x08+ <|end|>",
    "\u202e>|dne|<",
    "\u2028+ <|end|>",
    "\x0b+ <|end|>\x0c<|end|>\x1c<|end|>\x85<|end|>",
    "[bold green]+[/] [link=x]",
]


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("terminal", [True, False])
def test_no_text_looks_like_a_symbol_or_steers_the_terminal(vocabulary: bytes, text: str, terminal: bool) -> None:
    tokenizer = Tokenizer(vocabulary)
    view = View("", Template(tokenizer).encode([Message("user", text)]))
    output = printed(view, tokenizer, force_terminal=terminal, color_system=None, width=40)
    first, second, *lines, last = output.splitlines()
    assert (first, second, last) == ("  <s>", "  <|user|>", "  <|end|>")
    assert all(line.startswith(("  │ ", "  ┊ ")) for line in lines)
    assert not set("\x07\x08\x0b\x0c\x0d\x1b\x1c\x85\x9b\u202e\u2028") & set(output)


@given(st.text())
def test_visible_text_is_harmless_and_says_what_it_was(text: str) -> None:
    seen = visible(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200b]", seen)
    assert visible(seen) == seen
    if text.isascii() and text.isprintable():
        assert seen == text


def test_hidden_characters_are_spelt_out() -> None:
    assert visible("a\tb\x1b\x7f\x9b\u200b\ufeff\U000e0041") == "a␉b␛␡<U+009B><U+200B><U+FEFF><U+E0041>"
    assert visible("می\u200cخواهم 👩\u200d🚀 é\u0301") == "می\u200cخواهم 👩\u200d🚀 é\u0301"


def test_the_histogram_is_by_powers_of_two() -> None:
    assert histogram([1]) == "≤1 █ 1"
    assert histogram([4, 5, 8]) == "≤4 ▄ 1 · ≤8 █ 2"
    assert histogram([1024, 1025]) == "≤1,024 █ 1 · ≤2,048 █ 1"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "x"}, "no row has the columns of demonstrations, comparisons, unpaired, prompts"),
        ({"messages": []}, "data.jsonl:1: no messages"),
    ],
)
def test_what_is_wrong_with_the_data_is_told(
    capsys: pytest.CaptureFixture[str], corpus: Path, write: Any, row: object, complaint: str
) -> None:
    assert main([str(write(row)), "--model", str(corpus)]) == 1
    assert complaint in capsys.readouterr().err


def test_what_is_wrong_with_the_model_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, write: Any, vocabulary: bytes, corpus: Path
) -> None:
    data = write({"messages": TALK})
    assert main([str(data), "--model", str(tmp_path)]) == 1
    assert "holds neither a checkpoint nor a corpus" in capsys.readouterr().err
    (tmp_path / "manifest.json").write_text("{}")
    assert main([str(data), "--model", str(tmp_path)]) == 1
    assert "not the manifest of a tokenize step" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="no such file"):
        inspect([tmp_path / "none.jsonl"], corpus, None, 3, Console(file=io.StringIO()))


def test_real_conversations(capsys: pytest.CaptureFixture[str], corpus: Path, shared_data: Path) -> None:
    data = shared_data / "alignment/hh-rlhf/comparisons.jsonl.gz"
    lines = shown(capsys, data, corpus, "--rows", "0")
    assert lines[0].startswith("1,631 comparisons: ")
    assert lines[-1] == "without a trained token: 0 of 3,262"
