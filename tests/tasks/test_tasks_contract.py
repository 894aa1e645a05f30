"""What every task promises, checked on every member of the family."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hwnas import _plugins
from hwnas.errors import UsageError
from hwnas.tasks import Task, task_from_spec

FIXTURES = {
    "digits": None,
    "idx": "idx_folder",
    "cifar10": "cifar_folder",
    "images": "photo_folder",
}


@pytest.fixture(params=sorted(FIXTURES))
def spec(request: pytest.FixtureRequest) -> str:
    fixture = FIXTURES[request.param]
    return f"{request.param}:{request.getfixturevalue(fixture)}" if fixture else request.param


@pytest.fixture
def task(spec: str) -> Task:
    return task_from_spec(spec)


def rows(*splits: Tensor) -> list[bytes]:
    """The images as bytes, to compare as sets."""
    return [image.numpy().tobytes() for split in splits for image in split]


def digest(task: Task, seed: int) -> str:
    data, test = task.load(seed), task.test(seed)
    found = hashlib.sha256()
    for split in (data.train, data.valid, test):
        found.update(split.x.numpy().tobytes())
        found.update(split.y.numpy().tobytes())
    return found.hexdigest()


def test_every_registered_task_is_covered() -> None:
    assert _plugins.names("tasks") == sorted(FIXTURES)


def test_shapes_types_and_labels(task: Task) -> None:
    data = task.load(0)
    for split in (data.train, data.valid, task.test(0)):
        assert split.x.shape == (len(split), *task.input_shape)
        assert split.x.stride() == torch.empty(split.x.shape).stride()  # also of one channel
        assert split.x.dtype == torch.float32
        assert split.y.dtype == torch.int64
        assert set(split.y.tolist()) == set(range(task.num_classes))
    assert data.num_classes == task.num_classes == len(task.class_names)


def test_the_train_split_is_normalised_and_its_statistics_are_told(task: Task) -> None:
    data = task.load(0)
    std, mean = torch.std_mean(data.train.x, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-4, rtol=0)
    pixels = data.valid.x * torch.tensor(data.std)[:, None, None]
    pixels += torch.tensor(data.mean)[:, None, None]
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-3, rtol=0)
    assert pixels.min() > -0.5
    assert pixels.max() < 255.5


def test_the_splits_share_no_image_and_leave_none_out(task: Task) -> None:
    data = task.load(3)
    images = rows(data.train.x, data.valid.x, task.test(3).x)
    assert len(set(images)) == len(images)
    other = task.load(4)
    assert len(rows(other.train.x, other.valid.x, task.test(4).x)) == len(images)


def test_another_seed_gives_another_split(task: Task) -> None:
    assert digest(task, 0) != digest(task, 1)


def test_classes_keep_their_share_in_every_split(task: Task) -> None:
    data = task.load(0)
    whole = torch.cat([data.train.y, data.valid.y]).bincount() / (len(data.train) + len(data.valid))
    for split in (data.train, data.valid):
        share = split.y.bincount(minlength=task.num_classes) / len(split)
        torch.testing.assert_close(share, whole, atol=0.03, rtol=0)


def test_the_same_split_in_another_process(task: Task) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_tasks_contract import digest\n"
        "from hwnas.tasks import task_from_spec\n"
        "print(digest(task_from_spec(sys.argv[1]), 5))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, task.spec],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert other.stdout.strip() == digest(task, 5)


def test_the_spec_makes_the_same_task_again(spec: str) -> None:
    plain = task_from_spec(spec)
    assert task_from_spec(plain.spec).spec == plain.spec
    changed = task_from_spec(f"{spec}?limit=10&valid=0.3&augment=flip")
    again = task_from_spec(changed.spec)
    assert type(again) is type(changed)
    assert vars(again)["limit"] == 10
    assert digest(again, 0) == digest(changed, 0) != digest(plain, 0)
    assert again.load(0).augment == changed.load(0).augment


def test_limit_samples_every_split_by_class(spec: str) -> None:
    limited = task_from_spec(f"{spec}?limit=11")
    whole = task_from_spec(spec)
    data, everything = limited.load(0), whole.load(0)
    for split, full in (
        (data.train, everything.train),
        (data.valid, everything.valid),
        (limited.test(0), whole.test(0)),
    ):
        assert len(split) == min(11, len(full))
        assert set(split.y.tolist()) == set(range(limited.num_classes))


def test_valid_is_the_fraction_that_validates(spec: str) -> None:
    few = task_from_spec(f"{spec}?valid=0.15").load(0)
    many = task_from_spec(f"{spec}?valid=0.5").load(0)
    assert len(few.valid) < len(many.valid)
    assert len(few.valid) + len(few.train) == len(many.valid) + len(many.train)


def test_augment_is_read_from_the_spec(spec: str) -> None:
    names = ("none", "shift", "flip", "shift+flip")
    found = [task_from_spec(f"{spec}?augment={name}").load(0).augment for name in names]
    assert [(bool(a.shift), a.flip) for a in found] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("limit=2", "limit=2 is too small"),
        ("limit=many", "option 'limit' of task .* is 'many'; it is a whole number"),
        ("valid=0", "valid=0.0 is not a fraction"),
        ("valid=1.5", "valid=1.5 is not a fraction"),
        ("valid=nan", "it is a finite number"),
        ("augment=mixup", "augment.* is 'mixup'; it is one of none, shift, flip, shift.flip"),
        ("limits=9", "unknown option 'limits' of task .*; known: augment, .*limit"),
        ("limit", "'limit' in .* is not of the form option=value"),
        ("limit=20&limit=30", "option 'limit' is given twice"),
    ],
)
def test_options_are_strict(spec: str, options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task_from_spec(f"{spec}?{options}")
