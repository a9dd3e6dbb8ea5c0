"""What a scheduler asks of the loop, beside its steps: the settings, whether there is work, the index of a corpus."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, JsonOption, opened, say
from corpuscle.label.options import out
from corpuscle.terminal import plain


def settings(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Tell the settings with which the loop works: those of flywheel.yaml, and the defaults of all others.

    A password in the store's URL is left out.
    """
    from sqlalchemy.engine import make_url

    from flywheel.config import load
    from labeling.store.database import describe

    config = load(folder)
    told = config.model_dump(mode="json") | {"store": describe(make_url(config.store))}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for key, value in told.items():
        section = value if isinstance(value, dict) else {}
        for name, one in section.items():
            out().print(plain(f"{key}.{name}: {json.dumps(one, ensure_ascii=False)}"))
        if not isinstance(value, dict):
            out().print(plain(f"{key}: {json.dumps(value, ensure_ascii=False)}"))


def work(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Tell whether there is anything to train, judge or promote. It decides nothing: that is `decide`."""
    from flywheel.work import told
    from flywheel.work import work as find

    with opened(folder) as (_, database, _):
        found = find(database)
        said = told(database, found)
    if as_json:
        typer.echo(json.dumps({"said": said, "ready": found.ready} | asdict(found), ensure_ascii=False))
    else:
        out().print(plain(said))


def index(
    month: Annotated[str, typer.Argument(help="The corpus's folder in `corpora`, such as 2026-11.")],
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Make the search index of a month's corpus, and let corpora/current be the newest corpus that is whole.

    Corpora are where flywheel.yaml says, under `schedule`; `corpuscle run` makes them.
    """
    from flywheel.config import load
    from flywheel.corpora import index as make
    from flywheel.steps import Step

    corpora = load(folder).schedule.corpora
    found = make(corpora, month)
    said = f"{corpora / month}: {found.passages:,} passages can be searched; the newest corpus is {found.current}"
    say(Step("index", said, found.new), as_json)
