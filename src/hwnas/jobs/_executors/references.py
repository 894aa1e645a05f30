"""What a trial is trained from, by name: for processes that cannot be given the objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.cost import Counting
from hwnas.errors import JobError

if TYPE_CHECKING:
    from hwnas.jobs._folder.spec import JobSpec, Parent


@dataclass(frozen=True)
class References:
    """The parts of a request that a process which trains imports itself."""

    space: str
    fingerprint: str
    trainer: str
    options: Mapping[str, Any]
    task: str | None
    input_shape: tuple[int, ...] | None
    counting: Counting
    parent: Parent | None = None

    @classmethod
    def of(cls, spec: JobSpec) -> References:
        """Those of a request.

        Raises:
            JobError: its space or its trainer is an object without a name.
        """
        space, trainer = spec.space.reference, spec.trainer
        if space is None or trainer is None:
            what = "space" if space is None else "trainer"
            raise JobError(
                f"the {what} is an object that trials elsewhere cannot import; give it as text, "
                "module:name"
            )
        return cls(
            space,
            spec.space.fingerprint,
            trainer,
            spec.trainer_options,
            spec.task,
            spec.input_shape,
            spec.counting,
            spec.parent,
        )

    def load(self) -> tuple[Any, ...]:
        """The objects, in the order of `Training.payload`.

        Raises:
            UsageError: one cannot be imported.
            JobError: the space is another one here.
        """
        from hwnas.jobs._folder.weights import builder
        from hwnas.tasks import load_trainer, task_from_spec
        from hwnas.zoo import load_space

        task = task_from_spec(self.task) if self.task else None
        space = load_space(self.space, self.input_shape, task.num_classes if task else None)
        if space.fingerprint != self.fingerprint:
            raise JobError(f"the space '{self.space}' is not the job's here: its code differs")
        trainer = load_trainer(self.trainer)
        built = builder(space, self.parent)
        return built, trainer, self.options, task, self.input_shape, self.counting
