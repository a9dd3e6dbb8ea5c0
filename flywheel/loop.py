"""Whose store this is: a loop's folder and its store hold the same id, so that two loops never share one store.

A copied flywheel.yaml, or one URL given twice, would mix two models' corrections, runs and promotions.
"""

import os
import uuid
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.config import FILE, Config
from flywheel.tables import Loop
from labeling.store.database import Database, StoreError, check_url

ID = "loop.id"


class LoopError(ValueError):
    """The store is another loop's, or not the loop's; the message names both and says what to do."""


def expect_store(config: Config) -> None:
    """Before the store is opened, which would make a new one: raises LoopError where a loop's SQLite file is gone."""
    if (id := _read(config.folder / ID)) is None:
        return
    try:
        check_url(config.store, must_be_there=True)
    except StoreError as error:
        raise _gone(config.folder, id, str(error)) from None


def join(database: Database, folder: Path, now: datetime, current: Path | None = None) -> str:
    """Makes sure that the folder and the store are of one loop, and returns its id; they become one at their first use.

    A folder may be moved or copied as a whole. A store that knows no loop, as one does that is new or was restored from
    a backup of the time before, joins the folder's; but not where `current`, the loop's `current.json`, is there: the
    loop has promoted, and its store knows that. Raises LoopError for another loop's store, OSError where the folder's
    id can't be written.
    """
    path = folder / ID
    with database.read() as session:
        owner = _owner(session)
    id = _read(path)  # behind the row, which another process of this folder writes after its id
    if owner is None:
        if id is not None and current is not None and current.exists():
            raise _gone(folder, id, f"{database.name} knows no loop, though {current} was promoted.")
        id = id or _make(path)
        with database.write() as session:
            owner = _owner(session)
            if owner is None:
                owner = id, now
                session.add(Loop(id=id, made=now))
    if owner[0] != id:
        mine = f"is loop {id}" if id else f"has no {ID}"
        raise LoopError(
            f"{database.name} is the store of loop {owner[0]} (since {owner[1]:%Y-%m-%d}), and {folder} {mine}. Name "
            f"another store in {folder}/{FILE}; or, if that loop's folder is lost and this one takes its place, write "
            f"{owner[0]} into {path}."
        )
    return id


def _gone(folder: Path, id: str, why: str) -> LoopError:
    return LoopError(
        f"{why} {folder} is loop {id}, and its store is elsewhere or lost: put the store back, or name it rightly in "
        f"{folder}/{FILE}; or remove {folder / ID} to begin anew with another store."
    )


def _owner(session: Session) -> tuple[str, datetime] | None:
    """The id of the store's loop, and since when."""
    found = session.execute(sql.select(Loop.id, Loop.made)).first()
    return None if found is None else (found.id, found.made)


def _read(path: Path) -> str | None:
    """Raises LoopError for a file that holds no id."""
    try:
        text = path.read_text("ascii").strip()
        return str(uuid.UUID(text))
    except FileNotFoundError:
        return None
    except ValueError:
        raise LoopError(
            f"{path} holds no loop's id; expected a UUID, such as the one of the table flywheel_loop."
        ) from None


def _make(path: Path) -> str:
    """Writes a new id, whole or not at all; where another process was faster, its id is the folder's."""
    id = str(uuid.uuid4())
    part = path.with_name(f".{path.name}.{id}.part")
    with part.open("w", encoding="ascii") as file:
        file.write(f"{id}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)  # unlike a rename, it never replaces
        return id
    except FileExistsError:
        return _read(path) or id
    finally:
        part.unlink()
