"""What a search with a trainer of Vertex was asked to do, kept with its job."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.vertex._programs import ImageProgram, LocalProgram, ModuleProgram

AnyProgram = LocalProgram | ImageProgram | ModuleProgram


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measuring(_Strict):
    """Latency calculators of a job: how one is started, its flags, and how many there are."""

    program: AnyProgram
    flags: dict[str, str] = {}
    count: int = Field(default=1, ge=1)


class FullTraining(_Strict):
    """Training in full the best trials, `parallel` of them after every `frequency` trials."""

    flags: dict[str, str] = {}
    parallel: int = Field(default=5, ge=1)
    frequency: int = Field(default=1000, ge=1)


class SearchRequest(_Strict):
    """`request.json` of a search. Without a way to measure, trials that wait for one fail."""

    schema_version: Literal[1] = 1
    trainer: AnyProgram
    search_space: str
    metric: str
    flags: dict[str, str] = {}
    trials: int = Field(default=5, ge=1)
    parallel: int = Field(default=5, ge=1)
    max_failed: int = Field(default=5, ge=0)
    strategy: str = "evolution"
    seed: int = Field(default=0, ge=0)
    measuring: Measuring | None = None
    full: FullTraining | None = None
