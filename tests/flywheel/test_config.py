from pathlib import Path

import pytest

from flywheel.config import FILE, Config, ConfigError, load, parse


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("")
    config = load(tmp_path)
    assert config == Config(folder=tmp_path)
    assert (config.decide.corrections, config.gate.held_out, config.label.project) == (20, 0.3, "corrections")


def test_paths_are_in_the_folder_wherever_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / FILE).write_text(
        "store: sqlite:///here.sqlite\n"
        "labels: ../labels\n"
        "collect: {evaluations: [failed.jsonl], reference: before.jsonl}\n"
        "gate: {evaluation: general.jsonl}\n"
    )
    monkeypatch.chdir(tmp_path)
    config = load("loop")
    assert config.store == f"sqlite:///{folder}/here.sqlite"
    assert config.labels == folder / "../labels"
    assert config.current == folder / "models/current.json"
    assert config.collect.evaluations == (folder / "failed.jsonl",)
    assert config.collect.reference == folder / "before.jsonl"
    assert config.gate.evaluation == folder / "general.jsonl"


@pytest.mark.parametrize("url", ["sqlite:////var/store.sqlite", "postgresql+psycopg://me:secret@host/name"])
def test_a_store_that_is_elsewhere_stays_there(url: str) -> None:
    assert parse(f"store: {url}", Path("loop")).store == url


def test_a_section_without_keys_has_the_defaults() -> None:
    assert parse("gate:\n", Path("loop")) == Config(folder=Path("loop"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels: here\ngates: 1\n", "flywheel.yaml:2: unknown key gates; expected store, labels, models"),
        ("gate:\n  held_out: 0.2\n  held: 1\n", "flywheel.yaml:3: unknown key gate.held; expected held_out, minimum"),
        ("decide:\n  days: 0\n", "flywheel.yaml:2: decide.days is 0; expected more than 0."),
        ("gate: {held_out: 1.5}\n", "flywheel.yaml:1: gate.held_out is 1.5; expected at most 1."),
        ("train:\n  steps: 5\n  steps: 6\n", "flywheel.yaml:3: train.steps appears twice."),
        ("label: [\n", "flywheel.yaml:2: not YAML"),
        ("store: x\na: &x {b: *x}\n", "flywheel.yaml:2: a.b is an alias of what it stands in; write its value out."),
        ("train: &x {steps: [*x]}\n", "flywheel.yaml:1: train.steps.0 is an alias of what it stands in"),
        ("- a list\n", "flywheel.yaml:1: expected keys such as store"),
        ("folder: elsewhere\n", "flywheel.yaml:1: expected keys such as store"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, Path("loop"))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "collect: {evaluations: failed.jsonl}",
            "collect.evaluations is 'failed.jsonl'; expected a list such as [failed.jsonl].",
        ),
        ("collect: {resampled: -1}", "collect.resampled is -1; expected at least 0."),
        ("gate: {evaluation: 3}", "gate.evaluation is 3; expected a path."),
        ("gate: [1]", "gate is [1]; expected keys with their values, or nothing for the defaults."),
        ("gate: {attacks: 1}", "gate.attacks is 1; expected true or false."),
        ("promote: {canary: true}", "promote.canary is true; expected a number."),
        ("promote: {canary: 1}", "promote.canary is 1; expected less than 1."),
        ("promote: {hours: .inf}", "promote.hours is inf; expected a number."),
        ("decide: {cooldown_hours: .nan}", "decide.cooldown_hours is nan; expected a number."),
        ("train: {steps: true}", "train.steps is true; expected a number."),
        ("train: {steps: 2.5}", "train.steps is 2.5; expected a whole number."),
        ("label: {project: ''}", "label.project is ''; expected text that is not empty."),
        ('label: {draft_url: "127.0.0.1:8000"}', "label.draft_url: expected an address such as http://127.0.0.1:80"),
        ("label: {draft_url: 'http:///v1'}", "label.draft_url: expected an address such as http://127.0.0.1:8000/v1."),
        ("store: 3", "store is 3; expected text."),
        ("store: store.sqlite", "store: the store's URL can't be read; expected sqlite:///path/to/file or postgresql"),
        ("store: mysql://me:secret@host/x", "store: mysql://me:***@host/x: expected a URL that begins with sqlite:///"),
    ],
)
def test_what_was_expected_is_told_in_words_of_settings(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(f"labels: here\n{text}\n", Path("loop"))
    assert str(raised.value).startswith(f"flywheel.yaml:2: {told}")
    assert not any(word in str(raised.value) for word in ("pathlib", "tuple", "instance", "secret", ".."))


def test_a_rate_may_be_written_as_yaml_takes_for_a_text() -> None:
    assert parse("train: {learning_rate: 1e-4}\n", Path("loop")).train.learning_rate == 0.0001


def nested(levels: int, each: int) -> str:
    """So many lines, of which each names the one before it so many times."""
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * each)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines) + "\n"


def test_aliases_of_aliases_are_refused_where_they_come_to_too_many() -> None:
    """Nine levels of ten, a thousand million; and the same by merging, which YAML does itself."""
    with pytest.raises(ConfigError, match="^flywheel.yaml:5: more than 10,000 keys and items, as aliases repeat them"):
        parse(nested(9, 10), Path("loop"))
    merged = nested(9, 10).replace("[x]", "{x: 1}").replace("[*", "{<<: [*").replace("]", "]}").replace("1}]}", "1}")
    with pytest.raises(ConfigError, match="more than 10,000 keys"):
        parse(merged, Path("loop"))
    with pytest.raises(ConfigError, match="unknown key a0"):
        parse(nested(3, 10), Path("loop"))


def test_what_aliases_may_say_is_taken(tmp_path: Path) -> None:
    config = parse("gate: &x {tolerance: 0.5}\ntrain: {steps: &n 7}\ndecide: {corrections: *n}\n", tmp_path)
    assert (config.gate.tolerance, config.train.steps, config.decide.corrections) == (0.5, 7, 7)


def test_all_faults_are_told_in_the_order_of_their_lines() -> None:
    with pytest.raises(ConfigError) as raised:
        parse("one: 1\ndecide: {corrections: 0}\ntwo: 2\n", Path("loop"))
    assert [line.split(":")[1] for line in str(raised.value).splitlines()] == ["1", "2", "3"]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flywheel.yaml: no such file; write one"):
        load(tmp_path)
