"""`corpuscle label` as a person types it, on a real server: from an empty folder to files that train a model."""

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpuscle.label import sources
from corpuscle.label.sources import Wanted
from corpuscle.main import app, main
from labeling.client import Client
from labeling.folder import Folder
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Json, Kind
from labeling.quality.simulate import project
from labeling.store.database import StoreError
from labeling.store.labels import StoredSample, add_project, get_project, read_samples
from tests.labeling.conftest import LabelStudio
from tests.pipeline.conftest import corpuscle

COLOURS = ("red", "green", "blue", "yellow", "white", "black")
RIGHT = {"choice": "a", "margin": 2 / 3}
WRONG = {"choice": "b", "margin": 2 / 3}


def comparison(colour: str) -> Json:
    prompt = [{"role": "user", "content": f"Name something {colour}."}]
    return {"prompt": prompt, "answers": [f"A {colour} door.", f"Nothing is {colour}."]}


def write(path: Path, rows: list[Json]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def samples(folder: Path, project: str) -> list[StoredSample]:
    with Folder(folder).database() as database, database.read() as session:
        return list(read_samples(session, project))


def say(person: Client, sample: StoredSample, verdict: Json, kind: Kind) -> int:
    assert sample.task_id is not None
    return person.annotate(sample.task_id, kind.result(verdict, sample.content, sample.order), seconds=20)


@pytest.fixture
def folder(label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Connected, by the token in the environment."""
    monkeypatch.chdir(tmp_path)
    told = corpuscle("label", "connect", label_studio.url, LABEL_STUDIO_API_KEY=label_studio.admin.token).stdout
    assert told == f"connected with Label Studio 1.23.2 at {label_studio.url} as admin@localhost\n"
    return tmp_path / "labels"


@pytest.mark.parametrize("command", ["serve", "connect", "create", "push", "pull", "quality", "export", "status"])
def test_each_command_shows_an_example(command: str) -> None:
    assert f"Example: corpuscle label {command}" in CliRunner().invoke(app, ["label", command, "--help"]).output


def test_reports_are_not_looked_for_in_a_store_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORPUSCLE_STORE", raising=False)
    wanted = Wanted(None, True, False, None, 1, 0, [], None, None, None)
    with Folder(tmp_path / "labels").database() as database, ExitStack() as stack:
        add_project(database, project("p", "corrections"))
        with pytest.raises(StoreError, match="there is no such database"):
            list(sources.samples(database, get_project(database, "p"), wanted, stack))
    assert not (tmp_path / "corpuscle.db").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pull"], "knows no Label Studio server yet; run `corpuscle label serve`"),
        (["quality", "first"], "no project first; there is none yet. Make one"),
        (["export", "first", "out"], "no project first"),
        (["connect", "nowhere"], "expected one such as http"),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-token")
    with pytest.raises(SystemExit, match="1"):
        main(["label", *arguments, "--folder", str(tmp_path)])
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    assert (
        "corpuscle label create KIND" in CliRunner().invoke(app, ["label", "status", "--folder", str(tmp_path)]).output
    )


def test_a_store_with_a_password_may_be_named_in_the_environment(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite"
    asked = ["label", "status", "--folder", str(tmp_path / "labels")]
    done = CliRunner().invoke(app, asked, env={"CORPUSCLE_LABEL_STORE": f"sqlite:///{elsewhere}"})
    assert done.exit_code == 0
    assert elsewhere.exists()
    assert not (tmp_path / "labels" / "store.sqlite").exists()


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_a_seed_that_can_not_be_one_is_told(seed: str, tmp_path: Path) -> None:
    asked = ["label", "push", "first", "--folder", str(tmp_path), "--corpus", str(tmp_path), "--seed", seed]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2
    assert "Invalid value for '--seed'" in done.output


@pytest.mark.slow
def test_the_store_that_a_project_was_made_with_is_remembered(folder: Path, tmp_path: Path) -> None:
    corpuscle("label", "create", "corrections", "--store", "sqlite:///chat.sqlite")
    assert corpuscle("label", "status").stdout.startswith("corrections: corrections, ")
    assert not (folder / "store.sqlite").exists()
    other = corpuscle("label", "status", "--store", "sqlite:///other.sqlite").stdout
    assert other.startswith("no project in sqlite:///other.sqlite yet; make one with")
    (tmp_path / "chat.sqlite").rename(tmp_path / "gone.sqlite")
    done = corpuscle("label", "status", check=False)
    assert (done.returncode, "put it back, or name another --store" in done.stderr) == (1, True)


@pytest.mark.slow
def test_a_deleted_project_does_not_keep_the_others_from_being_pulled(folder: Path, client: Client) -> None:
    for name in ("a", "b"):
        corpuscle("label", "create", "demonstrations", "--name", name)
    with Folder(folder).database() as database:
        client.delete_project(get_project(database, "a").remote_id)
    done = corpuscle("label", "pull", check=False)
    assert (done.returncode, "error: a: " in done.stderr) == (1, True)
    assert "b: 0 new, 0 changed, 0 deleted\n" in done.stdout


@pytest.mark.slow
def test_a_file_without_a_usable_row_is_an_error(folder: Path, tmp_path: Path) -> None:
    corpuscle("label", "create", "comparisons", "--name", "bad")
    bad = write(tmp_path / "bad.jsonl", [{"prompt": "half a row"}, {"x": 1}])
    done = corpuscle("label", "push", "bad", str(bad), check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("0 sent\n2 rows are no samples\n")
    assert "error: of what was named nothing could be sent\n" in done.stderr
    some = write(tmp_path / "some.jsonl", [{"prompt": "half a row"}, comparison("red")])
    for sent in (1, 0):  # what is there already is no fault
        assert corpuscle("label", "push", "bad", str(some)).stdout.startswith(f"{sent} sent\n")


@pytest.mark.slow
def test_a_token_may_come_from_standard_input(label_studio: LabelStudio, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "corpuscle.main", "label", "connect", label_studio.url, "--folder", str(tmp_path)]
    subprocess.run(command, input=label_studio.admin.token + "\n", text=True, check=True, capture_output=True)
    assert Folder(tmp_path).connection().token == label_studio.admin.token
    refused = subprocess.run(command, input="wrong\n", text=True, capture_output=True)
    assert refused.returncode == 1
    assert "the token is not accepted" in refused.stderr
    assert Folder(tmp_path).connection().token == label_studio.admin.token


@pytest.mark.slow
def test_from_prompts_to_training_data(folder: Path, people: list[Client], tmp_path: Path) -> None:
    kind = KINDS["comparisons"]
    told = corpuscle("label", "create", "comparisons", "--name", "first", "--overlap", "3").stdout
    assert told.startswith("first: comparisons, instructions version 1, 3 asked each\nhttp://127.0.0.1:")

    rows = [comparison(colour) for colour in COLOURS]
    prompts = write(tmp_path / "rows.jsonl", [*rows, {"prompt": "half a row"}])
    gold = write(tmp_path / "gold.jsonl", [comparison("purple") | {"gold": RIGHT}])
    told = corpuscle("label", "push", "first", str(prompts), "--gold", str(gold), "--gold-rate", "0.25").stdout
    assert told.startswith("7 sent, of them 1 gold questions\n")
    assert "1 rows are no samples\n" in told
    assert "rows.jsonl:7: answers are not two" in told
    assert corpuscle("label", "push", "first", str(prompts)).stdout.startswith("0 sent\n6 were there already\n")

    asked = samples(folder, "first")
    for sample in asked[:-1]:  # the last is disputed
        for person in people:
            say(person, sample, RIGHT, kind)
    disputed = asked[-1]
    verdicts: list[Json] = [RIGHT, WRONG, {"choice": "both_bad", "margin": None}]
    for person, verdict in zip(people, verdicts, strict=True):
        say(person, disputed, verdict, kind)
    assert "first: 21 new, 0 changed, 0 deleted\n" in corpuscle("label", "pull").stdout
    assert "first: 0 new, 0 changed, 0 deleted\n" in corpuscle("label", "pull", "first", "--full").stdout
    assert "7 samples, 7 sent, 7 labelled\n    21 labels count, 0 do not" in corpuscle("label", "status").stdout

    told = corpuscle("label", "quality", "first").stdout
    assert told.startswith("21 labels of 3 people on 7 samples\n")
    figures = json.loads((folder / "first-quality.json").read_text())
    assert "<html" in (folder / "first-quality.html").read_text()
    assert figures["labels"] == 21

    told = corpuscle("label", "export", "first", str(tmp_path / "data"), "--parquet").stdout
    admitted = sum(sample.gold is None for sample in asked[:-1])
    assert re.search(rf"^ +{admitted} .*comparisons\.jsonl\n +7 samples judged, .*admission\.jsonl\n", told)
    named = {Path(name).name for name in re.findall(r"\S+\.jsonl", told)}
    assert named == {path.name for path in (tmp_path / "data").glob("*.jsonl")}
    lines = (tmp_path / "data" / "comparisons.jsonl").read_text().splitlines()
    assert {tuple(json.loads(line)["chosen"][0]) for line in lines} == {("role", "content")}
    assert all(json.loads(line)["chosen"][0]["content"].endswith(" door.") for line in lines)
    assert (tmp_path / "data" / "comparisons.parquet").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "comparisons.jsonl").write_text("mine\n")
    refused = corpuscle("label", "export", "first", str(tmp_path / "mine"), check=False)
    assert "is of no earlier export" in " ".join(refused.stderr.replace("│", "").split())
    assert (tmp_path / "mine" / "comparisons.jsonl").read_text() == "mine\n"
    told = corpuscle("label", "export", "first", str(tmp_path / "all.json"), "--label-studio").stdout
    assert "7 tasks" in told
    assert len(json.loads((tmp_path / "all.json").read_text())) == 7

    if disputed.gold is not None:
        return  # then there is nothing to decide: a gold question has its verdict
    corpuscle("label", "create", "review", "--reviews", "first")
    assert corpuscle("label", "push", "first-review").stdout.startswith("1 sent\n")
    [decided] = samples(folder, "first-review")
    say(people[0], decided, RIGHT, REVIEWS["comparisons"])
    corpuscle("label", "pull")
    corpuscle("label", "export", "first", str(tmp_path / "data"))
    assert len((tmp_path / "data" / "comparisons.jsonl").read_text().splitlines()) == admitted + 1


@pytest.mark.slow
def test_a_watching_pull_hears_of_a_label_at_once(folder: Path, people: list[Client], client: Client) -> None:
    corpuscle("label", "create", "ratings", "--name", "watched")
    rated = {"prompt": [{"role": "user", "content": "Say hello."}], "answer": "Hello."}
    corpuscle("label", "push", "watched", str(write(folder / "rows.jsonl", [rated])))
    [sample] = samples(folder, "watched")
    watching = subprocess.Popen(
        [sys.executable, "-m", "corpuscle.main", "label", "pull", "watched", "--watch", "3600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    last_resort = threading.Timer(120, watching.kill)
    last_resort.start()
    try:
        assert watching.stdout
        assert watching.stdout.readline().startswith("watching: every 3600 seconds")
        assert watching.stdout.readline() == "watched: 0 new, 0 changed, 0 deleted\n"
        verdict = {"helpful": 6, "truthful": 7, "harmless": 7, "flags": []}
        say(people[0], sample, verdict, KINDS["ratings"])
        assert watching.stdout.readline() == "watched: 1 new, 0 changed, 0 deleted\n"
        watching.send_signal(signal.SIGTERM)
        assert watching.communicate(timeout=60)[0] == "stopped\n"
    finally:
        last_resort.cancel()
        watching.kill()


@pytest.mark.slow
def test_a_changed_page_and_a_deleted_project_are_told(folder: Path, client: Client, tmp_path: Path) -> None:
    corpuscle("label", "create", "demonstrations", "--name", "touched")
    with Folder(folder).database() as database:
        remote = get_project(database, "touched").remote_id
    config = client.project(remote)["label_config"]
    changed = re.sub("(<View[^>]*>)", r'\1<Header value="More"/>', config, count=1)
    client.update_project(remote, label_config=changed)
    rows = write(tmp_path / "rows.jsonl", [{"messages": [{"role": "user", "content": "Say hello."}]}])
    told = corpuscle("label", "push", "touched", str(rows)).stdout
    assert "warning: touched: its labelling configuration was changed" in told
    assert "1 sent" in told
    told = corpuscle("label", "pull", "touched").stdout
    assert told.startswith("touched: 0 new, 0 changed, 0 deleted\nwarning: touched: its labelling configuration was")
    client.delete_project(remote)
    done = corpuscle("label", "push", "touched", check=False)
    assert done.returncode == 1
    assert "is gone from" in done.stderr


@pytest.mark.slow
def test_a_project_of_another_server_is_not_touched(folder: Path, label_studio: LabelStudio) -> None:
    corpuscle("label", "create", "corrections", "--name", "here")
    here = Folder(folder)
    elsewhere = label_studio.url.replace("127.0.0.1", "localhost")
    corpuscle("label", "connect", elsewhere, LABEL_STUDIO_API_KEY=here.connection().token)
    done = corpuscle("label", "push", "here", check=False)
    assert f"error: here is on {label_studio.url}, and the folder is connected with {elsewhere}" in done.stderr
