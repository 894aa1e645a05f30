"""Latency tables of others: what is read, repaired, refused, and never run."""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwnas.device import Item, MeasurementStore, SimulatedDevice, export_store
from hwnas.errors import PredictError, UsageError
from hwnas.jobs._measuring.networks import network_item
from hwnas.predict import read_sources
from hwnas.zoo import (
    fbnet,
    hat_features,
    nasbench201,
    ofa_mobilenetv3,
    read_nasbench201,
    write_fbnet,
    write_nasbench201,
    write_ofa,
)
from support import data_path

SPACE = nasbench201()
ARCHS = SPACE.neighbours(SPACE.default())[:24]
LATENCIES = [5.0 + row / 8 for row in range(len(ARCHS))]


class Evil:
    """Unpickled without care, this makes a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.witness}'",)


@pytest.fixture
def help_data(tmp_path: Path) -> Path:
    """A folder in HELP's layout with one sound device."""
    folder = tmp_path / "data" / "nasbench201"
    (folder / "latency").mkdir(parents=True)
    strings = {write_nasbench201(arch): row for row, arch in enumerate(ARCHS)}
    torch.save(strings, folder / "str_arch2idx.pt")
    torch.save(LATENCIES, folder / "latency" / "good.pt")
    (tmp_path / "LICENSE").write_text("\nMIT License\n\nCopyright\n")
    return folder


def write_csv(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def wide(path: Path, **columns: Sequence[object]) -> Path:
    """A CSV file with archs of `ARCHS` as JSON and a column for each device."""
    rows = zip(map(json.dumps, ARCHS), *columns.values(), strict=True)
    return write_csv(path, ["arch", *columns], list(rows))


def test_help_nasbench201() -> None:
    folder = data_path("help/nasbench201")
    found = read_sources(folder, "nasbench201", devices=["raspi4", "pixel2", "eyeriss"])
    table = found.table
    assert table.devices == ("raspi4", "pixel2", "eyeriss")
    assert len(table.archs) == 15_625 == len({json.dumps(arch) for arch in table.archs})
    strings = torch.load(folder / "str_arch2idx.pt", weights_only=True)
    for string, row in list(strings.items())[::500]:
        assert table.archs[row] == read_nasbench201(string)
    for name in table.devices:
        truth = np.array(torch.load(folder / "latency" / f"{name}.pt", weights_only=True))
        broken = truth < 0.01 * np.median(truth)
        np.testing.assert_array_equal(table.latencies[name], np.where(broken, np.nan, truth))
        assert table.provenance[name].licence == "MIT License"
        assert f"latency/{name}.pt" in table.provenance[name].source
    raspi4, pixel2, eyeriss = found.devices
    assert raspi4.measured == 15_625 - 201
    assert "201 of 15625 rows" in raspi4.notes[0]
    assert "row 10 (0.0116 ms)" in raspi4.notes[0]
    assert pixel2.resolution == 1.0 == table.provenance["pixel2"].resolution
    assert "ranks tie" in pixel2.notes[0]
    assert eyeriss.resolution is None
    assert eyeriss.distinct == 38


def test_help_strict_takes_the_sound_devices() -> None:
    folder = data_path("help")
    found = read_sources(folder, "nasbench201", devices=["raspi4", "fpga"], strict=True)
    assert found.table.devices == ("fpga",)
    assert list(found.refused) == ["raspi4"]
    assert "row 10 (0.0116 ms), row 104" in found.refused["raspi4"]


@pytest.mark.parametrize(
    ("space", "count"), [("fbnet", 16), ("ofa_mobilenetv3", 12)], ids=["fbnet", "ofa"]
)
def test_help_fbnet_and_ofa(space: str, count: int) -> None:
    table = read_sources(data_path("help"), space).table
    assert len(table.devices) == count
    assert table.input_shape == ((3, 32, 32) if space == "fbnet" else None)
    assert len(table.archs) == 5_000 == len({json.dumps(arch) for arch in table.archs})
    assert not any(np.isnan(values).any() for values in table.latencies.values())
    made = fbnet() if space == "fbnet" else ofa_mobilenetv3()
    for arch in table.archs[::250]:
        made.validate({k: v for k, v in arch.items() if k != "resolution"})
    if space == "ofa_mobilenetv3":
        assert {type(arch["resolution"]) for arch in table.archs} == {int}
        assert {arch["resolution"] for arch in table.archs} == set(range(128, 225, 4))


def test_fbnet_by_its_other_file(help_data: Path) -> None:
    lists = [[row % 9] * 22 for row in range(9)]
    content = {"dataset": "cifar100", "arch": [{"op_idx_list": one} for one in lists]}
    torch.save(content, help_data / "metainfo.pt")
    torch.save([1.0 + row for row in range(9)], help_data / "latency" / "good.pt")
    assert [write_fbnet(a) for a in read_sources(help_data, "fbnet").table.archs] == lists


def save_device(folder: Path, name: str, values: object) -> None:
    torch.save(values, folder / "latency" / f"{name}.pt")


def test_one_bad_device_does_not_lose_the_others(help_data: Path) -> None:
    save_device(help_data, "short", LATENCIES[:-1])
    save_device(help_data, "constant", [5.0] * len(LATENCIES))
    save_device(help_data, "text", "fast")
    save_device(help_data, "nothing", [float("nan")] * len(LATENCIES))
    save_device(help_data, "below zero", [-1.0, *LATENCIES[1:]])
    save_device(help_data, "many", [-1.0, -1.0, -1.0, *LATENCIES[3:]])
    save_device(help_data, "endless", [*LATENCIES[:-1], float("inf")])
    save_device(help_data, "unknown", [None, float("nan"), *LATENCIES[2:]])
    save_device(help_data, "words", [*LATENCIES[:5], "6", True, *LATENCIES[7:]])
    save_device(help_data, "tensor", torch.tensor(LATENCIES, dtype=torch.float64))
    (help_data / "latency" / "empty.pt").write_bytes(b"")
    (help_data / "latency" / ".hidden.pt").write_bytes(b"")
    found = read_sources(help_data.parent, "nasbench201")
    assert set(found.table.devices) == {
        *("below zero", "endless", "good", "tensor", "unknown", "words"),
    }
    why = found.refused
    assert set(why) == {"short", "constant", "text", "nothing", "many", "empty", ".hidden"}
    assert "23 latencies for 24 archs" in why["short"]
    assert "all 24 latencies are 5 ms" in why["constant"]
    assert "no list" in why["text"]
    assert "no measurement" in why["nothing"]
    assert "3 of 24 rows" in why["many"]
    notes = {one.device: " ".join(one.notes) for one in found.devices}
    assert "row 0 (-1 is no latency)" in notes["below zero"]
    assert "row 23 (inf is no latency)" in notes["endless"]
    assert "row 6 ('True' is no number)" in notes["words"]
    assert notes["good"] == notes["tensor"] == ""
    missing = {name: np.flatnonzero(np.isnan(v)) for name, v in found.table.latencies.items()}
    assert [missing[n].tolist() for n in ("below zero", "endless", "unknown")] == [
        [0],
        [23],
        [0, 1],
    ]
    np.testing.assert_array_equal(found.table.latencies["tensor"], LATENCIES)


@pytest.mark.parametrize("where", ["latency/good.pt", "str_arch2idx.pt"])
@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_what_would_run_code_is_refused_and_not_run(
    help_data: Path, tmp_path: Path, where: str, how: str
) -> None:
    witness = tmp_path / "ran"
    content = [*LATENCIES[:-1], Evil(witness)]
    if how == "pickle":
        (help_data / where).write_bytes(pickle.dumps(content))
    else:
        torch.save(content, help_data / where, _use_new_zipfile_serialization=how == "torch")
    save_device(help_data, "other", LATENCIES)
    if where == "str_arch2idx.pt":
        with pytest.raises(PredictError, match="is cut off, or holds other things than plain"):
            read_sources(help_data, "nasbench201")
    else:
        found = read_sources(help_data, "nasbench201")
        assert found.table.devices == ("other",)
        assert "plain values" in found.refused["good"]
    assert not witness.exists()


@pytest.mark.parametrize(
    "scalar",
    [
        b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR",
        b"cos\nsystem\n(S'true'\ntR",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR",
        b"cbuiltins\neval\n(S'1'\ntR",
        b"cnumpy.core.multiarray\n_reconstruct\n(I1\ntR",
    ],
)
def test_numpy_scalars_are_read_and_no_other_global(help_data: Path, scalar: bytes) -> None:
    save_device(help_data, "numpy", [np.float64(value) for value in LATENCIES])
    save_device(help_data, "ints", [np.int64(round(8 * value)) for value in LATENCIES])
    path = help_data / "latency" / "bad.pt"
    path.write_bytes(b"(l" + scalar + b"a.")
    found = read_sources(help_data, "nasbench201")
    np.testing.assert_array_equal(found.table.latencies["numpy"], LATENCIES)
    np.testing.assert_array_equal(found.table.latencies["ints"], np.array(LATENCIES) * 8)
    assert list(found.refused) == ["bad"]


@settings(deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_but_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    if not folder.exists():
        (folder / "latency").mkdir(parents=True)
        torch.save(
            {write_nasbench201(a): i for i, a in enumerate(ARCHS)}, folder / "str_arch2idx.pt"
        )
        torch.save([np.float64(v) for v in LATENCIES], folder / "sound.pt")
    content = bytearray((folder / "sound.pt").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    (folder / "latency" / "one.pt").write_bytes(content[: data.draw(st.sampled_from([end, None]))])
    with suppress(PredictError):
        assert read_sources(folder, "nasbench201").table.devices == ("one",)


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ({"|nor_conv_3x3~0|": 0}, "row 0: NAS-Bench-201"),
        ({"a": 0, "b": 0}, "the rows are not 0 to 1"),
        ({"a": "x"}, "the rows are not"),
        ({3: 0}, "row 0: '3' is no arch"),
        ([], "no dictionary"),
    ],
)
def test_broken_archs_of_help(help_data: Path, strings: object, message: str) -> None:
    torch.save(strings, help_data / "str_arch2idx.pt")
    with pytest.raises(PredictError, match=message):
        read_sources(help_data, "nasbench201")


def test_device_names_are_no_paths(help_data: Path, tmp_path: Path) -> None:
    torch.save(LATENCIES, help_data / "outside.pt")
    with pytest.raises(PredictError, match=r"no device '\.\./outside'; it has good"):
        read_sources(help_data, "nasbench201", devices=["../outside"])
    names = ["../../etc/x", ".hid", "-x", "a\\b", " ", "a" * 101, "a\x1b[31m", "fine (threads 2)"]
    rows = [[json.dumps(a), *[v] * len(names)] for a, v in zip(ARCHS, LATENCIES, strict=True)]
    found = read_sources(write_csv(tmp_path / "x.csv", ["arch", *names], rows), SPACE)
    assert found.table.devices == ("fine (threads 2)",)
    assert len(found.refused) == len(names) - 1


def test_folders_that_are_none(tmp_path: Path, help_data: Path) -> None:
    with pytest.raises(PredictError, match="holds no folder 'latency'"):
        read_sources(tmp_path, "fbnet")
    with pytest.raises(PredictError, match=r"ofa_archs.pt cannot be read: No such file"):
        read_sources(help_data, "ofa_mobilenetv3")
    with pytest.raises(PredictError, match=r"is about inputs \(3, 32, 32\), not \(3, 64, 64\)"):
        read_sources(help_data, "nasbench201", input_shape=(3, 64, 64))
    with pytest.raises(PredictError, match="are of nasbench201, fbnet, ofa_mobilenetv3"):
        read_sources(help_data, "digits_cnn")
    with pytest.raises(UsageError, match=r"a .csv or .parquet file"):
        read_sources(tmp_path / "latencies.xlsx", "nasbench201")
    with pytest.raises(PredictError, match="cannot be read"):
        read_sources(tmp_path / "absent.csv", "nasbench201")


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.table(columns), path)
    return path


@pytest.mark.parametrize("form", ["wide", "long", "notation", "parquet", "struct", "shuffled"])
def test_tables_say_the_same_in_all_forms(tmp_path: Path, form: str) -> None:
    archs, other = [json.dumps(arch) for arch in ARCHS], [v * 2 for v in LATENCIES]
    if form == "notation":
        archs = [write_nasbench201(arch) for arch in ARCHS]
    if form == "shuffled":
        archs = [json.dumps(dict(reversed(list(arch.items())))) for arch in ARCHS]
    if form in ("parquet", "struct"):
        column = archs if form == "parquet" else [dict(arch) for arch in ARCHS]
        path = parquet(tmp_path / "t.parquet", {"arch": column, "a": LATENCIES, "b": other})
    elif form == "long":
        rows = [[a, "a", v] for a, v in zip(archs, LATENCIES, strict=True)]
        rows += [[a, "b", v] for a, v in zip(archs, other, strict=True)]
        path = write_csv(tmp_path / "t.csv", ["arch", "device", "latency"], rows[::-1])
    else:
        rows = [list(row) for row in zip(archs, LATENCIES, other, strict=True)]
        path = write_csv(tmp_path / "t.csv", ["arch", "a", "b"], rows)
    table = read_sources(path, "nasbench201" if form == "notation" else SPACE).table
    assert set(table.devices) == {"a", "b"}
    places = [table.archs.index(arch) for arch in ARCHS]
    np.testing.assert_array_equal(table.latencies["a"][places], LATENCIES)
    np.testing.assert_array_equal(table.latencies["b"][places], other)
    if form == "notation":
        return
    assert read_sources(path, SPACE, devices=["b"]).table.devices == ("b",)
    with pytest.raises(PredictError, match="no device 'c'; it has"):
        read_sources(path, SPACE, devices=["c"])


def test_published_notations_of_other_spaces(tmp_path: Path) -> None:
    lists = [[row % 9] * 22 for row in range(9)]
    rows = [[json.dumps(one), 1.0 + row] for row, one in enumerate(lists)]
    table = read_sources(write_csv(tmp_path / "f.csv", ["arch", "a"], rows), "fbnet").table
    assert [write_fbnet(arch) for arch in table.archs] == lists
    space = ofa_mobilenetv3()
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(4)]
    rows = [[json.dumps(write_ofa(a, 128 + row)), 2.0 + row] for row, a in enumerate(archs)]
    rows += [[json.dumps({**a, "resolution": 200}), 9.0 + i] for i, a in enumerate(archs)]
    path = write_csv(tmp_path / "o.csv", ["arch", "a"], rows)
    table = read_sources(path, "ofa_mobilenetv3").table
    assert list(table.archs[:4]) == [a | {"resolution": 128 + i} for i, a in enumerate(archs)]
    assert list(table.archs[4:]) == [a | {"resolution": 200} for a in archs]


def test_rows_without_an_arch_are_told_by_line(tmp_path: Path) -> None:
    path = wide(tmp_path / "t.csv", a=LATENCIES)
    lines = path.read_text().splitlines()
    lines[5] = '"{""node1.from0"": ""nor_conv_9x9""}",7'
    lines[7] = "only one cell"
    path.write_text("\n".join(lines) + "\n")
    found = read_sources(path, SPACE)
    assert len(found.table.archs) == 22
    assert [note.split(":")[0] for note in found.notes] == ["line 8 has 1 cells, not 2", "line 6"]
    with pytest.raises(PredictError, match=r"t.csv, line 8 has 1 cells, not 2 \(and 1 more\)"):
        read_sources(path, SPACE, strict=True)
    with pytest.raises(PredictError, match=r"line 8 has .*\(and 23 more\)"):
        read_sources(path, "fbnet")


@pytest.mark.parametrize(
    "cell",
    ["[" * 100_000, '{"node1.from0": ["none"]}', "{}", "null", "12", '{"a":', "", '{"1": 2}'],
)
def test_cells_that_are_no_arch(tmp_path: Path, cell: str) -> None:
    with pytest.raises(PredictError, match="line 2: "):
        read_sources(write_csv(tmp_path / "t.csv", ["arch", "a"], [[cell, 5]]), SPACE)


def test_sizes_that_are_none(tmp_path: Path) -> None:
    arch = write_ofa(ofa_mobilenetv3().default())
    rows = [[json.dumps({**arch, "r": r}), 1] for r in (0, -8, 1.5, "224", [128, 160], True)]
    with pytest.raises(PredictError, match=r"'r' must be a whole number .*\(and 5 more\)"):
        read_sources(write_csv(tmp_path / "t.csv", ["arch", "a"], rows), "ofa_mobilenetv3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'arch'"),
        (b"a,b\n1,2\n", "no column 'arch'; it has a, b"),
        (b"arch,a\n", "holds no archs"),
        (b"arch,a,a\n", "two columns 'a'"),
        (b"arch,a\n\xff\xfe,1\n", "no CSV in UTF-8"),
        (b'arch,a\n"x,1\n', "no CSV in UTF-8"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(PredictError, match=message):
        read_sources(tmp_path / "t.csv", SPACE)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(PredictError, match="no readable Parquet file"):
        read_sources(tmp_path / "t.parquet", SPACE)


def test_several_latencies_of_an_arch_give_their_median(tmp_path: Path) -> None:
    rows = [[json.dumps(arch), 5 + i] for i, arch in enumerate(ARCHS)]
    rows += [[json.dumps(ARCHS[0]), 9], [json.dumps(ARCHS[0]), 1], [json.dumps(ARCHS[1]), ""]]
    path = write_csv(tmp_path / "t.csv", ["arch", "a"], rows)
    found = read_sources(path, SPACE)
    np.testing.assert_array_equal(found.table.latencies["a"], [5 + i for i in range(24)])
    assert "1 archs have several latencies" in found.devices[0].notes[0]
    with pytest.raises(PredictError, match="several latencies"):
        read_sources(path, SPACE, strict=True)


@settings(deadline=None)
@given(
    step=st.sampled_from([10.0, 1.0, 0.1, 0.01]),
    counts=st.lists(st.integers(1, 12), min_size=24, max_size=24),
)
@example(step=1.0, counts=[2, 3, 5, 7] * 6)
def test_the_timers_step_is_found(
    tmp_path_factory: pytest.TempPathFactory, step: float, counts: list[int]
) -> None:
    if len(set(counts)) == 1:
        return
    path = wide(tmp_path_factory.getbasetemp() / "step.csv", a=[round(step * c, 6) for c in counts])
    (report,) = read_sources(path, SPACE).devices
    if len(set(counts)) > len(counts) / 2:
        assert report.resolution is None
    else:
        assert report.resolution is not None
        assert report.resolution >= step
        assert all(round(step * c / report.resolution, 6).is_integer() for c in counts)


def test_hat_tables_are_archs_with_the_same_averages() -> None:
    path = data_path("hat/wmt14ende_cpu_xeon_all.csv")
    found = read_sources(path, "hat")
    assert found.table.devices == ("wmt14ende_cpu_xeon",)
    assert "averages over layers" in found.notes[0]
    assert found.table.provenance["wmt14ende_cpu_xeon"].licence == "MIT License"
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert len(found.table.archs) == len(rows) == 2_000
    (values,) = found.table.latencies.values()
    for row, arch, latency in zip(rows, found.table.archs, values, strict=True):
        for name, value in hat_features(arch).items():
            assert value == pytest.approx(float(row[name])), name
        total = float(row["latency_mean_encoder"]) + float(row["latency_mean_decoder"])
        assert latency == pytest.approx(total)


def test_hat_tables_that_are_wrong(tmp_path: Path) -> None:
    with open(data_path("hat/wmt14ende_cpu_xeon_all.csv")) as file:
        rows = list(csv.reader(file))[:40]
    names = rows[0]
    rows[3][names.index("encoder_self_attention_heads_avg")] = "5.1"
    rows[4][names.index("latency_mean_decoder")] = "slow"
    found = read_sources(write_csv(tmp_path / "h.csv", names, rows[1:]), "hat")
    assert found.table.devices == ("h",)
    assert "line 4: 'encoder_self_attention_heads_avg' is no average of 6" in found.notes[1]
    assert "line 5 ('slow' is no number)" in found.devices[0].notes[0]
    with pytest.raises(PredictError, match="is a table of HAT, whose space is 'hat'"):
        read_sources(tmp_path / "h.csv", SPACE)
    with pytest.raises(PredictError, match="no device 'pi'; it has h"):
        read_sources(tmp_path / "h.csv", "hat", devices=["pi"])
    names[names.index("decoder_embed_dim")] = "x"
    path = write_csv(tmp_path / "h.csv", names, rows[1:])
    with pytest.raises(PredictError, match="without the column 'decoder_embed_dim'"):
        read_sources(path, "hat")


def fill(store: MeasurementStore, threads: Sequence[int] = (1, 2)) -> None:
    """The networks of `ARCHS` on one device, with so many threads; and what is none of them."""
    with SimulatedDevice("board", lambda model, inputs: 1.0) as device:
        (one,) = device.measure([torch.nn.Identity()], torch.zeros(1))
    items = [network_item(SPACE, arch, (3, 32, 32), batch_size=1) for arch in ARCHS]
    described = items[0].description
    for count in threads:
        where = replace(one.environment, threads=count)
        for item, latency in zip(items, LATENCIES, strict=True):
            median = latency / count
            told = replace(one, median=median, low=median, high=median, environment=where)
            store.put(item, told)
    larger = network_item(SPACE, ARCHS[0], (3, 64, 64), batch_size=1)
    store.put(larger, replace(one, median=50.0, low=50.0, high=50.0))
    store.put(Item("network", {**described, "code": "another"}), one)
    store.put(Item("network", {**described, "input": "another"}), one)
    store.put(Item("network", {**described, "fingerprint": "another"}), one)
    store.put(Item("operator", {"type": "Conv2d"}), one)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_measurement_stores_export(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        fill(store)
        export_store(store, tmp_path / f"store{suffix}")
    both = read_sources(tmp_path / f"store{suffix}", SPACE).table
    assert list(both.archs[:24]) == [arch | {"resolution": 32} for arch in ARCHS]
    assert both.archs[24] == ARCHS[0] | {"resolution": 64}
    assert both.input_shape is None
    found = read_sources(tmp_path / f"store{suffix}", SPACE, input_shape=(3, 32, 32))
    assert found.table.input_shape == (3, 32, 32)
    assert found.notes == ("5 measurements of other things are passed over",)
    assert found.table.devices == ("board (threads 1)", "board (threads 2)")
    assert list(found.table.archs) == ARCHS
    np.testing.assert_allclose(found.table.latencies["board (threads 1)"], LATENCIES)
    np.testing.assert_allclose(found.table.latencies["board (threads 2)"], np.array(LATENCIES) / 2)


class Done(NamedTuple):
    """As of a process."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def hwnas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command, in this process: what it imports takes longer than what it does."""
    monkeypatch.chdir(tmp_path)
    console = import_module("hwnas.cli._console")
    monkeypatch.setattr(console.out, "width", 200)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["hwnas", *arguments])
        with pytest.raises(SystemExit) as ended:
            import_module("hwnas.cli").main()
        return Done(ended.value.code, *capsys.readouterr())

    return run


def test_the_command_takes_what_is_sound_and_says_what_is_not(
    hwnas: Callable[..., Done], tmp_path: Path, help_data: Path
) -> None:
    save_device(help_data, "whole", [round(v) for v in LATENCIES])
    save_device(help_data, "short\nand [red]sly", LATENCIES[:3])
    options = ("--space", "nasbench201", "--to", "sources.safetensors")
    done = hwnas("predict", "import", str(help_data), *options)
    assert done.returncode == 1
    assert "refused 'short" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "3 latencies for 24 archs" in done.stderr
    assert "whole: whole steps of 1 ms: 4 distinct values in 24 rows, so ranks tie" in done.stdout
    assert "sources.safetensors: 2 devices, 24 archs of nasbench201" in done.stdout
    done = hwnas("predict", "import", str(help_data), *options, "--device", "good")
    assert done.returncode == 1
    assert "has a device 'good' already; --replace takes its place" in done.stderr
    with MeasurementStore(tmp_path / "mine.sqlite") as store:
        fill(store, threads=[1])
    done = hwnas("predict", "import", "mine.sqlite", *options, "--json")
    assert json.loads(done.stdout)["devices"][0]["device"] == "board"
