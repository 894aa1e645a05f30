"""A store: objects under a URL, in a folder, S3, Google Cloud Storage, Azure or memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from hwnas._files import replacing
from hwnas._invalid import first_problem
from hwnas._patience import patience
from hwnas.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

T = TypeVar("T")

_CREATIONS = 5  # times that the creation of an object is tried where the answers are lost

_CLOUD = ("s3", "gs", "az", "azure", "abfs", "abfss")


class Store:
    """Objects by name under a URL.

    - Names are relative paths of letters, digits and `/ . _ - @ = +`; none leads out of the URL.
    - An object is written as a whole or not at all: no reader sees a part.
    - `create` is atomic: of any number of processes that create the same name, one succeeds.
    - What was written is seen by every reader at once.
    - All methods may be called from several threads.
    - A server that is away is waited for, for `patience()` seconds; what is written while it comes
      and goes is written once.

    Each cloud finds its credentials in its normal way (environment, profile, metadata server); they
    never stand in a URL. Errors are `StoreError`, and name the URL.

    Args:
        url: a folder, or `file://`, `s3://`, `gs://`, `az://`, `memory://` (this process alone).
    """

    def __init__(self, url: str | Path) -> None:
        self.url, self._objects, self._hasty = _open(str(url))
        self._prefix = ""

    def within(self, prefix: str) -> Store:
        """The objects whose names begin with `prefix/`, under the rest of their names."""
        inner = object.__new__(Store)
        inner.url = f"{self.url}/{_checked(prefix)}"
        inner._objects, inner._hasty = self._objects, self._hasty
        inner._prefix = f"{self._prefix}{prefix}/"
        return inner

    def create(self, name: str, data: bytes) -> bool:
        """Write an object that is not there yet; False, and nothing changed, if it is.

        Where the answer of a server was lost, the object may have been written. So the request is
        not sent again blindly, as the others are, which would find its own object in the way: what
        holds these very bytes then is taken for what this call wrote.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        path = self._path(name)
        for attempt in range(_CREATIONS):
            with self._naming("create", name):
                try:
                    obstore.put(self._hasty, path, data, mode="create")
                except AlreadyExistsError:
                    return attempt > 0 and self.get(name) == data
                except GenericError:  # the others are answers
                    if self._hasty is self._objects or attempt == _CREATIONS - 1:
                        raise
                else:
                    return True
            there = self.get(name)  # waits until the server is back
            if there is not None:
                return there == data
        raise AssertionError

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object, in place of what was there. A path is a file to read, of any size."""
        import obstore

        path = self._path(name)
        with self._naming("write", name):
            obstore.put(self._objects, path, data)

    def get(self, name: str) -> bytes | None:
        """The content of an object; None if there is none."""
        import obstore

        path = self._path(name)
        with self._naming("read", name):
            try:
                return bytes(obstore.get(self._objects, path).bytes())
            except FileNotFoundError:
                return None

    def download(self, name: str, file: Path) -> None:
        """An object as a file, whole or absent.

        Raises:
            StoreError: there is no such object.
        """
        import obstore

        path = self._path(name)
        with self._naming("read", name), replacing(file) as temporary, open(temporary, "wb") as out:
            for chunk in obstore.get(self._objects, path):
                out.write(chunk)

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        import obstore

        path = self._path(name)
        with self._naming("delete", name):
            try:
                obstore.delete(self._objects, path)
            except FileNotFoundError:
                return

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects, in order; with a prefix those that begin with `prefix/`."""
        import obstore

        where = self._prefix + (f"{_checked(prefix)}/" if prefix else "")
        with self._naming("list", prefix):
            pages = obstore.list(self._objects, prefix=where or None)
            found = [str(entry["path"]) for page in pages for entry in page]
        return sorted(one[len(self._prefix) :] for one in found)

    def read(self, name: str, kind: type[T]) -> T | None:
        """An object of JSON as a `kind`; None if there is none.

        Raises:
            StoreError: it is damaged, or of a newer version.
        """
        data = self.get(name)
        if data is None:
            return None
        try:
            return TypeAdapter(kind).validate_json(data)
        except ValidationError as error:
            raise StoreError(f"{self.url}/{name} is damaged: {first_problem(error)}") from error

    def _path(self, name: str) -> str:
        return self._prefix + _checked(name)

    @contextmanager
    def _naming(self, what: str, name: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            where = f"{self.url}/{name}" if name else self.url
            raise StoreError(f"cannot {what} {where}: {_reason(error)}") from error


def _checked(name: str) -> str:
    """The name; ValueError would come late and from one kind of store only."""
    parts = name.split("/")
    allowed = all(c.isascii() and (c.isalnum() or c in "/._-@=+") for c in name)
    if not allowed or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"'{name}' is not a name for an object")
    return name


def _open(url: str) -> tuple[str, ObjectStore, ObjectStore]:
    """The URL as it is shown, what waits for a server that is away, and what does not."""
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, MemoryStore, from_url

    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "file", url
    if scheme == "memory":
        memory = MemoryStore()
        return url, memory, memory
    if scheme == "file":
        folder = Path(unquote(rest) if separator else rest).expanduser().absolute()
        if folder.is_file():
            raise StoreError(f"{folder} is a file, not a folder")
        try:
            local = LocalStore(prefix=folder, mkdir=True)
            return f"file://{folder}", local, local
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"cannot open {folder}: {_reason(error)}") from error
    if scheme not in _CLOUD:
        known = ", ".join(f"{one}://" for one in ("file", *_CLOUD[:3], "memory"))
        raise StoreError(f"'{url}' is not the URL of a store; they begin with {known}")
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise StoreError(
            f"{scheme}://{parts.hostname}: a store's URL is bucket and path alone; "
            "credentials come from the environment"
        )
    try:
        options: dict[str, Any] = {}
        endpoint = "AWS_ENDPOINT_URL" if scheme == "s3" else "AZURE_STORAGE_ENDPOINT"
        if scheme != "gs" and os.environ.get(endpoint, "").startswith("http://"):
            options["client_options"] = {"allow_http": True}  # a server of one's own
        patient: RetryConfig = {
            "max_retries": 1_000_000,
            "retry_timeout": timedelta(seconds=patience()),
            "backoff": {"max_backoff": timedelta(seconds=5)},
        }
        return (
            url.rstrip("/"),
            from_url(url, retry_config=patient, **options),
            from_url(url, retry_config={"max_retries": 0}, **options),
        )
    except (BaseError, ValueError) as error:
        raise StoreError(f"cannot open {url}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What a server says of it, or the first line: the rest is internal, and long."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if said := re.search(r"<Message>([^<\r\n]+)", str(error)):
        return said[1][:300]
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0].removesuffix(":")[:300]
