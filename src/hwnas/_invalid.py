"""What is wrong with data that somebody else wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """What is wrong first, in one line: the field and the reason."""
    problem = error.errors()[0]
    message = problem["msg"].replace("Input should", "it should")
    return f"{'.'.join(map(str, problem['loc'])) or 'content'}: {message}"
