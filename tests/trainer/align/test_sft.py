import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from tests.trainer.align.conftest import Watching
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.align.sft import Sft, SftConfig, main, sft
from trainer.align.tuning import Result
from trainer.arguments import from_arguments
from trainer.log import read_log
from trainer.measure import tasks
from trainer.measure.agreement import Rate, rate
from trainer.model import IGNORE, Llama, ModelConfig
from trainer.records import read_demonstrations, split
from trainer.sampling import GREEDY
from trainer.talk.conversation import Message, Template
from trainer.talk.respond import answers
from trainer.talk.tools.toolbox import make_toolbox

SHAPE = {"dim": 32, "layers": 2, "heads": 2, "kv_heads": 1, "hidden": 64, "max_seq_len": 64}


def write_base(folder: Path, **shape: int) -> Path:
    """A checkpoint that has learnt nothing, with a vocabulary of the tasks' words."""
    texts = [message.content for name in tasks.TASKS for item in tasks.items(name, 200) for message in item.messages]
    return save_model(folder, Llama(ModelConfig(460, **{**SHAPE, **shape})), train_vocabulary(texts, 460))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    tasks.write(path, [item.demonstration() for item in tasks.items("templated", 300)])
    return path


def config(base: Path, data: Path, output: Path, **changes: object) -> SftConfig:
    """20 steps of 4 rows of 64 tokens."""
    settings: dict[str, object] = {"steps": 20, "batch_tokens": 256, "device": "cpu", "lr": 3e-3, **changes}
    return SftConfig(model=base, data=(data,), output=output, **settings)  # type: ignore[arg-type]


def tuner(settings: SftConfig) -> Sft:
    read = read_demonstrations(settings.data)
    return Sft(settings, *split(read, settings.held_out), "0" * 64)


VARIANTS = [
    {},
    pytest.param({"lora_rank": 4}, marks=pytest.mark.slow),
    pytest.param({"neftune": 5.0}, marks=pytest.mark.slow),
    {"lora_rank": 2, "neftune": 5.0, "micro_batch_tokens": 64},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_stopped_run_ends_as_one_that_was_not(
    base: Path, data: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    results: list[Result] = []
    for name, stops in (("straight", []), ("stopped", [7, 10])):
        settings = config(base, data, tmp_path / name, checkpoint_every=5, **variant)
        for after in stops:
            with pytest.raises(KeyboardInterrupt):
                sft(settings, Watching(after))
        results.append(sft(settings))
    ends = [checkpoint.find(tmp_path / name, "last") for name in ("straight", "stopped")]
    for name in (checkpoint.MODEL, checkpoint.OPTIMIZER, checkpoint.ABOUT):
        assert (ends[0] / name).read_bytes() == (ends[1] / name).read_bytes(), name
    losses = [
        [(record.step, record.loss) for record in read_log(tmp_path / name / "log.jsonl")]
        for name in ("straight", "stopped")
    ]
    assert losses[0] == losses[1]
    assert results[0].id == results[1].id != checkpoint.read_about(checkpoint.find(base)).id


def test_the_loss_falls_and_the_checkpoint_says_what_it_was_made_of(base: Path, data: Path, tmp_path: Path) -> None:
    result = sft(config(base, data, tmp_path, steps=60))
    records = read_log(tmp_path / "log.jsonl")
    assert records[-1].loss < records[0].loss - 2
    assert result.val_loss is not None
    assert result.metrics["token_accuracy"] > 0.2
    about = checkpoint.load(tmp_path).about
    assert (about.stage, about.head) == ("sft", "lm")
    assert about.parent == checkpoint.read_about(checkpoint.find(base)).id
    assert about.data_sha256


@pytest.mark.parametrize("micro_batch_tokens", [64, 128, 192])
def test_micro_batches_add_up_to_the_whole(base: Path, data: Path, tmp_path: Path, micro_batch_tokens: int) -> None:
    """Also where one has far more trained tokens than another."""
    gradients, losses = [], []
    for tokens in (256, micro_batch_tokens):
        stage = tuner(config(base, data, tmp_path, micro_batch_tokens=tokens, clip=1e9))
        batch = stage.train.batch(range(4))
        batch.targets[1, 9:], batch.weights[1, 9:] = IGNORE, 0
        batch.targets[2:, 40:], batch.weights[2:, 40:] = IGNORE, 0
        losses.append(stage.learn(batch, 0, 0.0).loss)
        gradients.append({name: memory for name, memory in stage.state().items() if name.startswith("exp_avg.")})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, whole in gradients[0].items():  # Adam's first mean is a tenth of the gradient
        torch.testing.assert_close(whole, gradients[1][name], rtol=1e-4, atol=1e-7)


def test_a_batch_in_which_nothing_is_trained_changes_nothing(base: Path, data: Path, tmp_path: Path) -> None:
    stage = tuner(config(base, data, tmp_path))
    before = [weight.clone() for weight in stage.trained_weights()]
    batch = stage.train.batch(range(4))
    batch.targets[:], batch.weights[:] = IGNORE, 0
    update = stage.learn(batch, 0, 0.1)
    assert (update.loss, update.grad_norm, update.metrics) == (0.0, 0.0, {"skipped": 1.0})
    assert all(torch.equal(*pair) for pair in zip(before, stage.trained_weights(), strict=True))
    assert not stage.optimizer.state


def test_only_what_an_assistant_writes_counts(base: Path, data: Path, tmp_path: Path) -> None:
    """The loss at trained places alone is that over all places with the others ignored."""
    stage = tuner(config(base, data, tmp_path))
    batch = stage.train.batch(range(4))
    with torch.no_grad():
        logits = stage.model.logits(stage.model.vectors(batch.tokens, segments=batch.segments))
        expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE)
        loss, right = stage._loss(batch, batch.weights.sum())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    where = batch.targets != IGNORE
    hits = (logits.argmax(-1) == batch.targets)[where].float().mean()
    assert right.item() == pytest.approx(hits.item(), rel=1e-5)


def test_a_conversation_of_weight_three_counts_three_times(base: Path, tmp_path: Path) -> None:
    rows = [item.demonstration() for item in tasks.items("templated", 2)]
    losses = []
    for number, weights in enumerate([(1.0, 1e-9), (1e-9, 1.0), (3.0, 1.0)]):
        path = tmp_path / f"{number}.jsonl"
        tasks.write(path, [{**row, "weight": weight} for row, weight in zip(rows, weights, strict=True)])
        stage = tuner(config(base, path, tmp_path, held_out=0.0))
        losses.append(stage.step(0, 0.0).loss)
    trained = {example.weight: example.trained for example in stage.train.examples}
    heavy, light = 3 * trained[3.0], trained[1.0]
    assert losses[2] == pytest.approx((losses[0] * heavy + losses[1] * light) / (heavy + light), rel=1e-4)


def test_neftunes_noise_is_as_large_as_the_conversation_is_short_and_the_steps_own(
    base: Path, data: Path, tmp_path: Path
) -> None:
    stage = tuner(config(base, data, tmp_path, neftune=5.0))
    batch = stage.train.batch(range(4))
    noise = stage._noise(batch, 3)
    assert noise is not None
    for row, segment in [(0, 0), (1, 1)]:
        here = batch.segments[row] == segment
        most = 5.0 / math.sqrt(int(here.sum()) * SHAPE["dim"])
        assert 0.9 * most < noise[row][here].abs().max() <= most
    assert torch.equal(noise, stage._noise(batch, 3))  # type: ignore[arg-type]
    assert not torch.equal(noise, stage._noise(batch, 4))  # type: ignore[arg-type]
    evaluation, quiet = stage.evaluate(), tuner(config(base, data, tmp_path)).evaluate()
    assert evaluation == quiet


def test_with_lora_the_checkpoint_is_a_model_like_any_other(base: Path, data: Path, tmp_path: Path) -> None:
    result = sft(config(base, data, tmp_path / "lora", lora_rank=4, lr=1e-2))
    merged, parent = checkpoint.load(result.checkpoint), checkpoint.load(base)
    assert merged.model.state_dict().keys() == parent.model.state_dict().keys()
    assert torch.equal(merged.model.model.embed_tokens.weight, parent.model.model.embed_tokens.weight)
    assert result.val_loss is not None
    # And it can be trained on.
    again = sft(config(tmp_path / "lora", data, tmp_path / "on", steps=1, lr=1e-9))
    start = read_log(tmp_path / "on" / "log.jsonl")
    assert again.val_loss == pytest.approx(result.val_loss, rel=1e-3)
    assert start[0].step == 1


def test_what_is_not_learnt_from_is_said(base: Path, tmp_path: Path) -> None:
    long = "apple " * 80
    rows = [
        *[item.demonstration() for item in tasks.items("templated", 20)],
        {"prompt": "Say it often: apple", "completion": long},
        {"prompt": long, "completion": "apple"},
    ]
    path, observer = tmp_path / "rows.jsonl", Watching()
    tasks.write(path, [*rows, rows[0]])
    sft(config(base, path, tmp_path / "out", steps=1, held_out=0.0), observer)
    said = " ".join(observer.notes)
    assert "1 demonstrations are there more than once" in said
    assert "1 demonstrations are longer than the context of 64; their ends are cut" in said
    assert "1 demonstrations have nothing to learn within the context" in said
    assert "nothing is held out" in said
    assert "1 cut, 1 left out" in observer.facts["packing"]


def test_every_derived_number_is_shown(base: Path, data: Path, tmp_path: Path) -> None:
    observer = Watching()
    sft(config(base, data, tmp_path, steps=1, lora_rank=4, neftune=5.0), observer)
    assert "of 4 rows, 4 at a time" in observer.facts["steps"]
    assert "rank 4, alpha 8: 4.1 k weights learnt" in observer.facts["LoRA"]
    assert {"demonstrations", "held out", "packing", "logits", "NEFTune", "learning rate"} <= set(observer.facts)


def test_another_seed_holds_out_the_same_prompts(base: Path, data: Path, tmp_path: Path) -> None:
    losses = [sft(config(base, data, tmp_path / str(seed), seed=seed, steps=1, lr=1e-9)).val_loss for seed in (0, 1)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_if_nothing_can_be_learnt_it_says_so(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    tasks.write(path, [{"prompt": "apple " * 80, "completion": "apple"}])
    with pytest.raises(ValueError, match="nothing to learn in 1 demonstrations for training: 1 have no trained token"):
        sft(config(base, path, tmp_path / "out", held_out=0.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lora_rank": 0}, "--lora-rank is 0; it must be at least 1"),
        ({"lora_alpha": 8.0}, "--lora-alpha is given without --lora-rank"),
        ({"neftune": -1.0}, "neftune is -1.0; it must be more than 0"),
        ({"epochs": 1.0}, "give --steps or --epochs, and not both"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(Path("m"), Path("d"), Path("o"), **wrong)


def test_the_command_line(base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--model", str(base), "--data", str(data), "--output", str(tmp_path), "--steps", "2", "--device", "cpu"]
    assert from_arguments(SftConfig, "sft", "", [*given, "--lora-rank", "4"]).lora_rank == 4
    assert main(given) == 0
    assert "best checkpoint" in capsys.readouterr().out
    assert main([*given, "--lr", "1"]) == 1
    assert "a run with other settings lies here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tokenizer.model", "model.safetensors"])
def test_a_damaged_file_of_the_start_model_is_named(base: Path, data: Path, tmp_path: Path, name: str) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(checkpoint.find(base), damaged)
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"damaged/{name} .*take another checkpoint"):
        sft(config(damaged, data, tmp_path / "out"))


def exact(run: Path, items: Sequence[tasks.Item], name: str, toolbox: bool = False) -> Rate:
    loaded = checkpoint.load(run)
    template = Template(Tokenizer(loaded.vocabulary.read_bytes()))
    box = make_toolbox(["calculator"], None) if toolbox else None
    prompts: list[Sequence[Message]] = [item.prompt for item in items]
    found = answers(loaded.model, template, prompts, GREEDY, max_tokens=40, toolbox=box)
    verifier = tasks.TASKS[name].verifier
    scores = [verifier.score("", given[0].text, item.answer) for given, item in zip(found, items, strict=True)]
    return rate(scores)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form", "digits", "rows", "steps"),
    [("templated", "direct", 2, 20000, 2000), ("arithmetic", "tools", 3, 4000, 500)],
)
def test_a_model_that_knew_nothing_is_right_on_nine_of_ten_new_questions(
    tmp_path: Path, name: str, form: str, digits: int, rows: int, steps: int
) -> None:
    """103,000 weights learn in a minute of CPU to turn words round, or to ask the calculator and say what it said."""
    base = write_base(tmp_path / "base", dim=64, heads=4, kv_heads=2, hidden=128)
    held_out = tasks.items(name, 200, part="held-out", form=form, digits=digits)
    assert exact(base, held_out, name, form == "tools").value == 0
    path = tmp_path / "train.jsonl"
    tasks.write(path, [item.demonstration() for item in tasks.items(name, rows, form=form, digits=digits)])
    sft(config(base, path, tmp_path / "out", steps=steps, batch_tokens=1024, lr=5e-3, held_out=0.02, eval_every=500))
    assert exact(tmp_path / "out", held_out, name, form == "tools").value > 0.9
    if form == "tools":
        assert exact(tmp_path / "out", held_out, name, toolbox=False).value == 0
