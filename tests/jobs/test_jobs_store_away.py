"""A store whose server is killed: what it was told is there, once; requests wait for it."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hwnas.errors import StoreError
from hwnas.jobs import Store
from servers import SeaweedFS


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedFS]:
    with tempfile.TemporaryDirectory(prefix="hwnas-seaweedfs-") as folder:
        running = SeaweedFS(Path(folder))
        yield running
        running.kill()


@pytest.fixture
def url(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server.bucket()


def test_a_server_that_is_killed_is_waited_for(server: SeaweedFS, url: str) -> None:
    """Whatever was going on when it was killed is done once, and what was told to be done is."""
    ended = threading.Event()
    Store(url).put("first", b"")

    def write(writer: int) -> list[str]:
        store, made = Store(url), list[str]()
        while not ended.is_set():
            name = f"made/{writer}-{len(made)}"
            assert store.create(name, name.encode())
            made.append(name)
            store.put(f"last/{writer}", name.encode())
            assert store.get(f"last/{writer}") == name.encode()
            assert f"last/{writer}" in store.names("last")
        return made

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        for _ in range(2):
            time.sleep(1)
            server.kill()
            server.start()
        time.sleep(1)
        ended.set()
        made = sorted(name for writer in writers for name in writer.result())
    assert Store(url).names("made") == made
    for name in made[::20]:
        assert Store(url).get(name) == name.encode()


def test_a_server_that_stays_away(
    server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_PATIENCE", "1")
    store = Store(url)
    server.kill()
    try:
        for use in (
            lambda: store.get("a"),
            lambda: store.put("a", b""),
            lambda: store.create("a", b""),
            lambda: store.delete("a"),
            store.names,
        ):
            with pytest.raises(StoreError, match=r"^cannot \w+ s3://[^\n]*$"):
                use()
    finally:
        server.start()
    assert store.create("a", b"")


class _Lossy:
    """Passes connections on to a server, and loses the first answer to a conditional request."""

    def __init__(self, port: int) -> None:
        self._to, self.lost = port, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            while request := client.recv(1 << 20):
                server.sendall(request)
                answer = server.recv(1 << 20)
                if b"if-none-match" in request.lower() and not self.lost:
                    self.lost += 1
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def test_what_was_created_although_the_answer_was_lost(
    server: SeaweedFS, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is our own object that is there: who created it is told so, and nobody else."""
    direct = Store(url)
    direct.put("first", b"")
    proxy = _Lossy(int(server.url.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    store = Store(url)
    try:
        assert store.create("claim", b"mine")
        assert proxy.lost == 1
        assert not store.create("claim", b"mine")
        proxy.lost = 0
        assert not store.create("claim", b"yours")
    finally:
        proxy.close()
    assert direct.get("claim") == b"mine"
