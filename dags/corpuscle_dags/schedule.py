"""When things are done, how often they are tried, and which month a run is about."""

import os
import re
from datetime import datetime, timedelta
from typing import Any

from .alerts import alert

TRAINING = "training"
"""The pool, of one slot, of all that keeps a processor or an accelerator busy: two trainings never meet."""
LOOP = "loop"
"""The pool, of one slot, of the short steps that several DAGs take: two that pull labels would refuse each other."""

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def every(minutes: float) -> timedelta:
    """An interval: these minutes, or those of CORPUSCLE_EVERY_MINUTES. Raises ValueError where that is no number."""
    given = os.environ.get("CORPUSCLE_EVERY_MINUTES")
    found = timedelta(minutes=float(given) if given else minutes)
    if found < timedelta(seconds=1):
        raise ValueError(f"CORPUSCLE_EVERY_MINUTES is {given}; expected the minutes between two runs, such as 5 or 0.5")
    return found


def defaults() -> dict[str, Any]:
    """What all tasks have: two more tries, the first after a minute, half an hour for each, and an alert at the end."""
    return {
        "owner": "corpuscle",
        "retries": 2,
        "retry_delay": min(timedelta(minutes=1), every(1)),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": alert,
    }


def month_of(given: str | None, interval_start: datetime | None, run_after: datetime) -> str:
    """The month that a run is about, as 2026-11: the given one, that of its interval, or the last that is over.

    A run by schedule or by back-fill has an interval, a month; one by hand or by an asset may have none. Raises
    ValueError for a given text that is no month.
    """
    if given:
        if not _MONTH.fullmatch(given):
            raise ValueError(f"month is {given!r:.40}; expected a year and a month, such as 2026-11")
        return given
    if interval_start is None:
        interval_start = run_after.replace(day=1) - timedelta(days=1)
    return f"{interval_start:%Y-%m}"
