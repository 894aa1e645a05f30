"""`hwnas vertex`: the commands of Vertex AI NAS's client, on this machine."""

from __future__ import annotations

import typer

from hwnas.cli import _vertex_build
from hwnas.cli._vertex_client import Command, Group, grouped

app = typer.Typer(
    cls=Group,
    help="Searches written for Vertex AI NAS, with the flags of its client.",
    no_args_is_help=True,
)
app.command("build", cls=Command)(grouped(_vertex_build.build))
