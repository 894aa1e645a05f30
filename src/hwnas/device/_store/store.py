"""Measurements kept in a file: measure on the target, search elsewhere."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.device._closing import Closing
from hwnas.device._item import Item
from hwnas.device._measurement import Measurement
from hwnas.device._paths import cache_folder
from hwnas.device._store.schema import open_database
from hwnas.errors import DeviceError

CONDITIONS = (
    "device",
    "runtime",
    "runtime_version",
    "threads",
    "batch_size",
    "precision",
    "accelerator",
    "metric",
)
"""What a query may name beside the item."""

COLUMNS = ("key", "kind", "description", *CONDITIONS, "taken", "measurement")


@dataclass(frozen=True)
class Stored:
    """A measurement with what it was taken of, and when.

    Attributes:
        taken: seconds since 1970 (UTC) of the moment it was stored first; 0 if not known.
    """

    item: Item
    measurement: Measurement
    taken: float

    def row(self) -> dict[str, Any]:
        """Plain values: the columns of exported tables."""
        one, where = self.measurement, self.measurement.environment
        return {
            "key": self.item.key,
            "kind": self.item.kind,
            "description": self.item.text,
            "device": one.device,
            "runtime": where.runtime,
            "runtime_version": where.runtime_version,
            "threads": where.threads,
            "batch_size": where.batch_size,
            "precision": where.precision,
            "accelerator": where.accelerator,
            "metric": one.metric,
            "taken": self.taken,
            "measurement": json.dumps(one.to_dict(), sort_keys=True, allow_nan=False),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Stored:
        """The inverse of `row`; columns that repeat the measurement are passed over.

        Raises:
            DeviceError: a column is missing or malformed, or the key is not that of the item.
        """
        try:
            description, measurement = (
                json.loads(row["description"]),
                json.loads(row["measurement"]),
            )
            item, taken = Item(row["kind"], description), float(row["taken"])
            key = row["key"]
        except KeyError as error:
            raise DeviceError(f"the column {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise DeviceError(f"malformed: {error}") from error
        if not isinstance(measurement, dict) or not isinstance(description, dict):
            raise DeviceError("malformed: description and measurement are JSON objects")
        if key != item.key:
            raise DeviceError("the key is not that of its kind and description")
        return cls(item, Measurement.from_dict(measurement), taken)


class MeasurementStore(Closing):
    """Measurements of layers and networks in one SQLite file.

    Only measurements go in: what failed is not stored, so it is tried again and never counts as
    zero. Nothing is overwritten; `get` answers with the newest. Several processes and threads may
    read and write at once; what `put` returned from survives a kill and a power cut. A store that
    an older version wrote is upgraded when it is opened.

    Args:
        path: the file, made if it is not there; by default one per user, in the cache folder. It
            should lie on a local disk: SQLite's locks do not hold on every network file system.

    Raises:
        DeviceError: the file is something else, or written by a newer version.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = cache_folder() / "measurements.sqlite" if path is None else Path(path)
        try:
            self._database = open_database(self.path)
        except (OSError, sqlite3.Error) as error:
            raise DeviceError(f"the store {self.path} cannot be opened: {error}") from error
        self._mutex = threading.Lock()

    def put(self, item: Item, measurement: Measurement) -> None:
        """Store one measurement; see `put_all`."""
        self.put_all([Stored(item, measurement, time.time())])

    def put_all(self, many: Iterable[Stored]) -> int:
        """Store measurements, all or none; those that are here already are passed over.

        Returns:
            how many were new.

        Raises:
            DeviceError: they cannot be written, as on a full disk.
        """
        rows = []
        for one in many:
            row = one.row()
            told = f"{row['key']} {row['taken']!r} {row['measurement']}"
            digest = hashlib.sha256(told.encode()).hexdigest()
            rows.append((*(row[column] for column in COLUMNS), digest))
        names = ", ".join((*COLUMNS, "digest"))
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        with self._mutex:
            before = self._database.total_changes
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    f"INSERT OR IGNORE INTO measurements ({names}) VALUES ({marks})", rows
                )
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise DeviceError(f"{self.path} cannot be written: {error}") from error
            return self._database.total_changes - before

    def get(self, item: Item, **conditions: str | int) -> Measurement | None:
        """The newest measurement of `item` under these conditions; None if there is none.

        Args:
            conditions: of `device`, `runtime`, `runtime_version`, `threads`, `batch_size`,
                `precision`, `accelerator` and `metric`, those that matter.

        Raises:
            DeviceError: another condition.
        """
        found = list(self._select(item.key, conditions, "ORDER BY taken DESC, id DESC LIMIT 1"))
        return found[0].measurement if found else None

    def all(self, **conditions: str | int) -> Iterator[Stored]:
        """Every measurement under these conditions (see `get`), oldest first."""
        return self._select(None, conditions, "ORDER BY id")

    def __len__(self) -> int:
        with self._mutex:
            row = self._database.execute("SELECT count(*) FROM measurements").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file; the store is of no use any more."""
        with self._mutex:
            self._database.close()

    def _select(
        self, key: str | None, conditions: Mapping[str, str | int], tail: str
    ) -> Iterator[Stored]:
        if unknown := sorted(set(conditions) - set(CONDITIONS)):
            known = ", ".join(CONDITIONS)
            raise DeviceError(f"'{unknown[0]}' is no condition of a store; they are {known}")
        wanted = dict(conditions) if key is None else {"key": key, **conditions}
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        query = f"SELECT {', '.join(COLUMNS)} FROM measurements WHERE {where} {tail}"
        with self._mutex:
            try:
                rows = self._database.execute(query, tuple(wanted.values())).fetchall()
            except sqlite3.Error as error:
                raise DeviceError(f"{self.path} cannot be read: {error}") from error
        for row in rows:
            yield Stored.from_row(dict(zip(COLUMNS, row, strict=True)))
