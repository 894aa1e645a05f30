"""Which devices a job asks workers for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hwnas.jobs._store.store import Store

_OBJECT = "queue.json"


def ask_for(store: Store, devices: Sequence[str]) -> None:
    """Tell the workers that see this store the names of the devices that are going to be needed."""
    store.put(_OBJECT, json.dumps(list(devices)).encode())


def asked_of(store: Store) -> list[str] | None:
    """These names; None before the job has begun."""
    return store.read(_OBJECT, list[str])
