"""Which calls of a network are measured together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import fx, nn

from hwnas.device._estimators.network import Network, name_of
from hwnas.device._item import Kind
from hwnas.errors import DeviceError

GRANULARITIES = ("operator", "unit", "block")

_HEADS = {"conv", "convolution", "convtranspose", "linear", "addmm"}
_NORMS = {"batchnorm"}
_ACTIVATIONS = {
    "clamp",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leakyrelu",
    "mish",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "tanh",
}


@dataclass(frozen=True)
class Group:
    """Calls that are measured as one item, in order; `name` says where they stand."""

    kind: Kind
    name: str
    nodes: tuple[fx.Node, ...]


def group(
    network: Network, granularity: str, blocks: Sequence[str | type[nn.Module]]
) -> list[Group]:
    """The live calls of a network, each in one group, in the order of the first call.

    `operator`: each call by itself. `unit`: a convolution or linear layer with the batch norm and
    the activation that follow it and that nothing else reads between. `block`: a whole call of the
    outermost module that is one of `blocks` (a class, a class name, or a pattern of paths such as
    `features.*`); the calls outside of blocks in units.

    Raises:
        DeviceError: no module of the network is one of `blocks`.
    """
    live = network.live()
    taken: dict[fx.Node, Group] = {}
    if granularity == "block":
        taken = _blocks(network, live, blocks)
    if granularity != "operator":
        _add_units(network, [node for node in live if node not in taken], taken)
    for node in live:
        if node not in taken:
            taken[node] = Group("operator", _place(node), (node,))
    return list(dict.fromkeys(taken[node] for node in live))


def _blocks(
    network: Network, live: Sequence[fx.Node], blocks: Sequence[str | type[nn.Module]]
) -> dict[fx.Node, Group]:
    calls: dict[str, list[fx.Node]] = {}
    paths: dict[str, str] = {}
    for node in live:
        for path, call in node.meta["stack"]:
            if path and _is_block(path, network.types.get(path), blocks):
                calls.setdefault(call, []).append(node)
                paths[call] = path
                break
    if not calls:
        wanted = ", ".join(one if isinstance(one, str) else one.__name__ for one in blocks)
        raise DeviceError(
            f"no module that the network calls is one of the blocks ({wanted}); give classes, "
            "class names, or patterns of module paths such as 'features.*'"
        )
    groups = [Group("block", paths[call], tuple(nodes)) for call, nodes in calls.items()]
    return {node: one for one in groups for node in one.nodes}


def _is_block(
    path: str, kind: type[nn.Module] | None, blocks: Sequence[str | type[nn.Module]]
) -> bool:
    return any(
        fnmatchcase(path, one) or (kind is not None and kind.__name__ == one)
        if isinstance(one, str)
        else kind is not None and issubclass(kind, one)
        for one in blocks
    )


def _add_units(network: Network, free: Sequence[fx.Node], taken: dict[fx.Node, Group]) -> None:
    open_nodes = set(free)
    for head in free:
        if head not in open_nodes or _role(network, head) not in _HEADS:
            continue
        chain = [head]
        for roles in (_NORMS, _ACTIVATIONS):
            user = _only_user(chain[-1])
            if user in open_nodes and user is not None and _role(network, user) in roles:
                chain.append(user)
        open_nodes -= set(chain)
        if len(chain) > 1:
            unit = Group("unit", _place(head), tuple(chain))
            taken.update(dict.fromkeys(chain, unit))


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _role(network: Network, node: fx.Node) -> str:
    """`conv` for Conv2d, conv1d and aten.conv2d alike."""
    name = name_of(node)
    if node.op == "call_module":
        name = type(network.module.get_submodule(str(node.target))).__name__
    return re.sub(r"(?<=[a-z])\d+d$", "", name.lower().replace("_", ""))


def _place(node: fx.Node) -> str:
    """The path of the module that makes the call, and the function if it is one."""
    stack = node.meta["stack"]
    path = stack[-1][0] if stack else ""
    name = name_of(node)
    return f"{path}.{name}".strip(".") if name else path
