"""A `docker` for tests: writes down how it was called, and runs what is in an image locally."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python}
import json, os, subprocess, sys

words, images = sys.argv[1:], json.load(open({images!r}))
with open({calls!r}, "a") as calls:
    calls.write(json.dumps({{"argv": words, "env": dict(os.environ)}}) + "\\n")
if words[0] == "run":
    (at,) = [place for place, word in enumerate(words) if word in images]
    names = [words[n + 1] for n in range(at) if words[n] == "--env"]
    kept = {{name: os.environ[name] for name in names if name in os.environ}}
    # What the image holds: the programs, and hwnas as it is here.
    kept |= {{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}}
    sys.stdout.flush()
    os.execve(images[words[at]][0], images[words[at]] + words[at + 1 :], kept)
elif words[:2] == ["image", "inspect"] or words[0] == "pull":
    if words[-1] not in images:
        sys.exit("Error: no such image: " + words[-1])
elif words[0] == "build":
    print("built by the stub")
    sys.exit({build_code})
"""


class DockerStub:
    """The stub, on the PATH. `images` says what the program of an image is."""

    def __init__(self, folder: Path, images: dict[str, list[str]], build_code: int = 0) -> None:
        self.folder = folder / "docker-bin"
        self.folder.mkdir()
        self._calls = self.folder / "calls.jsonl"
        (self.folder / "images.json").write_text(json.dumps(images))
        program = self.folder / "docker"
        program.write_text(
            _PROGRAM.format(
                python=sys.executable,
                images=str(self.folder / "images.json"),
                calls=str(self._calls),
                build_code=build_code,
            )
        )
        program.chmod(0o755)

    @property
    def path(self) -> str:
        """The PATH with the stub at first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    def calls(self, command: str) -> list[dict[str, Any]]:
        """The calls of a command: `argv` and `env`."""
        if not self._calls.exists():
            return []
        found = [json.loads(line) for line in self._calls.read_text().splitlines()]
        return [one for one in found if one["argv"][0] == command]


def path_without_docker() -> str:
    """A PATH on which there is no docker."""
    places = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(one for one in places if not Path(one, "docker").exists())
