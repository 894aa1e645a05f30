"""The layout of a measurement store, and the way from older layouts to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hwnas.errors import DeviceError

_BUSY = 60.0  # seconds that a writer waits for others
_APPLICATION = 0x68776E73  # "hwns": tells a store from other SQLite files


def _first(database: sqlite3.Connection) -> None:
    database.execute(
        """
        CREATE TABLE measurements (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL,
            kind TEXT NOT NULL,
            description TEXT NOT NULL,
            device TEXT NOT NULL,
            runtime TEXT NOT NULL,
            runtime_version TEXT NOT NULL,
            threads INTEGER NOT NULL,
            batch_size INTEGER NOT NULL,
            precision TEXT NOT NULL,
            metric TEXT NOT NULL,
            measurement TEXT NOT NULL
        )
        """
    )
    database.execute("CREATE INDEX by_key ON measurements (key, device, metric)")


def _when_and_where(database: sqlite3.Connection) -> None:
    """Two GPUs of one device name, a time, and a digest by which an import is done only once."""
    for column in ("accelerator TEXT", "taken REAL", "digest TEXT"):
        database.execute(f"ALTER TABLE measurements ADD COLUMN {column}")
    database.execute(
        "UPDATE measurements SET taken = 0,"
        " accelerator = json_extract(measurement, '$.environment.accelerator'),"
        " digest = key || '/' || id"
    )
    database.execute("CREATE UNIQUE INDEX by_digest ON measurements (digest)")


LAYOUTS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _when_and_where)
"""What leads from each layout to the next; a new layout is a new last step."""


def open_database(path: Path) -> sqlite3.Connection:
    """The store at `path` in today's layout, made if it is not there.

    Raises:
        DeviceError: it is no store, a newer version wrote it, or it cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        # A reader does not wait for a writer, and a killed writer leaves nothing half written.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        _upgrade(path, database)
    except sqlite3.Error as error:
        database.close()
        raise DeviceError(f"{path} is no measurement store: {error}") from error
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(path: Path, database: sqlite3.Connection) -> None:
    if _layout(database) == len(LAYOUTS) and _owner(database) == _APPLICATION:
        return
    with closing(database.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")  # Of several that open an old store, one upgrades it.
        try:
            layout, owner = _layout(database), _owner(database)
            tables = cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if owner != _APPLICATION and (tables or layout):
                raise DeviceError(f"{path} is a database of something else, no measurement store")
            if layout > len(LAYOUTS):
                raise DeviceError(
                    f"{path} has layout {layout}; this version of hwnas knows up to "
                    f"{len(LAYOUTS)}: update hwnas, or give another store"
                )
            for step in LAYOUTS[layout:]:
                step(database)
            cursor.execute(f"PRAGMA application_id = {_APPLICATION}")
            cursor.execute(f"PRAGMA user_version = {len(LAYOUTS)}")
            cursor.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                cursor.execute("ROLLBACK")
            raise


def _layout(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _owner(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA application_id").fetchone()[0])
