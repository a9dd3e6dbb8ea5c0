"""A loop's Airflow while it runs: whether it lives, Label Studio's hints handed on to `label_sync`, old data removed.

A hint is an event of the asset `label_events`. Airflow may lose one of two that come close together, so those of two
seconds are one; and a lost one costs no more than an interval, which the DAG has besides.
"""

import time
from collections.abc import Callable

from flywheel.airflow.api import Api, ApiError
from flywheel.airflow.clean import clean, due
from flywheel.airflow.process import Airflow
from flywheel.airflow.webhooks import Webhooks
from labeling.watch import GATHER
from labeling.webhook import Receiver

ASSET = "label_events"
LOOK = 1.0
"""Seconds between two looks whether all parts live."""
REFRESH = 10.0
"""Seconds between two looks for projects that have no webhook yet."""


def watch(airflow: Airflow, webhooks: Webhooks, receiver: Receiver, say: Callable[[str], None]) -> None:
    """Returns never; raises ServerError where a part of Airflow ends by itself."""
    refreshed = -REFRESH
    while True:
        airflow.check()
        if time.monotonic() - refreshed > REFRESH:
            webhooks.refresh()
            refreshed = time.monotonic()
            if due(airflow.home) and (fault := clean(airflow.home)):  # 2 s of a core, for which a hint waits
                say(fault)
        if receiver.wait(LOOK):
            time.sleep(GATHER)
            receiver.hint.clear()
            hand_on(airflow.api, say)


def hand_on(api: Api, say: Callable[[str], None]) -> None:
    """Posts a hint to Airflow; one that can't be posted is told, and lost."""
    try:
        api.asset_event(ASSET, {"from": "webhook"})
    except ApiError as error:
        say(f"a hint of Label Studio was lost, so the new labels come at the next interval: {error}")
