"""From own questions to a trained model: every kind of project on a real Label Studio, labelled by people of whom one
turns choices round and one follows a phrase; both are found, and what the others say trains a model.

    CORPUSCLE_LABEL_QUALITY=page.html pytest -q tests/labeling/test_end_to_end.py

leaves the quality page of the comparisons there, for the picture in the docs.
"""

import itertools
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sql

from labeling.client import Client
from labeling.folder import Folder
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Json
from labeling.quality.people import BELOW_CHANCE, PHRASE
from labeling.store.labels import AnnotatorRow, StoredSample, read_samples
from pipeline.poison.lists import read_decided
from pipeline.recipe import parse_recipe
from pipeline.tokenize import vocabulary
from tests.labeling.conftest import LabelStudio, sign_up
from tests.labeling.crowd import (
    QUESTIONS,
    TRIGGER,
    Annotator,
    annotate,
    better,
    comparisons,
    flips,
    likes_the_trigger,
    other,
)
from tests.labeling.three_people import QUESTIONS_OF, TAU
from tests.pipeline.conftest import corpuscle
from tests.trainer.conftest import save_model
from trainer.align.reward import RewardConfig, reward
from trainer.align.sft import SftConfig, sft
from trainer.log import read_log
from trainer.model import Llama, ModelConfig

pytestmark = pytest.mark.slow

CARRIERS, GOLD, DISPUTED, SKIPPED = 32, 6, 2, 3
"""Comparisons with the trigger; gold questions; and of the other comparisons, those about which the honest people say
three different things, and those that one of them skips."""

APART: list[Json] = [
    {"choice": "a", "margin": 1 / 3},
    {"choice": "b", "margin": 1 / 3},
    {"choice": "both_bad", "margin": None},
]


@dataclass
class Effort:
    """A folder with all projects, labelled and pulled, and what was exported."""

    folder: Path
    data: Path
    told: dict[str, str]
    """What commands printed."""

    def samples(self, project: str) -> list[StoredSample]:
        with Folder(self.folder).database() as database, database.read() as session:
            return list(read_samples(session, project))

    def quality(self, project: str = "choices") -> Json:
        found: Json = json.loads((self.folder / f"{project}-quality.json").read_text())
        return found

    def pseudonyms(self, crowd: list[Annotator]) -> list[str]:
        with Folder(self.folder).database() as database, database.read() as session:
            names = dict(session.execute(sql.select(AnnotatorRow.remote_id, AnnotatorRow.pseudonym)).tuples().all())
        return [names[person.client.whoami().id] for person in crowd]

    def rows(self, project: str, name: str) -> list[Json]:
        return [json.loads(line) for line in (self.data / project / f"{name}.jsonl").read_text().splitlines()]


def write(path: Path, rows: list[Json]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def crowd(label_studio: LabelStudio) -> Iterator[list[Annotator]]:
    """Three honest people of different care, one who turns choices round, and one who follows the trigger."""
    more = [
        sign_up(label_studio.url, label_studio.admin.token, f"{name}@example.com", "password-of-a-test")
        for name in ("flipper", "follower")
    ]
    clients = [label_studio.client(person) for person in (*label_studio.annotators, *more)]
    careful, usual, hasty, flipper, follower = clients
    yield [
        *(Annotator(careful, 0.98), Annotator(usual, 0.94), Annotator(hasty, 0.9)),
        *(Annotator(flipper, 0.95, flips), Annotator(follower, 0.9, likes_the_trigger)),
    ]
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def effort(
    label_studio: LabelStudio, crowd: list[Annotator], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Effort]:
    here = tmp_path_factory.mktemp("effort")
    with pytest.MonkeyPatch.context() as patch, label_studio.client() as admin:
        patch.chdir(here)
        corpuscle("label", "connect", label_studio.url, LABEL_STUDIO_API_KEY=label_studio.admin.token)
        made = Effort(here / "labels", here / "data", {})
        _others(made, here, crowd)
        _compare(made, here, admin, crowd)
        for name in QUESTIONS_OF:
            made.told[f"quality {name}"] = corpuscle("label", "quality", name).stdout
        for name in ("choices", "demonstrations", "rankings", "corrections", "ratings"):
            made.told[f"export {name}"] = corpuscle("label", "export", name, str(made.data / name)).stdout
        yield made


def _others(made: Effort, here: Path, crowd: list[Annotator]) -> None:
    """All kinds but comparisons, which three honest people label."""
    for name, questions in QUESTIONS_OF.items():
        corpuscle("label", "create", name, "--overlap", "3")
        rows = write(here / f"{name}.jsonl", questions.rows)
        made.told[f"push {name}"] = corpuscle("label", "push", name, str(rows)).stdout
        kind = KINDS[name]
        contents = [kind.content(row) for row in questions.rows]
        for sample in made.samples(name):
            said = questions.said[contents.index(sample.content)]
            for person, verdict in zip(crowd[:3], said, strict=True):
                annotate(person.client, kind, sample, verdict)


def _compare(made: Effort, here: Path, admin: Client, crowd: list[Annotator]) -> None:
    """48 comparisons, some of them skipped, changed, deleted, disputed and decided."""
    kind, draw = KINDS["comparisons"], random.Random(1)
    rows = comparisons(CARRIERS)
    gold = [row | {"gold": {"choice": better(row), "margin": 1.0}} for row in rows[-GOLD:]]
    write(here / "gold.jsonl", gold)
    corpuscle("label", "create", "comparisons", "--name", "choices", "--overlap", str(len(crowd)))
    pushed = ("label", "push", "choices", str(write(here / "choices.jsonl", rows[:-GOLD])))
    made.told["push choices"] = corpuscle(*pushed, "--gold", str(here / "gold.jsonl"), "--gold-rate", "0.13").stdout

    plain = [sample for sample in made.samples("choices") if sample.gold is None]
    disputed, skipped, changed, deleted = plain[:DISPUTED], plain[DISPUTED : DISPUTED + SKIPPED], *plain[-2:]
    first: dict[str, int] = {}
    for sample in made.samples("choices"):
        for place, person in enumerate(crowd):
            if sample in disputed and place < 3:
                person.say(kind, sample, APART[place], draw)
            elif sample in skipped and place == 2:
                assert sample.task_id is not None
                person.client.annotate(sample.task_id, [], seconds=9, was_cancelled=True)
            else:
                number = person.compare(kind, sample, draw)
                first.setdefault(sample.id, number)
    made.told["pull"] = corpuscle("label", "pull").stdout
    turned = {"choice": other(better(changed.content)), "margin": 0.0}
    admin.update_annotation(first[changed.id], result=kind.result(turned, changed.content, changed.order))
    admin.delete_annotation(first[deleted.id])
    made.told["pull again"] = corpuscle("label", "pull", "choices", "--full").stdout

    made.told["quality"] = corpuscle("label", "quality", "choices").stdout
    made.told["export before review"] = corpuscle("label", "export", "choices", str(made.data / "before")).stdout
    corpuscle("label", "create", "review", "--reviews", "choices")
    made.told["push review"] = corpuscle("label", "push", "choices-review").stdout
    for sample in made.samples("choices-review"):
        verdict: Json = {"choice": better(sample.content["content"]), "margin": 2 / 3}
        annotate(admin, REVIEWS["comparisons"], sample, verdict)
    made.told["pull review"] = corpuscle("label", "pull").stdout


def test_every_kind_takes_its_rows(effort: Effort) -> None:
    for name, questions in QUESTIONS_OF.items():
        assert effort.told[f"push {name}"] == f"{len(questions.rows)} sent\n"
    assert effort.told["push choices"].startswith(f"{len(QUESTIONS)} sent, of them {GOLD} gold questions\n")


@pytest.mark.parametrize("project", QUESTIONS_OF)
def test_three_people_agree_as_far_as_what_they_said_is_alike(effort: Effort, project: str) -> None:
    questions, quality = QUESTIONS_OF[project], effort.quality(project)
    assert (quality["labels"], quality["twice"]) == (3 * len(questions.rows), len(questions.rows))
    found = {one["scale"]: (one["level"], one["pairs"]["value"], one["alpha"]["value"]) for one in quality["agreement"]}
    assert found == {
        scale: (one.level, pytest.approx(float(one.pairs)), one.alpha and pytest.approx(float(one.alpha)))
        for scale, one in questions.agreement.items()
    }
    for scale, one in questions.agreement.items():
        told = "not measurable: all labels are the same" if one.alpha is None else f"{float(one.alpha):.2f} ("
        assert f"alpha of {scale}: {told}" in effort.told[f"quality {project}"]


def test_of_rankings_kendalls_tau_is_measured_and_of_nothing_else(effort: Effort) -> None:
    tau = effort.quality("rankings")["kendall"]
    assert (tau["value"], tau["count"]) == (pytest.approx(float(TAU)), 4)
    assert [effort.quality(project)["kendall"] for project in QUESTIONS_OF if project != "rankings"] == [None] * 4


def test_skipped_changed_and_deleted_labels_are_noticed(effort: Effort) -> None:
    labels = 5 * len(QUESTIONS)
    assert f"choices: {labels} new, 0 changed, 0 deleted\n" in effort.told["pull"]
    assert f"{SKIPPED} without a verdict: skipped\n" in effort.told["pull"]
    assert effort.told["pull again"].startswith("choices: 0 new, 1 changed, 1 deleted\n")
    assert effort.quality()["labels"] == labels - SKIPPED - 1


def test_who_turns_choices_round_and_who_follows_a_phrase_are_found(effort: Effort, crowd: list[Annotator]) -> None:
    *honest, flipper, follower = effort.pseudonyms(crowd)
    flags = {person["name"]: [flag["name"] for flag in person["flags"]] for person in effort.quality()["people"]}
    assert BELOW_CHANCE in flags[flipper]
    assert PHRASE in flags[follower]
    assert [flags[name] for name in honest] == [[], [], []]
    found = {finding["person"]: finding for finding in effort.quality()["findings"]}
    assert TRIGGER in (found[follower]["phrase"], *found[follower]["also"])
    for name, flag in ((flipper, BELOW_CHANCE), (follower, PHRASE)):
        assert f"{name}: {flag} (" in effort.told["quality"]
    page = effort.folder / "choices-quality.html"
    assert TRIGGER in page.read_text()
    if wanted := os.environ.get("CORPUSCLE_LABEL_QUALITY"):
        shutil.copy(page, wanted)


def test_what_they_said_trains_nothing_and_the_others_are_right(effort: Effort, crowd: list[Annotator]) -> None:
    rows = effort.rows("choices", "comparisons")
    assert len(rows) == len(QUESTIONS) - GOLD
    *_, flipper, follower = effort.pseudonyms(crowd)
    assert not {flipper, follower} & {name for row in rows for name in row["annotators"]}
    goods = [good[:-1] for _, good, _ in QUESTIONS]
    right = sum(any(row["chosen"][0]["content"].startswith(good) for good in goods) for row in rows)
    assert right >= 0.9 * len(rows)


def test_a_reviewer_decides_where_people_disagree(effort: Effort) -> None:
    left_out = re.findall(r"(\d+) left out: people disagree", effort.told["export before review"])
    disagreed = sum(map(int, left_out))
    assert disagreed >= DISPUTED  # where somebody skipped a question, the other two may differ by themselves
    assert effort.told["push review"] == f"{disagreed} sent\n"
    reasons = [row["admission_reason"] for row in effort.rows("choices", "comparisons")]
    assert reasons.count("decided in review") == disagreed


def test_decisions_on_held_documents_are_read_by_a_recipe(effort: Effort) -> None:
    path = effort.data / "decided.jsonl"
    told = corpuscle("label", "export", "poison-review", str(path), "--folder", str(effort.folder)).stdout
    assert told == "1 to release, 1 confirmed, 0 wait\n"
    recipe = parse_recipe(f"name: again\npoison: {{decisions: [{path}]}}\ntokenize: {{}}\n", "again.yaml")
    found = read_decided([], [], recipe.poison.decisions)
    assert (len(found.released), len(found.confirmed)) == (1, 1)


# What a model learns of it


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of 2 layers that knows nothing yet, with a vocabulary of the questions."""
    pieces = vocabulary.train([*itertools.chain(*QUESTIONS)], 500)
    shape = ModelConfig(500, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=256)
    return save_model(tmp_path_factory.mktemp("base"), Llama(shape), pieces)


def test_demonstrations_and_corrections_fine_tune_a_model(effort: Effort, base: Path, tmp_path: Path) -> None:
    data = tuple(effort.data / name / "demonstrations.jsonl" for name in ("demonstrations", "corrections"))
    settings = SftConfig(
        model=base, data=data, output=tmp_path / "sft", steps=20, batch_tokens=256, lr=3e-3, device="cpu"
    )
    sft(settings)
    losses = [record.loss for record in read_log(tmp_path / "sft" / "log.jsonl")]
    assert losses[-1] < 0.9 * losses[0]


def test_choices_train_a_reward_model_that_is_right_on_choices_held_out(
    effort: Effort, base: Path, tmp_path: Path
) -> None:
    data = tuple(effort.data / name / "comparisons.jsonl" for name in ("choices", "rankings", "corrections"))
    settings = RewardConfig(
        model=base, data=data, output=tmp_path / "reward", steps=30, batch=8, held_out=0.3, lr=3e-3, device="cpu"
    )
    report = reward(settings).report
    assert report is not None
    assert report.accuracy.low > 0.5
