"""Where a job is: a folder, or a store with a folder of this machine to work in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from hwnas.errors import JobError
from hwnas.jobs._store.store import Store


@dataclass(frozen=True)
class Place:
    """A job's place.

    Attributes:
        where: what to call it: the folder, or the URL.
        folder: what this machine works in; for a job elsewhere `$XDG_CACHE_HOME/hwnas/jobs/...`,
            which may be deleted whenever the job does not run here.
        url: of the store that others see; None where that is `folder`.
    """

    where: str
    folder: Path
    url: str | None = None

    @classmethod
    def of(cls, where: str | Path) -> Place:
        """The place that a user names: a folder, `file://`, `s3://`, `gs://`, `az://`.

        Raises:
            JobError: a job cannot be there.
            StoreError: it is not the URL of a store.
        """
        text = str(where)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(text, Path(text))
        if scheme == "file":
            return cls(unquote(rest), Path(unquote(rest)))
        if scheme == "memory":
            raise JobError(
                f"{text}: a job cannot be in memory, which ends with the process; name a folder, "
                "or a store such as s3://bucket/path"
            )
        url = Store(text).url  # refuses what is no store before anything is written
        from hwnas.device import cache_folder

        name = hashlib.sha256(url.encode()).hexdigest()[:20]
        return cls(url, cache_folder() / "jobs" / name, url)

    @cached_property
    def store(self) -> Store:
        """What all machines see."""
        return Store(self.url or self.folder)

    @property
    def name(self) -> str:
        """The last part, which names the job."""
        return self.folder.name if self.url is None else self.where.rstrip("/").rpartition("/")[2]
