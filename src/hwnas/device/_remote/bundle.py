"""What is sent to hosts that have no hwnas: the agent, as one archive of this package's modules.

The modules go as they are, so that what measures there is what measures here. They import each
other and the standard library alone, and work in Python 3.8. Packages are empty there.
"""

from __future__ import annotations

import base64
import io
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import PurePosixPath

from hwnas.errors import DeviceError

_MODULES = (
    "hwnas.errors",
    "hwnas._pipes",
    *(
        f"hwnas.device.{name}"
        for name in (
            "_faults",
            "_paths",
            "_remote.agent",
            "_remote.agent_worker",
            "_remote.arrays",
            "_remote.frames",
            "_runtimes.onnxruntime_session",
            "_timing.energy",
            "_timing.engine",
            "_timing.environment",
            "_timing.memory",
            "_timing.runnable",
            "_timing.stats",
            "_timing.timing",
            "_worker.lock",
            "_worker.process",
            "_worker.serving",
        )
    ),
)

_PROGRAM = """\
import base64, os, sys, tempfile
folder = tempfile.mkdtemp(prefix="hwnas-")
os.chdir(folder)
archive = os.path.join(folder, "agent.zip")
with open(archive, "wb") as file:
    file.write(base64.b64decode({archive!r}))
sys.path.insert(0, archive)
from hwnas.device._remote.agent import main
main({key!r}, folder)
"""


def agent_program(session: str, key: str) -> bytes:
    """A Python program that serves as the agent, for the runtime whose module is `session`."""
    archive = base64.b64encode(_archive(session)).decode()
    return _PROGRAM.format(archive=archive, key=key).encode()


def modules(session: str) -> list[str]:
    """The modules that are sent."""
    return sorted({*_MODULES, session})


def _archive(session: str) -> bytes:
    buffer, names = io.BytesIO(), modules(session)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        folders = {parent for name in names for parent in list(_path(name).parents)[:-1]}
        for folder in sorted(folders):
            archive.writestr(f"{folder}/__init__.py", "")
        for name in names:
            archive.writestr(f"{_path(name)}.py", _source(name))
    return buffer.getvalue()


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(*name.split("."))


def _source(name: str) -> str:
    spec = find_spec(name)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise DeviceError(f"the source of {name} is not there, so it cannot be sent to a device")
    return spec.loader.get_source(name) or ""
