"""Values of flags as Vertex's client has them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hwnas.errors import UsageError


def pass_through(pairs: Iterable[str], option: str) -> dict[str, str]:
    """Flags for a program, of `name=value` pairs; a value may hold `=`, the last of a name counts.

    Raises:
        UsageError: a pair without a name or without `=`.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip("-") or name.startswith("-"):
            raise UsageError(f"{option}: '{pair}' is not of the form name=value, such as epochs=2")
        found[name] = value
    return found


def as_words(flags: Mapping[str, object]) -> list[str]:
    """Flags as words of a command: `--name=value`."""
    return [f"--{name}={value}" for name, value in flags.items()]


def trial_numbers(text: str, option: str = "--train_nas_trial_numbers") -> tuple[int, ...]:
    """`1,9` as numbers of trials, each once, from 1.

    Raises:
        UsageError: something else, or a number twice.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"{option} '{text}': write numbers of trials from 1, such as 1,9")
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise UsageError(f"{option} '{text}': {', '.join(map(str, twice))} is named twice")
    return tuple(numbers)


def check_worker(worker_id: int, num_workers: int) -> None:
    """The place of a latency worker among all.

    Raises:
        UsageError: unless 0 <= worker_id < num_workers.
    """
    if num_workers < 1:
        raise UsageError(f"--num_latency_workers {num_workers}: there must be one at least")
    if not 0 <= worker_id < num_workers:
        raise UsageError(
            f"--latency_worker_id {worker_id} of {num_workers}: it must be 0 to {num_workers - 1}"
        )
