"""The layers of docs/architecture.md: an import may only point down."""

from __future__ import annotations

import ast
from pathlib import Path

import hwnas

ROOT = Path(hwnas.__file__).parent
LAYERS = [
    "cli",
    "_train",
    "_search",
    "server",
    "report",
    "vertex",
    "jobs",
    "oneshot",
    "strategy",
    "tasks",
    "budget",
    "predict",
    "cost",
    "device",
    "zoo",
    "space",
]
GROUND = {
    "errors",
    "_files",
    "_invalid",
    "_refs",
    "_patience",
    "_plugins",
    "_estimate",
    "_pipes",
    "_process",
    "_kept",
    "_guard",
}
ROOMS = {
    "jobs": ["_search", "_executors", "_measuring", "_records", "_queue", "_folder", "_store"],
    "predict": ["_metabma", "_help", "_baselines", "_descriptors", "_import"],
    "device": ["_remote", "_worker", "_estimators", "_runtimes", "_store", "_timing"],
}
UNAWARE = {"device": {"space", "zoo"}, "zoo": set(), "predict": {"device"}}


def imports_of(path: Path) -> set[str]:
    """The first-level packages of hwnas that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: write absolute imports"
            names = [node.module]
            if node.module == "hwnas":
                names = [f"hwnas.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("hwnas.")}
    return found


def test_imports_point_down() -> None:
    """Every module of every layer, imports inside functions included."""
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        home = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if home in ("__init__", "__main__"):
            continue
        for target in imports_of(path) - {home, "__version__"}:
            if home in GROUND:
                allowed = target in GROUND
            else:
                above = target in LAYERS and LAYERS.index(target) < LAYERS.index(home)
                allowed = not above and target not in UNAWARE.get(home, set())
                allowed = allowed and (target in LAYERS or target in GROUND)
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports hwnas.{target}")
    assert not wrong, "\n".join(wrong)


def test_private_modules_stay_private() -> None:
    """A package's `_modules` are imported by itself alone; others use what it exports."""
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        home = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("hwnas.")
            ):
                package, *rest = node.module.split(".")[1:]
                private = any(part.startswith("_") for part in rest)
                if private and home not in (package, "__init__"):
                    wrong.append(f"{path.relative_to(ROOT)} imports {node.module}")
    assert not wrong, "\n".join(wrong)


def test_rooms_of_a_package_have_an_order() -> None:
    """Inside a package, too, an import points down."""
    wrong = []
    for package, rooms in ROOMS.items():
        assert {path.parent.name for path in (ROOT / package).glob("_*/__init__.py")} == set(rooms)
        for path in sorted((ROOT / package).glob("_*/*.py")):
            above = rooms[: rooms.index(path.parent.name)]
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    place = node.module.split(".")
                    if place[:2] == ["hwnas", package] and {*place[2:3]} & {*above}:
                        wrong.append(f"{path.relative_to(ROOT)} imports {node.module}")
    assert not wrong, "\n".join(wrong)


def test_every_package_has_a_layer() -> None:
    """A new package must be placed in the picture."""
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert packages <= set(LAYERS), packages - set(LAYERS)


def test_no_file_is_long() -> None:
    """Small modules: none over 600 lines."""
    long = {p.name: n for p in ROOT.rglob("*.py") if (n := len(p.read_text().splitlines())) > 600}
    assert not long, long
