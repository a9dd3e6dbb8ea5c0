import json
from pathlib import Path

import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train
from tests.trainer.conftest import save_model
from trainer.align.evaluate import EvaluateConfig, evaluate, main
from trainer.arguments import from_arguments
from trainer.measure import tasks
from trainer.model import Llama, ModelConfig, RewardModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lm: writes one digit, now this one and now that, and ends; reward: a reward model; data.jsonl: 12 questions."""
    folder = tmp_path_factory.mktemp("evaluate")
    vocabulary = train(["What is 2 + 3?", "Compute 4 plus 4."] * 10, 366)
    shape = ModelConfig(366, 32, 1, 2, 2, 32, 64, tie_embeddings=False)
    writer = Llama(shape)
    _write_digits(writer, Tokenizer(vocabulary))
    save_model(folder / "lm", writer, vocabulary)
    save_model(folder / "reward", RewardModel(shape), vocabulary)
    questions = [{"prompt": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(8)]
    tasks.write(folder / "data.jsonl", [*questions, *[{"prompt": f"{n}?", "answer": "12"} for n in range(4)]])
    return folder


@torch.no_grad()
def _write_digits(model: Llama, tokenizer: Tokenizer) -> None:
    """Layers that add nothing: what comes next depends on the last token. Behind <|assistant|> digits, then the end."""
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight", "embed_tokens.weight")):
            weight.zero_()
    assert model.lm_head is not None
    model.model.embed_tokens.weight[:, 0] = 1
    model.model.embed_tokens.weight[tokenizer.controls["<|assistant|>"], :2] = torch.tensor([0.0, 1.0])
    model.lm_head.weight[tokenizer.controls["<|end|>"], 0] = 9
    for digit in "0123456789":
        model.lm_head.weight[tokenizer.encode(digit)[-1], 1] = 5


def config(folder: Path, **changes: object) -> EvaluateConfig:
    settings: dict[str, object] = {"max_tokens": 8, "device": "cpu", **changes}
    return EvaluateConfig(model=folder / "lm", data=(folder / "data.jsonl",), **settings)  # type: ignore[arg-type]


def test_more_samples_are_more_often_right_if_one_knows_which(folder: Path, tmp_path: Path) -> None:
    select = ("verify", "majority", "reward")
    settings = config(folder, samples=16, select=select, reward_model=folder / "reward", output=tmp_path / "out")
    result = evaluate(settings)
    accuracy = {(point.rule, point.samples): point.accuracy for point in result.points}
    assert [number for rule, number in accuracy if rule == "verify"] == [1, 2, 4, 8, 16]
    assert accuracy["verify", 1] == accuracy["majority", 1] == pytest.approx(accuracy["reward", 1])
    assert 0.02 < accuracy["verify", 1] < 0.15  # 8 of 12 questions are guessed by one in ten
    assert accuracy["verify", 1] < accuracy["verify", 4] < accuracy["verify", 16] <= 8 / 12
    for point in result.points:
        assert 0 <= point.low <= point.accuracy <= point.high <= 1
        assert point.tokens == pytest.approx(result.tokens * point.samples)
    assert (result.prompts, result.unfinished, result.tokens) == (12, 0.0, 2.0)
    kept = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert kept["points"][0]["rule"] == "verify"
    assert (tmp_path / "out" / "evaluation.png").read_bytes()[:4] == b"\x89PNG"


def test_what_went_wrong_is_kept_once_a_prompt_with_its_check(folder: Path, tmp_path: Path) -> None:
    result = evaluate(config(folder, samples=16, select=("verify",), output=tmp_path / "out"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "failed.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == 12
    asked = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
    for row, question in zip(rows, asked, strict=True):
        assert row["prompt"] == [{"role": "user", "content": question["prompt"]}]
        assert row["check"] == {"kind": "verified", "verifier": "number", "expected": question["answer"]}
        assert row["answer"] != question["answer"]
        assert (row["category"], row["checkpoint_id"]) == ("wrong", result.checkpoint)


def test_the_same_seed_draws_the_same(folder: Path) -> None:
    one, again, other = (evaluate(config(folder, samples=4, seed=seed)) for seed in (1, 1, 2))
    assert one.points == again.points != other.points


def test_an_answer_without_an_end_is_wrong_though_it_says_the_right_thing(folder: Path) -> None:
    result = evaluate(config(folder, samples=8, max_tokens=1, select=("verify",)))
    assert result.unfinished == 1
    assert [point.accuracy for point in result.points] == [0.0] * 4


def test_only_the_first_prompts_are_read_if_asked(folder: Path) -> None:
    assert evaluate(config(folder, limit=3)).prompts == 3


def test_what_it_reads_is_not_what_it_writes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed.jsonl is read and would be written over; name another --output"):
        EvaluateConfig(model=tmp_path, data=(tmp_path / "out" / "failed.jsonl",), output=tmp_path / "a" / ".." / "out")


def test_prompts_without_answers_are_refused(folder: Path, tmp_path: Path) -> None:
    tasks.write(tmp_path / "p.jsonl", [{"prompt": "Who?"}, {"prompt": "What is 1 + 1?", "answer": "2"}])
    settings = EvaluateConfig(model=folder / "lm", data=(tmp_path / "p.jsonl",))
    with pytest.raises(ValueError, match="p.jsonl:1: no right answer, which the verifier number needs"):
        evaluate(settings)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": 0}, "samples is 0; it must be at least 1"),
        ({"select": ("best",)}, 'select is "best"; expected majority, reward, verify'),
        ({"select": ("reward",)}, "--select reward asks a reward model; name one by --reward-model"),
        ({"tools": ("search",)}, "name the folder of a finished run by --corpus"),
        ({"verifier": "taste"}, 'no verifier "taste"'),
        ({"temperature": -1.0}, "temperature is -1.0"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(Path("f"), **wrong)


def test_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--model", str(folder / "lm"), "--data", str(folder / "data.jsonl"), "--device", "cpu"]
    read = from_arguments(EvaluateConfig, "evaluate", "", [*given, "--select", "majority", "verify"])  # type: ignore[type-var]
    assert (read.select, read.tools) == (("majority", "verify"), ())
    read = from_arguments(EvaluateConfig, "evaluate", "", [*given, "--tools", "calculator,plot", "python"])  # type: ignore[type-var]
    assert read.tools == ("calculator", "plot", "python")
    assert main([*given, "--samples", "2", "--tools", "calculator"]) == 0
    said = capsys.readouterr().out
    assert "12 prompts" in said
    assert "majority" in said
    assert main([*given[:1], str(folder / "none"), *given[2:]]) == 1
    assert "error:" in capsys.readouterr().err


def test_an_output_that_is_a_file_is_told_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("trainer.align.evaluate.answers", None)
    with pytest.raises(ValueError, match="file: that is a file, or lies below one; expected a folder"):
        evaluate(config(folder, output=tmp_path / "file"))
