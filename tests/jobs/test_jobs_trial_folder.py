"""Trial folders: published whole or not at all, fetched as they were, and hostile manifests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import StoreError
from hwnas.jobs import Store
from hwnas.jobs._folder.trial_folder import TrialFolder
from hwnas.jobs._store.manifest import Entry, Manifest

RESULT = {"metrics": {"accuracy": 0.5}, "costs": {}, "step": 1, "elapsed": 1.0}


def trial(tmp_path: Path, machine: str, store: bool) -> TrialFolder:
    """The trial as a machine sees it: all share the folder, or a store."""
    if not store:
        return TrialFolder(tmp_path / "job" / "trials" / "3")
    return TrialFolder(tmp_path / machine / "3", f"file://{tmp_path}/store/trials/3")


@pytest.fixture(params=[False, True], ids=["folder", "store"])
def remote(request: pytest.FixtureRequest) -> bool:
    return request.param


def train(files: TrialFolder, weights: bytes = b"weights", elapsed: float = 1.0) -> None:
    files.begin()
    (files.folder / "result.json").write_text(json.dumps({**RESULT, "elapsed": elapsed}))
    (files.folder / "model.safetensors").write_bytes(weights)
    (files.folder / "log.txt").write_text("trained\n")
    (files.folder / "metrics.jsonl").write_text("steps\n")
    checkpoint = files.folder / "checkpoints" / "epoch 1 (best).ckpt"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_bytes(b"state")


def test_what_is_published_is_fetched_elsewhere(tmp_path: Path, remote: bool) -> None:
    here, there = trial(tmp_path, "here", remote), trial(tmp_path, "there", remote)
    assert there.result() is None
    train(here)
    assert there.result() is None
    here.publish()
    result = there.result()
    assert result is not None
    assert result.metrics == {"accuracy": 0.5}
    weights, checkpoint = there.fetch(["model.safetensors", "checkpoints/epoch 1 (best).ckpt"])
    assert weights.read_bytes() == b"weights"
    assert checkpoint.read_bytes() == b"state"
    assert there.last_log() == "trained\n"
    with pytest.raises(StoreError, match=r"has no file model\.onnx"):
        there.fetch(["model.onnx"])


def test_a_second_publisher_changes_nothing(tmp_path: Path) -> None:
    """One that was paused and goes on: what counts stays, file for file."""
    first, second = trial(tmp_path, "one", True), trial(tmp_path, "two", True)
    train(first, b"first", elapsed=1)
    train(second, b"second", elapsed=2)
    counted = first.publish()
    assert second.publish() == counted
    second.leave()
    for machine in ("one", "two", "three"):
        files = trial(tmp_path, machine, True)
        result = files.result()
        assert result is not None
        assert result.elapsed == 1
        assert files.fetch(["model.safetensors"])[0].read_bytes() == b"first"


def test_an_attempt_that_left_files_is_no_hindrance(tmp_path: Path) -> None:
    here, there = trial(tmp_path, "here", True), trial(tmp_path, "there", True)
    train(here)
    here.leave()
    assert there.last_log() == "trained\n"
    assert there.result() is None
    there.begin()  # on another machine, from the checkpoints of the first
    checkpoint = there.folder / "checkpoints" / "epoch 1 (best).ckpt"
    assert checkpoint.read_bytes() == b"state"
    assert (there.folder / "metrics.jsonl").read_text() == "steps\n"
    checkpoint.write_bytes(b"later")
    there.begin()
    assert checkpoint.read_bytes() == b"later", "what is newer here stays"
    train(there, b"second")
    (there.folder / "log.txt").write_text("again\n")
    there.publish()
    assert here.last_log() == "again\n"
    assert here.fetch(["model.safetensors"])[0].read_bytes() == b"second"


@pytest.mark.parametrize("damage", [b"weighty", b"", b"weights and more"])
def test_damaged_files_are_told(tmp_path: Path, remote: bool, damage: bytes) -> None:
    here, there = trial(tmp_path, "here", remote), trial(tmp_path, "there", remote)
    train(here)
    here.publish()
    where = tmp_path / ("store/trials/3" if remote else "job/trials/3")
    (where / "model.safetensors").write_bytes(damage)
    with pytest.raises(StoreError, match=r"model\.safetensors is .*damaged"):
        there.fetch(["model.safetensors"])
    assert there.result() is not None
    (where / "result.json").write_bytes(b"{")
    third = trial(tmp_path, "third", remote)
    with pytest.raises(StoreError, match=r"result\.json is .*damaged"):
        third.result()
    third.discard()
    assert there.result() is None


HOSTILE = ["../out", "/etc/passwd", "a/../../out", "..", ".", "", "a//b", "a\\b", "a\0b", "./a"]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_manifest_leads_out_of_the_folder(tmp_path: Path, remote: bool, path: str) -> None:
    files = trial(tmp_path, "here", remote)
    store = Store(tmp_path / ("store" if remote else "job"))
    store.put("trials/3/x", b"hostile")
    entry = {"path": path, "size": 7, "sha256": "0" * 64, "object": "x"}
    told = {"schema_version": 1, "created": "now", "files": [entry]}
    store.put("trials/3/manifest.json", json.dumps(told).encode())
    for use in (files.result, lambda: files.fetch([path])):
        with pytest.raises(StoreError, match="is damaged"):
            use()


@pytest.mark.parametrize("name", ["../../secret", "/secret", "a/../../secret"])
def test_no_manifest_reads_other_objects(tmp_path: Path, name: str) -> None:
    files = trial(tmp_path, "here", True)
    Store(tmp_path / "store").put("secret", b"secret")
    entry = {"path": "result.json", "size": 6, "sha256": "0" * 64, "object": name}
    told = {"schema_version": 1, "created": "now", "files": [entry]}
    Store(tmp_path / "store").put("trials/3/manifest.json", json.dumps(told).encode())
    with pytest.raises(StoreError, match="is not a name"):
        files.result()


def test_a_newer_manifest_is_told(tmp_path: Path, remote: bool) -> None:
    files = trial(tmp_path, "here", remote)
    store = Store(tmp_path / ("store" if remote else "job"))
    store.put("trials/3/manifest.json", b'{"schema_version": 2, "created": "", "files": []}')
    with pytest.raises(StoreError, match="schema_version"):
        files.result()


@given(st.text(max_size=20))
def test_a_path_is_refused_or_stays_inside(path: str) -> None:
    try:
        entry = Entry(path=path, size=0, sha256="0" * 64)
    except ValueError:
        return
    home = "/somewhere/inside"
    assert os.path.normpath(os.path.join(home, entry.path)).startswith(home + "/")


def test_links_and_temporary_files_are_not_published(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = tmp_path / "trial"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("a")
    (folder / "last").symlink_to("sub/a")
    (folder / "out").symlink_to(secret)
    (folder / ".model.onnx.x.tmp").write_text("")
    assert [one.path for one in Manifest.of(folder).files] == ["last", "sub/a"]
