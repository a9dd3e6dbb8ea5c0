"""What the documentation tells a program to send, and of which controls: they are those that the kinds read."""

import json
import re
from pathlib import Path

import httpx
import pytest

from labeling.client import Client
from labeling.create import create
from labeling.kinds import KINDS
from labeling.kinds.corrections import Corrections
from labeling.kinds.kind import Json, Sample, sample_id
from labeling.pull import pull
from labeling.push import push
from labeling.store.database import Database
from labeling.store.labels import read_annotations, read_samples
from tests.labeling.conftest import LabelStudio

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "labeling.md").read_text("utf-8")
SECTION = TEXT.partition("### Labels of a program")[2].partition("\n## ")[0]
ROW: Json = {
    "messages": [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Lyon."},
    ]
}
VERDICT = {"category": "wrong", "refusal": "none", "answer": "Paris."}


def shown() -> Json:
    """The body of the request in the documentation."""
    (found,) = re.findall(r"-d '(.*?)'\n", SECTION, re.DOTALL)
    body: Json = json.loads(found)
    return body


def test_the_documented_labels_of_a_correction_are_its_verdict() -> None:
    kind = Corrections()
    assert kind.verdict(shown()["result"], kind.content(ROW), ()) == VERDICT


@pytest.mark.parametrize("kind", KINDS)
def test_the_documented_controls_are_those_of_the_page(kind: str) -> None:
    controls, under = set(), ""
    for line in SECTION.splitlines():
        if line.startswith("| "):
            first, names, to, _ = (cell.strip() for cell in line.strip("|").split("|"))
            under = first.strip("`") or under
            controls |= {(name, to.strip("`")) for name in re.findall(r"`(\w+)`", names) if under == kind}
    assert controls == set(re.findall(r'<\w+ name="(\w+)" toName="(\w+)"', KINDS[kind].config()))


@pytest.mark.slow
def test_the_documented_request_labels_a_task_of_a_real_server(
    label_studio: LabelStudio, client: Client, tmp_path: Path
) -> None:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as store:
        project, content = create(store, client, "corrections", "capitals"), Corrections().content(ROW)
        push(store, client, project.name, [Sample(sample_id("corrections", content), content)])
        with store.read() as session:
            (sample,) = read_samples(session, project.name)
        sent = httpx.post(
            f"{client.url}/api/tasks/{sample.task_id}/annotations/",
            json=shown(),
            headers={"Authorization": f"Token {label_studio.annotators[0].token}"},
            timeout=60,
        )
        assert sent.status_code == 201, sent.text
        pull(store, client, project.name)
        with store.read() as session:
            (label,) = read_annotations(session, project.name)
    assert label.verdict == VERDICT
