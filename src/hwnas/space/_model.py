"""ModelSpace: a network class whose constructor leaves choices open."""

from __future__ import annotations

import inspect
import os
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._base import SearchSpace
from hwnas.space._choice import Choice
from hwnas.space._code_hash import code_hash
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, OpenValueError, Value, disjunction, exprs, resolve
from hwnas.space._modes import BuildRun, Site, SupernetRun, TemplateRun
from hwnas.space._naming import name_choices
from hwnas.space._run import Run
from hwnas.space._supernet import follow, inherit
from hwnas.space._symbolic import activated


class ModelSpace(SearchSpace):
    """The networks that a constructor can make.

    `factory` is a plain `nn.Module` class, or a function that returns a module, whose code uses
    `Choice`, `LayerChoice`, `InputChoice`, `Repeat`, `Cell` and the layers of `hwnas.space.nn`.
    `build(arch)` runs it with every choice made: the result is an instance of the same class
    with plain torch layers, and only the chosen parts were ever created.

    The constructor must do the same at each run: chance, global state, or a branch on a chosen
    value is an error. It first runs here with the choices open, on the `meta` device, where
    tensors have shapes but no values.

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                width = Choice([16, 32], label="width")
                self.conv = hwnas.space.nn.Conv2d(3, width, Choice([3, 5]), padding="same")
                self.head = hwnas.space.nn.Linear(width, 10)

        space = ModelSpace(Net)
        model = space.build({"width": 32, "conv.kernel_size": 3})

    Args:
        factory: the class or function.
        args, kwargs: its arguments; they may be choices, named after the parameter.

    Raises:
        SpaceError: the space is ill-formed; the message says where.
    """

    def __init__(self, factory: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> None:
        if isinstance(factory, nn.Module):
            raise SpaceError(
                f"ModelSpace takes the class, not a module: ModelSpace({type(factory).__name__})"
            )
        self.factory = factory
        self.args = args
        self.kwargs = kwargs
        self._lock = threading.Lock()
        self._supernet: tuple[nn.Module, SupernetRun] | None = None
        run = TemplateRun()
        self._open_arguments = _name_arguments(factory, args, kwargs)
        with torch.device("meta"), _explained():
            self._template = self._make(run)
        name_choices(self._template, run.sites.values())
        self._sites = run.sites
        _ = self.decisions  # Errors in conditions show now.

    @property
    def template(self) -> nn.Module:
        """The network with the choices open and all candidates inside, on the meta device."""
        return self._template

    @cached_property
    def code_hash(self) -> str:
        """See `SearchSpace.code_hash`."""
        return code_hash(self.factory, *self.args, *self.kwargs.values())

    @property
    def supernet(self) -> nn.Module:
        """The network with every candidate and real weights of the largest shape.

        Made at first use, on torch's default device. Its forward follows the arch made active by
        `activate`; it serves one thread at a time.
        """
        return self._shared()[0]

    @contextmanager
    def activate(self, arch: Mapping[str, Value]) -> Iterator[None]:
        """Let the supernet act as the network of `arch` inside the `with`, in this thread.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        self.validate(arch)
        with activated(self._shared()[1], dict(arch)):
            yield

    def extract(self, arch: Mapping[str, Value]) -> nn.Module:
        """`build(arch)` with the supernet's weights and buffers, copied, on its device.

        In eval mode it computes what the supernet computes under `arch`.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        built = self.build(arch)
        supernet = self.supernet
        source = next(supernet.parameters(), None)
        if source is not None:
            built.to(source.device, source.dtype)
        inherit(supernet, built, dict(arch))
        return built.train(supernet.training)

    def _decide(self) -> Sequence[Decision]:
        by_label: dict[str, list[Site]] = {}
        for site in self._sites.values():
            by_label.setdefault(site.choice.label, []).append(site)
        return [_decision(label, sites) for label, sites in by_label.items()]

    def _build(self, arch: Arch) -> nn.Module:
        run = BuildRun(self._sites, arch)
        model = self._make(run)
        if missed := arch.keys() - run.reached:
            raise SpaceError(
                f"the constructor did not make the choice '{min(missed)}' that it made at first: "
                "it must not depend on chance, on global state or on a chosen value"
            )
        return model

    def _shared(self) -> tuple[nn.Module, SupernetRun]:
        with self._lock:
            if self._supernet is None:
                run = SupernetRun(self._sites, self.decisions)
                model = self._make(run)
                follow(model, run)
                self._supernet = model, run
            return self._supernet

    def _make(self, run: Run) -> nn.Module:
        args, kwargs = self.args, self.kwargs
        for choice in self._open_arguments:
            run.adopt(choice)
        if isinstance(run, BuildRun):
            args, kwargs = resolve((args, kwargs), run.arch)
        with run.running():
            model = self.factory(*args, **kwargs)
        if not isinstance(model, nn.Module):
            raise SpaceError(f"ModelSpace: the factory returned {model!r}, which is no nn.Module")
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.factory, self.args, self.kwargs)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where plain torch code meets an open choice or a tensor without values."""
    try:
        yield
    except OpenValueError as error:
        raise SpaceError(f"{_where(error)}: {error}") from error
    except TypeError as error:
        if re.search(r"(type |not |got |')(Op|Choice)\b", str(error)):
            raise SpaceError(
                f"{_where(error)}: a choice was given to something that needs a number; use the "
                f"layers of hwnas.space.nn, hwnas.space.nn.parameter and Repeat ({error})"
            ) from error
        raise
    except (RuntimeError, NotImplementedError) as error:
        if "meta tensor" in str(error):
            raise SpaceError(
                f"{_where(error)}: the constructor reads values of a tensor, which has none while "
                "the space is made; use plain Python or NumPy there"
            ) from error
        raise


def _where(error: Exception) -> str:
    """File and line of the innermost frame that is neither torch's nor ours."""
    ours = (os.path.dirname(torch.__file__), os.path.dirname(__file__))
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    return (
        f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "ModelSpace"
    )


def _again(
    kind: type[ModelSpace],
    factory: Callable[..., nn.Module],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> ModelSpace:
    return kind(factory, *args, **kwargs)


def _name_arguments(
    factory: Callable[..., nn.Module], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Choice]:
    """The choices among the arguments, each once; those without a label get the parameter's."""
    found: dict[int, Choice] = {}
    bound = inspect.signature(factory).bind(*args, **kwargs).arguments
    for name, value in bound.items():
        for expr in exprs(value):
            for leaf in expr.leaves():
                if leaf is value and not leaf.is_labelled:
                    leaf.name(name)
                found[id(leaf)] = leaf
    return list(found.values())


def _decision(label: str, sites: list[Site]) -> Decision:
    """The decision that is made at `sites`; taken if any of them is reached."""
    first = sites[0].choice
    for site in sites[1:]:
        if list(map(repr, site.choice.values)) != list(map(repr, first.values)):
            raise SpaceError(
                f"'{label}' is one decision but has two lists of choices: {list(first.values)} "
                f"({first.where}) and {list(site.choice.values)} ({site.choice.where})"
            )
    return Decision(label, first.values, disjunction(*(site.condition for site in sites)))
