"""`hwnas vertex`: the commands of Vertex AI NAS's client, on this machine."""

from __future__ import annotations

import typer

from hwnas.cli import (
    _vertex_build,
    _vertex_calculator,
    _vertex_list,
    _vertex_local,
    _vertex_resume,
    _vertex_search,
    _vertex_train,
)
from hwnas.cli._vertex_client import Command, Group, grouped

app = typer.Typer(
    cls=Group,
    help="Searches written for Vertex AI NAS, with the flags of its client.",
    no_args_is_help=True,
)
app.command("build", cls=Command)(grouped(_vertex_build.build))
app.command("search", cls=Command)(grouped(_vertex_search.search))
app.command("search_in_local", cls=Command)(grouped(_vertex_local.search_in_local))
app.command("search_resume", cls=Command)(grouped(_vertex_resume.search_resume))
app.command("train", cls=Command)(grouped(_vertex_train.train))
app.command("list_trials", cls=Command)(grouped(_vertex_list.list_trials))
app.command("run_latency_calculator_local", cls=Command)(
    grouped(_vertex_calculator.run_latency_calculator_local)
)
