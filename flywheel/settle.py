"""`models/current.json` and the rows of promotions brought together, where a kill or a backup has parted them."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from flywheel.checkpoints import noted
from flywheel.config import Config
from flywheel.live import add, live, mark, pointer
from labeling.store.database import Database
from trainer.pointer import Pointer, read_pointer, write_pointer


def settle(database: Database, config: Config) -> str:
    """Says what was amiss, or nothing.

    A promotion that was killed before the file is finished; where the file differs by its number alone, as after a
    while with another store, nobody need know. A file whose promotion the store does not know was written after the
    store's last backup: what it says stays, and becomes a row, or the gate would compare with what nobody talks to.
    """
    try:  # before the rows: a promotion that comes in between is in them
        written, at = read_pointer(config.current), datetime.fromtimestamp(config.current.stat().st_mtime, UTC)
    except (FileNotFoundError, ValueError):
        written = None
    with database.read() as session:
        wanted = pointer(live(session), config.folder)
    if written is not None and written.promotion > (0 if wanted is None else wanted.promotion):
        if wanted is None or not same(written, wanted):
            with database.write() as session:
                if pointer(live(session), config.folder) == wanted:  # else another process has been faster
                    _adopt(session, config, written, at)
            said = "the store did not know of the last promotion: what current.json says was noted"
        else:
            said = ""  # but the numbers of a store that was restored begin lower
    elif wanted is None or (written is not None and same(written, wanted) and written.promotion == wanted.promotion):
        return ""
    elif written is not None and same(written, wanted):
        said = ""
    else:
        said = "a stopped promotion was finished: the pointer follows it now"
    follow(database, config)
    return said


def follow(database: Database, config: Config) -> None:
    """Has `current.json` say what the rows come to, of which there is one at least.

    They are read again after it was written: of two that promote at once, the first may be the last to write.
    """
    written = None
    while True:
        with database.read() as session:
            wanted = pointer(live(session), config.folder)
        assert wanted is not None
        if wanted == written:
            return
        write_pointer(config.current, wanted)
        written = wanted


def _adopt(session: Session, config: Config, written: Pointer, at: datetime) -> None:
    """Adds rows that come to what the pointer says."""
    why, found = "found in current.json, which the store did not know", live(session)
    current, canary = found.current, found.canary
    if current is None or current.checkpoint_id != written.id:
        if canary is not None:
            mark(session, canary.checkpoint_id, "refused", why)  # or it would be at work for ever
        path = noted(config, written.folder)
        current, canary = add(session, at, "promote", path, written.id, current, None, why), None
        mark(session, written.id, "promoted")
    elif canary is not None and (written.canary is None or written.canary.id != canary.checkpoint_id):
        add(session, at, "rollback", current.path, current.checkpoint_id, canary, current.verdict, why)
        mark(session, canary.checkpoint_id, "refused", why)
    tried = written.canary
    if tried is not None and (canary is None or (canary.checkpoint_id, canary.share) != (tried.id, tried.share)):
        add(session, at, "canary", noted(config, tried.folder), tried.id, current, None, why, tried.share)
        mark(session, tried.id, "canary")


def same(one: Pointer, other: Pointer) -> bool:
    """Whether they name the same checkpoints with the same share."""
    first, second = ((it.id, it.canary and (it.canary.id, it.canary.share)) for it in (one, other))
    return first == second
