"""The ready trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwnas.errors import TrialError, UsageError
from hwnas.tasks import Augment, Data, Digits, Split, classify, evaluate, task_from_spec


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Data:
    return Digits(limit=200).load(0)


def small(seed: int = 0, channels: int = 1, side: int = 8, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8 * (side // 2) ** 2, 10),
    )


def go_on(step: int, metrics: Mapping[str, float]) -> bool:
    return False


def test_digits_are_learnt() -> None:
    task = Digits()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    metrics = classify(model, task.load(0), go_on, seed=0, **task.defaults)
    assert metrics["accuracy"] >= 0.97
    assert evaluate(model, task.test(0))["accuracy"] >= 0.97


def test_mnist_is_learnt_in_two_epochs(measured: Callable[[str], Path]) -> None:
    task = task_from_spec(f"idx:{measured('mnist')}")
    assert task.input_shape == (1, 28, 28)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(28 * 28 * 6, 10),
    )
    metrics = classify(model, task.load(0), go_on, seed=0, epochs=2)
    assert metrics["accuracy"] >= 0.93


def test_a_zip_of_cifar_images_is_learnt_from(measured: Callable[[str], Path]) -> None:
    task = task_from_spec(f"images:{measured('cifar10-images.zip')}?limit=600&size=16&valid=0.1")
    assert task.class_names[:2] == ("airplane", "automobile")
    data = task.load(0)
    assert [len(data.train), len(data.valid), len(task.test(0))] == [600, 600, 600]
    metrics = classify(small(channels=3, side=16), data, go_on, seed=0, epochs=4)
    assert metrics["accuracy"] > 0.2


def test_metrics_weights_and_reports_are_those_of_the_seed(digits: Data) -> None:
    def run(seed: int) -> tuple[dict[str, float], list[Any], Tensor]:
        model, reports = small(dropout=0.3), []

        def report(step: int, metrics: Mapping[str, float]) -> bool:
            reports.append((step, dict(metrics)))
            return False

        metrics = classify(model, digits, report, seed=seed, epochs=3)
        return metrics, reports, torch.cat([p.detach().flatten() for p in model.parameters()])

    first, second, other = run(1), run(1), run(2)
    assert first[:2] == second[:2]
    assert torch.equal(first[2], second[2])
    assert first[0] != other[0]
    assert [step for step, _ in first[1]] == [1, 2, 3]
    assert first[1][-1][1] == first[0]
    assert set(first[0]) == {"accuracy", "loss", "train_loss"}


def test_returned_metrics_belong_to_the_weights_left_in_the_model(digits: Data) -> None:
    model = small()
    metrics = classify(model, digits, go_on, seed=0, epochs=2)
    assert not any(module.training for module in model.modules())
    again = evaluate(model, digits.valid)
    assert again["accuracy"] == metrics["accuracy"]
    assert again["loss"] == pytest.approx(metrics["loss"], rel=1e-5)


def test_it_stops_when_told(digits: Data) -> None:
    steps = []

    def stop_at_two(step: int, metrics: Mapping[str, float]) -> bool:
        steps.append(step)
        return step == 2

    classify(small(), digits, stop_at_two, seed=0, epochs=9)
    assert steps == [1, 2]


def test_the_callers_random_numbers_are_left_alone(digits: Data) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    model = small(dropout=0.5)
    torch.manual_seed(3)
    classify(model, digits, go_on, seed=0, epochs=1)
    assert torch.equal(torch.rand(4), expected)


def test_the_model_comes_back_in_the_usual_layout(digits: Data) -> None:
    model = small()
    classify(model, digits, go_on, seed=0, epochs=1)
    assert all(parameter.is_contiguous() for parameter in model.parameters())


class Viewing(nn.Module):
    """Flattens with `view`, which wants the usual memory layout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(x).relu().view(len(x), -1))
        return logits


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_that_uses_view_trains(digits: Data, channels: int) -> None:
    train, valid = (
        Split(split.x.repeat(1, channels, 1, 1), split.y) for split in (digits.train, digits.valid)
    )
    data = Data(train, valid, 10, augment=Augment(shift=1, flip=True))
    model = Viewing(channels)
    classify(model, data, go_on, seed=0, epochs=1)
    assert evaluate(model, data.valid).keys() == {"accuracy", "loss"}


def test_no_batch_of_one_image_reaches_batch_norm(digits: Data) -> None:
    data = Data(Split(digits.train.x[:65], digits.train.y[:65]), digits.valid, digits.num_classes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    classify(model, data, go_on, seed=0, epochs=1, batch_size=64)


def test_a_single_step_is_enough(digits: Data) -> None:
    metrics = classify(small(), digits, go_on, seed=0, epochs=1, batch_size=10_000)
    assert set(metrics) == {"accuracy", "loss", "train_loss"}


class Returns(nn.Module):
    def __init__(self, output: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.output = output

    def forward(self, x: Tensor) -> Any:
        return self.output(x.flatten(1).sum(1) * self.weight)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda s: s, r"the model returns \(\d+,\); it must return logits \(n, 10\)"),
        (lambda s: s[:, None].expand(-1, 4), r"the model returns \(\d+, 4\)"),
        (lambda s: (s, s), "the model returns tuple"),
        (lambda s: s[:, None].expand(-1, 10) * float("nan"), "'loss' is nan, not a finite"),
    ],
)
def test_a_model_that_is_no_classifier(
    digits: Data, output: Callable[[Tensor], Any], message: str
) -> None:
    with pytest.raises(TrialError, match=message):
        classify(Returns(output), digits, go_on, seed=0, epochs=1)


def test_a_model_without_parameters(digits: Data) -> None:
    with pytest.raises(TrialError, match="no parameters to train"):
        classify(nn.Flatten(), digits, go_on, seed=0, epochs=1)


def test_a_models_own_error_comes_through(digits: Data) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(63, 10))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        classify(model, digits, go_on, seed=0, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "option 'epochs' .* is 0; it is at least 1"),
        ({"batch_size": 0}, "option 'batch_size' .* is 0"),
        ({"lr": 0.0}, "option 'lr' .* is 0.0; it is above 0"),
        ({"weight_decay": -1.0}, "option 'weight_decay'"),
        ({"label_smoothing": 1.0}, "option 'label_smoothing'"),
        ({"device": "tpu9"}, "device 'tpu9' is not one that torch knows"),
        ({"device": "cuda:77"}, "device 'cuda:77' is not there"),
    ],
)
def test_options_outside_their_range(digits: Data, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classify(small(), digits, go_on, seed=0, **options)


def test_evaluate_agrees_with_counting(digits: Data) -> None:
    model = small().train()
    found = evaluate(model, digits.valid)
    assert model.training
    logits = model.eval()(digits.valid.x)
    assert found["accuracy"] == pytest.approx(
        (logits.argmax(1) == digits.valid.y).double().mean().item()
    )
    expected = nn.functional.cross_entropy(logits, digits.valid.y).item()
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_uses_the_gpu_and_brings_the_model_back(digits: Data) -> None:
    model = small()
    metrics = classify(model, digits, go_on, seed=0, epochs=5)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    on_cpu = evaluate(model, digits.valid, device="cpu")
    assert on_cpu["accuracy"] == pytest.approx(metrics["accuracy"], abs=0.02)


def test_a_shift_moves_the_image_and_repeats_its_border() -> None:
    x = torch.zeros(400, 1, 5, 5)
    x[:, :, 2, 2] = 1.0
    x[:, :, :, 0] = 7.0
    moved = Augment(shift=1)(x, torch.Generator().manual_seed(0))
    assert moved.shape == x.shape
    assert moved.stride() == x.stride()
    places = {tuple(image[0].eq(1.0).nonzero()[0].tolist()) for image in moved}
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert set(moved.flatten().tolist()) == {0.0, 1.0, 7.0}
    right = moved[moved[:, 0, :, 3].eq(1.0).any(1)]
    assert (right[:, :, :, :2] == 7.0).all()


def test_a_flip_turns_about_half_of_the_images() -> None:
    x = torch.arange(3.0).expand(400, 2, 4, 3)
    flipped = Augment(flip=True)(x, torch.Generator().manual_seed(0))
    turned = (flipped == x.flip(3)).all(dim=(1, 2, 3))
    assert (turned | (flipped == x).all(dim=(1, 2, 3))).all()
    assert 150 < turned.sum() < 250


def test_no_augmentation_changes_nothing() -> None:
    x = torch.rand(4, 1, 3, 3)
    assert torch.equal(Augment()(x, torch.Generator()), x)
