"""What a search was asked to do is kept whole, so that it can be gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.vertex import (
    AnyProgram,
    FullTraining,
    ImageProgram,
    LocalProgram,
    Measuring,
    ModuleProgram,
    SearchRequest,
)


@pytest.mark.parametrize(
    "program",
    [
        LocalProgram("trainer.py"),
        ImageProgram("trainer:latest", "s3://bucket/jobs", {Path("/data, all"): "/data"}, True),
        ModuleProgram("hwnas.vertex.ready_calculator"),
    ],
)
def test_a_request_is_read_as_it_was_written(program: AnyProgram) -> None:
    request = SearchRequest(
        trainer=program,
        search_space="tutorial.spaces.mnist",
        metric="nas_reward",
        flags={"data": "a=b"},
        measuring=Measuring(program=program, flags={"x": "1"}, count=2),
        full=FullTraining(frequency=10),
    )
    again = SearchRequest.model_validate_json(request.model_dump_json())
    assert again == request
    assert type(again.trainer) is type(program)
