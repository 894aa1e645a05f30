"""A hash of the source that builds a network."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_INSTALLED = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
)
_OURS = __name__.rpartition(".")[0]


def code_hash(*roots: object) -> str:
    """SHA-256 (hexadecimal) of the source of `roots` and of all that they reach.

    Covered: classes (whole), functions, lambdas, partials and methods; the bases of the classes;
    every function and class that their code names, directly or through a module; and plain
    constants (numbers, texts, tuples, lists, dicts of them) that their code names. Followed are
    objects of the top-level package or module that a root comes from, and of every module that
    is neither installed nor of the standard library. Not covered: installed packages (torch,
    hwnas.space itself), files that the code reads, names that are put together at run time.

    The text counts as it is written, comments too, indentation of the whole left out. Where no
    source is to be had (an interactive session), the compiled code counts in its place; it
    changes with the Python version.
    """
    packages = {_module_of(_unwrapped(root)).partition(".")[0] for root in roots}
    todo: list[tuple[str, Any]] = [("root", root) for root in roots]
    seen: set[int] = set()
    lines = []
    while todo:
        name, target = todo.pop()
        target = _unwrapped(target)
        if id(target) in seen:
            continue
        if isinstance(target, functools.partial):
            seen.add(id(target))
            todo += [("", target.func), *(("", arg) for arg in target.args)]
            todo += [(key, arg) for key, arg in target.keywords.items()]
        elif isinstance(target, type | types.FunctionType):
            if not _followed(target, packages):
                continue
            seen.add(id(target))
            lines.append(f"{target.__qualname__}\n{_source(target)}")
            todo += list(_named_by(target))
        elif _plain(target):
            lines.append(f"{name} = {target!r}")
    return hashlib.sha256("\n\n".join(sorted(set(lines))).encode()).hexdigest()


def _unwrapped(target: Any) -> Any:
    if isinstance(target, types.MethodType):
        target = target.__func__
    return inspect.unwrap(target) if isinstance(target, types.FunctionType) else target


def _module_of(target: Any) -> str:
    if isinstance(target, functools.partial):
        return _module_of(_unwrapped(target.func))
    return getattr(target, "__module__", None) or ""


def _followed(target: Any, packages: set[str]) -> bool:
    name = _module_of(target)
    if name == _OURS or name.startswith(f"{_OURS}."):
        return False
    if name.partition(".")[0] in packages:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and not str(Path(file).resolve()).startswith(_INSTALLED)


def _source(target: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError):
        return "\n".join(map(_compiled, _codes(target)))


def _compiled(code: types.CodeType) -> str:
    constants = [const for const in code.co_consts if not isinstance(const, types.CodeType)]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {constants!r}"


def _codes(target: Any) -> Iterator[types.CodeType]:
    """The code objects of a function or of the methods of a class, inner ones included."""
    if isinstance(target, type):
        for member in vars(target).values():
            member = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(member, types.FunctionType):
                yield from _codes(member)
        return
    todo = [target.__code__]
    while todo:
        code = todo.pop()
        yield code
        todo += [const for const in code.co_consts if isinstance(const, types.CodeType)]


def _named_by(target: Any) -> Iterator[tuple[str, Any]]:
    """What the code of a class or function refers to: bases, globals, closures, defaults."""
    functions = [target]
    if isinstance(target, type):
        yield from (("", base) for base in target.__bases__)
        members = [getattr(m, "__func__", getattr(m, "fget", m)) for m in vars(target).values()]
        functions = [m for m in members if isinstance(m, types.FunctionType)]
        yield from ((name, m) for name, m in vars(target).items() if isinstance(m, type))
    for function in functions:
        cells = function.__closure__ or ()
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            with contextlib.suppress(ValueError):  # A cell may be empty still.
                yield name, cell.cell_contents
        yield from (("", value) for value in function.__defaults__ or ())
        yield from (function.__kwdefaults__ or {}).items()
        for code in _codes(function):
            known = [name for name in code.co_names if name in function.__globals__]
            for name in known:
                value = function.__globals__[name]
                if not name.startswith("__"):
                    yield name, value
                if isinstance(value, types.ModuleType):
                    yield from _attributes(value, code.co_names)


def _attributes(module: types.ModuleType, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = vars(module).get(name)
        if isinstance(value, type | types.FunctionType):
            yield name, value


def _plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(_plain(part) for pair in value.items() for part in pair)
    return value is None or isinstance(value, int | float | str | bool)
