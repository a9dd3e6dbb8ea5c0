"""The assets by which DAGs wake each other. An event says "look now" and no more: the store has what there is.

Events may be lost, come twice or out of order; whoever is woken counts for itself, and looks from time to time anyway.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException


def _asset(name: str) -> Asset:
    return Asset(name=name, uri=f"x-corpuscle://{name}", group="corpuscle")


MISBEHAVIOURS = _asset("misbehaviours")
"""Something was found that the model did wrong."""
CORRECTIONS = _asset("corrections")
"""People agreed on right answers."""
LABEL_EVENTS = _asset("label_events")
"""Somebody clicked in Label Studio: posted by the receiver of its webhooks, over Airflow's API."""
CHECKPOINT = _asset("checkpoint")
"""People talk to another checkpoint."""
CORPUS = _asset("corpus")
"""A corpus was made of a new crawl."""


def announce(asset: Asset, steps: Iterable[Mapping[str, Any]], events: Any) -> None:
    """Lets the event of a task's outlet say what was done; a task for which nothing was is skipped, without an event.

    `events` is what Airflow gives a task as `outlet_events`. Raises AirflowSkipException.
    """
    done = [f"{step['name']}: {step['said']}" for step in steps if step["did"]]
    if not done:
        raise AirflowSkipException("nothing new, so nobody is woken")
    events[asset].extra = {"said": "; ".join(done)}
