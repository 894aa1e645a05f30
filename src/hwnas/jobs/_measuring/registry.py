"""Devices that have a name: kept in one file per user, for `--device NAME`."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from hwnas._files import locked, write_text
from hwnas._invalid import first_problem
from hwnas.errors import UsageError
from hwnas.jobs._folder.spec import DeviceSpec


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    devices: list[DeviceSpec] = []


class DeviceRegistry:
    """The devices of a file. Several processes may add to it at once.

    Args:
        path: by default `$HWNAS_DEVICES`, or `devices.json` in `$XDG_CONFIG_HOME/hwnas` or
            `~/.config/hwnas`.
    """

    def __init__(self, path: Path | None = None) -> None:
        configured = os.environ.get("HWNAS_DEVICES")
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.path = path or Path(configured or home / "hwnas" / "devices.json")

    def all(self) -> dict[str, DeviceSpec]:
        """The devices by name, in the order in which they were added; none without a file.

        Raises:
            UsageError: the file cannot be read.
        """
        try:
            content = _Content.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise UsageError(f"{self.path} cannot be read: {first_problem(error)}") from error
        return {device.name: device for device in content.devices}

    def add(self, device: DeviceSpec, *, replace: bool = False) -> None:
        """Add a device.

        Raises:
            UsageError: there is one of that name, and it is not to be replaced.
        """
        self._change(device.name, device, replace=replace)

    def remove(self, name: str) -> None:
        """Take a device out; UsageError if there is none of that name."""
        self._change(name, None, replace=True)

    def _change(self, name: str, device: DeviceSpec | None, *, replace: bool) -> None:
        with locked(self.path):
            devices = self.all()
            if device is None and name not in devices:
                known = ", ".join(devices) or "none"
                raise UsageError(f"there is no device '{name}' in {self.path}; known: {known}")
            if name in devices and not replace:
                raise UsageError(f"there is a device '{name}' already; give --replace to change it")
            devices.pop(name, None) if device is None else devices.update({name: device})
            content = _Content(devices=list(devices.values()))
            write_text(self.path, content.model_dump_json(indent=2) + "\n")


def find_device(text: str) -> DeviceSpec:
    """`NAME` of the registry, or as `DeviceSpec.parse`."""
    known = {} if "=" in text else DeviceRegistry().all()
    return known.get(text.strip()) or DeviceSpec.parse(text)
