"""A measurement store: shared, killed, upgraded, exported."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_device_measurement import MEASUREMENT

from hwnas.device import Item, MeasurementStore, Stored, export_store, import_store
from hwnas.device._store.schema import LAYOUTS
from hwnas.errors import DeviceError

CONV = Item("operator", {"type": "Conv2d", "kernel": 3, "inputs": [[1, 3, 32, 32]]})
NET = Item("network", {"onnx": "0123"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(tmp_path / "deep" / "store.sqlite") as one:
        yield one


def test_equal_descriptions_are_one_item() -> None:
    shuffled = Item("operator", {"inputs": [[1, 3, 32, 32]], "kernel": 3, "type": "Conv2d"})
    assert shuffled.key == CONV.key
    assert Item("unit", CONV.description).key != CONV.key
    assert Item("operator", {**CONV.description, "kernel": 5}).key != CONV.key


@pytest.mark.parametrize("description", [{"x": float("nan")}, {"x": object()}])
def test_items_are_plain_json(description: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match="plain JSON"):
        Item("operator", description)


def test_what_was_put_is_got_and_nothing_else(store: MeasurementStore) -> None:
    assert store.get(CONV) is None
    store.put(CONV, MEASUREMENT)
    assert store.get(CONV) == MEASUREMENT
    assert store.get(CONV, device="local", threads=1, precision="fp32", metric="latency")
    assert store.get(CONV, threads=2) is None
    assert store.get(CONV, device="pixel") is None
    assert store.get(NET) is None
    with pytest.raises(DeviceError, match="'speed' is no condition"):
        store.get(CONV, speed=1)


def test_the_newest_counts_and_none_is_lost(store: MeasurementStore) -> None:
    later = replace(MEASUREMENT, median=9.9)
    store.put(CONV, MEASUREMENT)
    store.put(CONV, later)
    assert store.get(CONV) == later
    assert [one.measurement for one in store.all()] == [MEASUREMENT, later]


def test_it_lasts(store: MeasurementStore) -> None:
    store.put(CONV, MEASUREMENT)
    store.close()
    with MeasurementStore(store.path) as again:
        assert again.get(CONV) == MEASUREMENT


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_export_and_import(store: MeasurementStore, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    store.put(CONV, MEASUREMENT)
    store.put(NET, replace(MEASUREMENT, canary=None, device='a "b", c'))
    file = tmp_path / f"table{suffix}"
    assert export_store(store, file) == 2
    with MeasurementStore(tmp_path / "other.sqlite") as other:
        assert import_store(other, file) == 2
        assert list(other.all()) == list(store.all())
        assert import_store(other, file) == 0  # Again: they are there.
        assert len(other) == 2
    assert export_store(store, file, device="local") == 1


def test_a_broken_row_is_named_and_nothing_is_imported(
    store: MeasurementStore, tmp_path: Path
) -> None:
    store.put(CONV, MEASUREMENT)
    store.put(NET, MEASUREMENT)
    file = tmp_path / "table.csv"
    export_store(store, file)
    broken = tmp_path / "broken.csv"
    lines = file.read_text().splitlines(keepends=True)
    with MeasurementStore(tmp_path / "other.sqlite") as other:
        for wrong, message in (
            (lines[2].replace('""median"": 10.0', '""median"": NaN'), "row 2: .*nan"),
            (lines[2].replace(NET.key, CONV.key), "row 2: the key is not that"),
            (lines[2].replace("network", "planet"), "row 2: 'planet' is no kind"),
            (lines[2][:80], "row 2: malformed"),
        ):
            assert wrong != lines[2]
            broken.write_text("".join([*lines[:2], wrong]))
            with pytest.raises(DeviceError, match=message):
                import_store(other, broken)
        broken.write_text("key,kind\na,b\n")
        with pytest.raises(DeviceError, match=r"row 1: the column 'description' is missing"):
            import_store(other, broken)
        assert len(other) == 0
    with pytest.raises(DeviceError, match="cannot be read"):
        import_store(store, tmp_path / "absent.csv")
    with pytest.raises(DeviceError, match=r"\.csv or \.parquet"):
        export_store(store, tmp_path / "table.xlsx")


def _write(path: Path, number: int, count: int) -> None:
    with MeasurementStore(path) as store:
        for i in range(count):
            store.put(Item("operator", {"writer": number, "i": i}), MEASUREMENT)


def test_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, n, 25)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    with MeasurementStore(path) as store:
        assert len({one.item.key for one in store.all()}) == len(store) == 100


_PUT_FOREVER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_device_measurement import MEASUREMENT
from hwnas.device import Item, MeasurementStore
store = MeasurementStore(sys.argv[1])
for i in range(100_000):
    store.put(Item("operator", {"i": i}), MEASUREMENT)
    print(i, flush=True)
"""


def test_kill_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", _PUT_FOREVER, str(path), os.path.dirname(__file__)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    told += [int(line) for line in child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()
    with MeasurementStore(path) as store:  # What it has told is there, and no more than one beyond.
        kept = [one.item.description["i"] for one in store.all()]
        assert kept == list(range(len(kept)))
        assert len(kept) >= len(told)
        store.put(CONV, MEASUREMENT)


def test_a_full_disk_is_an_error_and_the_store_stays_whole(
    store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(CONV, MEASUREMENT)
    # SQLite's own limit gives the error of a full disk.
    store._database.execute("PRAGMA max_page_count = 8")
    many = [
        Stored(Item("network", {"i": i, "pad": "x" * 4000}), MEASUREMENT, 0.0) for i in range(100)
    ]
    with pytest.raises(DeviceError, match="cannot be written: database or disk is full"):
        store.put_all(many)
    store.close()
    with MeasurementStore(store.path) as again:
        assert len(again) == 1  # All of them or none.
        again.put(NET, MEASUREMENT)


def _old_store(path: Path) -> None:
    """A store as layout 1 had it."""
    with sqlite3.connect(path) as old:
        LAYOUTS[0](old)
        told = CONV.key, CONV.kind, CONV.text
        old.execute(
            "INSERT INTO measurements VALUES (NULL, ?, ?, ?, ?, ?, ?, 1, 1, 'fp32', 'latency', ?)",
            (*told, "local", "torch", "2", json.dumps(MEASUREMENT.to_dict())),
        )
        old.execute("PRAGMA application_id = 1752657523")
        old.execute("PRAGMA user_version = 1")
    old.close()


def test_an_older_layout_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    _old_store(path)
    shutil.copy(path, tmp_path / "copy.sqlite")
    with MeasurementStore(path) as store:
        assert store.get(CONV, accelerator="cpu") == MEASUREMENT
        store.put(NET, MEASUREMENT)
        assert len(store) == 2
    with MeasurementStore(path) as again:
        assert len(again) == 2


def _open(path: Path) -> None:
    MeasurementStore(path).close()


def test_several_upgrade_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    _old_store(path)
    context = multiprocessing.get_context("spawn")
    many = [context.Process(target=_open, args=(path,)) for _ in range(3)]
    for one in many:
        one.start()
    for one in many:
        one.join(120)
        assert one.exitcode == 0
    with MeasurementStore(path) as store:
        assert store.get(CONV) == MEASUREMENT


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    _open(newer)
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(DeviceError, match=r"layout 99.*update hwnas"):
        MeasurementStore(newer)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(DeviceError, match="something else"):
        MeasurementStore(other)
    text = tmp_path / "text.sqlite"
    text.write_text("not a database at all, but long enough to be read as one " * 20)
    before = text.read_bytes()
    with pytest.raises(DeviceError, match="no measurement store"):
        MeasurementStore(text)
    assert text.read_bytes() == before
    with pytest.raises(DeviceError, match="cannot be opened"):
        MeasurementStore(tmp_path)


def test_readers_do_not_wait(store: MeasurementStore) -> None:
    store.put(CONV, MEASUREMENT)
    with sqlite3.connect(store.path) as writer:
        writer.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with MeasurementStore(store.path) as reader:
            assert reader.get(CONV) == MEASUREMENT
        assert time.monotonic() - start < 30
        writer.rollback()
    writer.close()
