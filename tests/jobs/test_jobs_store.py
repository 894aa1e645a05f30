"""What every store promises: a folder, memory, and servers that speak S3 and Azure's protocol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import SECRET, SERVERS, s3_server

from hwnas.errors import StoreError
from hwnas.jobs import Store


@pytest.fixture(scope="module", params=["file", "memory", *SERVERS])
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param not in SERVERS:
        yield request.param
        return
    with SERVERS[request.param][0]():
        yield request.param


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    if kind == "file":
        return str(tmp_path / "a store")
    return "memory://" if kind == "memory" else SERVERS[kind][1]()


@pytest.fixture
def store(url: str) -> Store:
    return Store(url)


def test_an_object_is_what_was_written_last(store: Store) -> None:
    assert store.get("a/b.json") is None
    for content in (b"one", b"", b"three" * 1000):
        store.put("a/b.json", content)
        assert store.get("a/b.json") == content
    store.delete("a/b.json")
    store.delete("a/b.json")
    assert store.get("a/b.json") is None


def test_what_is_there_is_not_created(store: Store) -> None:
    assert store.create("claim", b"mine")
    assert not store.create("claim", b"yours")
    assert store.get("claim") == b"mine"


def test_names_are_listed_in_order_and_by_folder(store: Store) -> None:
    for name in ("b/2", "a", "b/10", "bb/1", "b/c/d"):
        store.put(name, b"")
    assert store.names() == ["a", "b/10", "b/2", "b/c/d", "bb/1"]
    assert store.names("b") == ["b/10", "b/2", "b/c/d"]
    assert store.names("nothing") == []


def test_a_part_of_a_store_is_a_store(store: Store) -> None:
    inner = store.within("queue/pixel")
    inner.put("x/y", b"1")
    assert inner.names() == ["x/y"]
    assert inner.names("x") == ["x/y"]
    assert store.names() == ["queue/pixel/x/y"]
    assert inner.within("x").get("y") == b"1"


def test_large_files_go_and_come_back(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "model.onnx", tmp_path / "back" / "model.onnx"
    source.write_bytes(os.urandom(11 << 20))  # more than one part of an upload
    store.put("model", source)
    store.download("model", target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(StoreError, match=r"cannot read .*nothing"):
        store.download("nothing", tmp_path / "none")
    assert sorted(path.name for path in tmp_path.glob("*none*")) == []


def test_more_names_than_a_page(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: store.put(f"many/{i:04d}", b""), range(1100)))
    assert store.names("many") == [f"many/{i:04d}" for i in range(1100)]


RACE = """
import os, sys
from hwnas.jobs import Store
url, count = sys.argv[1], int(sys.argv[2])
read, write = os.pipe()
children = []
for index in range(count):
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)  # ends for all at once
        won = Store(url).create("race", str(index).encode())
        os._exit(0 if won else 1)
    children.append(pid)
os.close(write)
print(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children))
"""


def test_one_of_32_processes_creates(kind: str, url: str) -> None:
    if kind == "memory":
        pytest.skip("memory is of one process")
    done = subprocess.run(
        [sys.executable, "-c", RACE, url, "32"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "1", done.stderr
    assert Store(url).names() == ["race"]


WRITE = """
import sys
from hwnas.jobs import Store
store = Store(sys.argv[1])
while True:
    for letter in (b"a", b"b"):
        print(flush=True)
        store.put("object", letter * (8 << 20))
"""


def test_a_write_that_is_killed_leaves_the_old_or_the_new(kind: str, url: str) -> None:
    if kind == "memory":
        pytest.skip("memory dies with its process")
    store = Store(url)
    for delay in (0.0, 0.01, 0.03):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE, url], stdout=subprocess.PIPE, text=True
        ) as writer:
            for _ in range(3):
                assert writer.stdout is not None
                writer.stdout.readline()
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        content = store.get("object")
        assert content is not None
        assert len(content) == 8 << 20
        assert len(set(content)) == 1
        assert store.names() == ["object"]


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a/../../b", ".", "a b", "ä", "a\\b"]
)
def test_no_name_leads_out(store: Store, name: str) -> None:
    uses = (
        store.get,
        store.delete,
        store.within,
        lambda one: store.put(one, b""),
        lambda one: store.create(one, b""),
    )
    for use in uses:
        with pytest.raises(StoreError, match="is not a name"):
            use(name)


@given(st.text(max_size=30))
def test_a_name_is_refused_or_stays_inside(name: str) -> None:
    store = Store("memory://")
    try:
        store.put(name, b"x")
    except StoreError:
        assert store.names() == []
    else:
        assert store.names() == [name]
        assert ".." not in name.split("/")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/path", "is not the URL of a store"),
        ("s3://key:secret@bucket/path", "credentials come from the environment"),
        ("s3://bucket?secret=1", "credentials come from the environment"),
    ],
)
def test_a_wrong_url_is_told_without_its_secret(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as told:
        Store(url)
    assert "secret" not in str(told.value).replace(message, "")


def test_a_folder_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot open"):
        Store(tmp_path / "file" / "below")


def told_in_a_line(use: Callable[[], object], start: str) -> str:
    with pytest.raises(StoreError) as told:
        use()
    text = str(told.value)
    assert text.startswith(start)
    assert "\n" not in text
    assert SECRET not in text
    return text


def test_a_bucket_that_is_not_there_is_told_in_a_line(kind: str, url: str) -> None:
    if kind not in SERVERS:
        pytest.skip("only servers have buckets")
    other = f"{url.partition('//')[0]}//no-such-bucket/x"
    told_in_a_line(lambda: Store(other).put("a", b""), f"cannot write {other}/a: ")
    told_in_a_line(lambda: Store(other).create("a", b""), f"cannot create {other}/a: ")


def test_what_is_not_permitted_is_told_in_a_line(kind, url, monkeypatch) -> None:
    if kind == "azure":
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=")
    elif kind == "s3":
        moto_checks_who_asks(True)
    else:
        pytest.skip("only servers ask who it is")
    try:
        told_in_a_line(lambda: Store(url).put("a", b""), f"cannot write {url}/a: ")
        told_in_a_line(lambda: Store(url).create("a", b""), f"cannot create {url}/a: ")
        told_in_a_line(lambda: Store(url).get("a"), f"cannot read {url}/a: ")
    finally:
        if kind == "s3":
            moto_checks_who_asks(False)


def moto_checks_who_asks(now: bool) -> None:
    url = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
    count = b"0" if now else b"1000000000"
    request = urllib.request.Request(url, count, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request, timeout=20).close()


def test_a_server_that_is_not_there_is_told_in_a_line(monkeypatch) -> None:
    with s3_server():
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("HWNAS_PATIENCE", "0.5")
        told_in_a_line(lambda: Store("s3://bucket/x").get("a"), "cannot read s3://bucket/x/a: ")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_what_was_there(small_disk: Path) -> None:
    store = Store(small_disk)
    store.put("a", b"kept")
    for use in (store.put, store.create):
        name = "a" if use == store.put else "b"
        told_in_a_line(lambda use=use, name=name: use(name, b"x" * (4 << 20)), "cannot ")
    assert store.get("a") == b"kept"
    assert store.names() == ["a"]


def test_a_folder_that_may_not_be_written(small_disk: Path) -> None:
    store = Store(small_disk)
    store.put("a", b"kept")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = told_in_a_line(lambda: store.put("a", b""), f"cannot write file://{small_disk}/a: ")
    assert "Read-only file system" in told
    told_in_a_line(lambda: store.create("b", b""), f"cannot create file://{small_disk}/b: ")
    assert store.get("a") == b"kept"
