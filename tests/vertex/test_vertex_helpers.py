"""The helpers under the original's names: what they take, write and refuse."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyglove as pg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import ArchError, BudgetError, StoreError, TrialError, UsageError
from hwnas.vertex import cloud_nas_utils, gcs_path_utils, gcs_utils, tf_utils
from hwnas.vertex._metrics import reports
from hwnas.vertex.cloud_nas_utils import compute_reward
from hwnas.vertex.metrics_reporter import NasMetricsReporter

POSITIVE = st.floats(1e-6, 1e6)


@given(st.floats(0, 1), POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.floats(0, 2), st.booleans())
def test_rewards_are_the_published_formula(
    accuracy: float,
    target: float,
    measured: float,
    memory: float,
    used: float,
    weight: float,
    hard: bool,
) -> None:
    one, two = (target / measured) ** weight, (memory / used) ** weight
    if hard:
        one, two = min(one, 1.0), min(two, 1.0)
    plain = compute_reward(accuracy, target, measured, weight=weight, use_hard_limit=hard)
    assert plain == pytest.approx(accuracy * one)
    both = compute_reward(accuracy, target, measured, memory, used, weight, hard)
    assert both == pytest.approx(accuracy * one * two)


@pytest.mark.parametrize(
    ("flops", "soft", "hard"), [(0.4, 1.9, 0.95), (1.6, 0.475, 0.475), (0.8, 0.95, 0.95)]
)
def test_the_rewards_of_the_tutorials_table(flops: float, soft: float, hard: float) -> None:
    assert compute_reward(0.95, 0.8, flops, use_hard_limit=False) == pytest.approx(soft)
    assert compute_reward(0.95, 0.8, flops) == pytest.approx(hard)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "arguments",
    [
        *({"accuracy": wrong} for wrong in (NAN, INF, -0.5, None, "0.9", True)),
        *({"target_latency_or_flops": wrong} for wrong in (NAN, INF, 0, -1, None, "3")),
        *({"measured_latency_or_flops": wrong} for wrong in (NAN, INF, 0, -1, None, 1j, True)),
        *({"target_memory": wrong} for wrong in (NAN, INF, -1, None)),
        *({"target_memory": 5, "measured_memory": wrong} for wrong in (NAN, 0, -5, None)),
        *({"weight": wrong} for wrong in (NAN, INF, -1, None, "1")),
    ],
)
def test_a_reward_of_nonsense_is_refused(arguments: dict[str, Any]) -> None:
    right = {"accuracy": 0.9, "target_latency_or_flops": 3, "measured_latency_or_flops": 2}
    with pytest.raises(BudgetError):
        compute_reward(**{**right, **arguments})


NAMES = st.text(min_size=1, max_size=64).filter(lambda name: name not in {"tag", "global_step"})
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(value=FINITE, step=st.integers(0, 10**9), others=st.dictionaries(NAMES, FINITE, max_size=5))
def test_what_is_reported_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: float, step: int, others: dict[str, float]
) -> None:
    file = tmp_path_factory.mktemp("reports") / "sub" / "metrics"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_ML_HP_METRIC_FILE", str(file))
        patch.setenv("CLOUD_ML_TRIAL_ID", "7")
        reporter = NasMetricsReporter()
    reporter.report_metrics("tag", 0.5, checkpoint_path="ckpt", model_flops=1e6)
    reporter.report_metrics("tag", value, step, other_metrics=others)
    first, last = reports(file, "tag")
    assert first.metrics == {"tag": 0.5, "model_flops": 1e6}
    assert last.step == step
    assert last.metrics == {"tag": value, **others}
    row = json.loads(file.read_text().splitlines()[0])
    assert row.pop("timestamp") > 0
    assert row == {
        "trial": "7",
        "tag": "0.5",
        "global_step": "0",
        "checkpoint_path": "ckpt",
        "model_flops": "1000000.0",
    }


@pytest.fixture
def reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NasMetricsReporter:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", "metrics")  # without a folder
    return NasMetricsReporter()


@pytest.mark.parametrize("value", [NAN, INF, None, "good"])
def test_a_metric_that_is_no_number_is_not_reported(
    reporter: NasMetricsReporter, value: Any
) -> None:
    with pytest.raises(TrialError, match=r"'nas_reward' is .*, not a finite number"):
        reporter.report_metrics("nas_reward", value)
    assert not Path("metrics").exists()


def test_other_metrics_that_cannot_be_told_are_left_out_aloud(
    reporter: NasMetricsReporter, caplog: pytest.LogCaptureFixture
) -> None:
    others = {"x" * 65: 1, "nan": NAN, "text": "fast", "nas_reward": 1, "model_flops": 2}
    kept = {f"metric {i}": i for i in range(5)}
    reporter.report_metrics("nas_reward", 0.0, other_metrics={**others, "id": "3", **kept})
    (found,) = reports(Path("metrics"), "nas_reward")
    assert found.metrics == {"nas_reward": 0.0, "id": 3.0, **{f"metric {i}": i for i in range(4)}}
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 6


def test_the_last_hundred_reports_are_kept(reporter: NasMetricsReporter) -> None:
    for step in range(120):
        reporter.report_metrics("m", 1.0, step)
    assert [one.step for one in reports(Path("metrics"), "m")] == list(range(20, 120))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"m": "nan"}', "m = nan"),
        ('{"m": "inf"}\n', "m = inf"),
        ('{"m": null}', "m = None"),
        ('{"other": "1"}', "no metric 'm', but 'other'"),
        ("{}", "nothing else"),
        ("[1]", "is no report"),
        ('half a li\n{"m": "1"}\n', "no JSON"),
    ],
)
def test_reports_that_cannot_be_read(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "metrics").write_text(content)
    with pytest.raises(TrialError, match=reason):
        reports(tmp_path / "metrics", "m")


def test_a_report_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    file = tmp_path / "metrics"
    assert reports(file, "m") == []
    file.write_text('{"m": "1", "global_step": "3"}\n{"m": "0.')
    assert [one.step for one in reports(file, "m")] == [3]


@pytest.mark.parametrize("stage", ["search", "train"])
@pytest.mark.parametrize("below", ["", "/model"])
@pytest.mark.parametrize("root", ["/data/job_1", "gs://bucket/job_1", "/x/nas/search/3/job"])
def test_the_job_dir_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, stage: str, below: str, root: str
) -> None:
    monkeypatch.setenv("AIP_MODEL_DIR", f"{root}/nas/{stage}/12{below}")
    found = cloud_nas_utils.get_job_dir_from_environment_if_exist(current_job_dir="tmp")
    assert found == f"{root}/nas/{stage}/12"


def test_the_job_dir_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIP_MODEL_DIR", raising=False)
    assert cloud_nas_utils.get_job_dir_from_environment_if_exist("tmp") == "tmp"
    monkeypatch.setenv("AIP_MODEL_DIR", "/somewhere/else")
    with pytest.raises(UsageError, match=r"/somewhere/else.*nas/search/<n>"):
        cloud_nas_utils.get_job_dir_from_environment_if_exist("tmp")


def space() -> Any:
    return pg.List([pg.Dict(kernel_size=pg.one_of([3, 5]), filter_size=pg.one_of([3, 4, 5]))])


RIGHT = {"[0].kernel_size": "1/2 (5)", "[0].filter_size": "2/3 (5)"}


def test_params_are_parsed_and_kept(tmp_path: Path) -> None:
    """From the flag, and from the file that was kept, as the second stage does."""
    folder = str(tmp_path / "new")
    found = cloud_nas_utils.parse_and_save_nas_params_str(space(), json.dumps(RIGHT), folder)
    assert (found[0].kernel_size, found[0].filter_size) == (5, 5)
    file = tmp_path / "new/nas_params_str.json"
    assert json.loads(file.read_text()) == RIGHT
    again = cloud_nas_utils.parse_and_save_nas_params_str(space(), str(file))
    assert pg.eq(found, again)
    text = cloud_nas_utils.serialize_and_save_tunable_object(found, folder)
    assert (tmp_path / "new/serialized_tunable_object.json").read_text() == text
    assert pg.eq(pg.from_json_str(text), found)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"[0].kernel_size": "1/2 (5)"},
        {**RIGHT, "[1].kernel_size": "1/2 (5)"},
        {**RIGHT, "[0].kernel_size": "1/3 (5)"},
        {**RIGHT, "[0].kernel_size": "1/2 (7)"},
    ],
)
def test_params_of_another_space_are_refused(tmp_path: Path, params: dict[str, str]) -> None:
    with pytest.raises(ArchError, match="another search space"):
        cloud_nas_utils.parse_and_save_nas_params_str(space(), json.dumps(params), str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_params_that_cannot_be_read(tmp_path: Path) -> None:
    for text in ("{", "[]"):
        with pytest.raises(ArchError, match="JSON"):
            cloud_nas_utils.parse_and_save_nas_params_str(space(), text)
    with pytest.raises(TrialError, match=r"no .*3/nas_params_str\.json"):
        cloud_nas_utils.parse_and_save_nas_params_str(
            space(), str(tmp_path / "3/nas_params_str.json")
        )


def test_trials_of_the_second_stage_know_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "2")
    assert cloud_nas_utils.get_search_trial_id_to_finetune("12, 45") == "45"
    assert cloud_nas_utils.get_retrain_search_job_model_dir("12,45", "/job/") == "/job/45"
    found = cloud_nas_utils.get_finetune_nas_params_str("12,45", "gs://b/job")
    assert found == "gs://b/job/45/nas_params_str.json"
    for trials, folder in (("", "/job"), ("12", ""), ("12", "/job")):
        with pytest.raises(UsageError):
            cloud_nas_utils.get_finetune_nas_params_str(trials, folder)
    monkeypatch.delenv("CLOUD_ML_TRIAL_ID")
    assert cloud_nas_utils.get_trial_id_from_environment() == "0"


def test_small_helpers(tmp_path: Path) -> None:
    assert cloud_nas_utils.get_saved_model_dir("/job/3") == "/job/3/saved_model"
    cloud_nas_utils.write_job_status(str(tmp_path), cloud_nas_utils.JOB_STATUS_FAILED)
    assert json.loads((tmp_path / "job_status.json").read_text()) == {"job_status": "failed"}
    assert cloud_nas_utils.str_2_bool("True")
    assert not cloud_nas_utils.str_2_bool("false")
    with pytest.raises(UsageError, match="yes"):
        cloud_nas_utils.str_2_bool("yes")


def test_files_in_folders_and_stores(tmp_path: Path) -> None:
    for root in (str(tmp_path / "a"), f"file://{tmp_path}/b"):
        gcs_utils.makedirs(root)
        gcs_utils.save_json(f"{root}/one/two.json", {"x": 1})
        assert gcs_utils.exists(f"{root}/one/two.json")
        assert not gcs_utils.exists(f"{root}/one/three.json")
        assert gcs_utils.load_json(f"{root}/one/two.json") == {"x": 1}
        assert gcs_utils.load_json(f"{root}/none.json") is None
        gcs_utils.copy(f"{root}/one/two.json", f"{root}/copy.json")
        with gcs_utils.file_open(f"{root}/copy.json", "r") as file:
            assert json.load(file) == {"x": 1}
        with gcs_utils.file_open(f"{root}/text", "w") as file:
            file.write("ü")
        with gcs_utils.file_open(f"{root}/text", "rb") as file:
            assert file.read() == "ü".encode()
        with pytest.raises(FileNotFoundError), gcs_utils.file_open(f"{root}/none", "r"):
            pass
        with pytest.raises(StoreError, match="no such file"):
            gcs_utils.copy(f"{root}/none", f"{root}/copy")
        with gcs_utils.file_open(f"{root}/bad.json", "w") as file:
            file.write('{"half":')
        with pytest.raises(StoreError, match="no JSON"):
            gcs_utils.load_json(f"{root}/bad.json")


def test_paths_of_mounted_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs_path_utils, "_FOLDER", f"{tmp_path}/")
    (tmp_path / "bucket").mkdir()
    assert gcs_path_utils.gcs_fuse_path("gs://bucket/a/b") == f"{tmp_path}/bucket/a/b"
    assert gcs_path_utils.gs_path(f"{tmp_path}/bucket/a/b") == "gs://bucket/a/b"
    assert gcs_path_utils.gcs_fuse_path("/local/a") == "/local/a"
    assert gcs_path_utils.gs_path("/local/a") == "/local/a"
    with pytest.raises(StoreError, match="not mounted"):
        gcs_path_utils.gcs_fuse_path("gs://other/a")


def test_logging_of_a_main_program() -> None:
    program = (
        "import logging; from hwnas.vertex import cloud_nas_utils, tf_utils\n"
        "tf_utils.suppress_tf_logging(); cloud_nas_utils.setup_logging()\n"
        "cloud_nas_utils.setup_logging(); logging.info('once')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("once\n", "")
    assert tf_utils.__doc__


def test_the_helpers_do_not_import_pytorch() -> None:
    """A TensorFlow image has none."""
    program = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'optuna', 'onnx'): sys.modules[name] = None\n"
        "from hwnas.vertex import cloud_nas_utils, gcs_path_utils, gcs_utils, metrics_reporter\n"
        "from hwnas.vertex import model_metrics_evaluator, tf_utils\n"
        "print(cloud_nas_utils.compute_reward(0.95, 0.8, 1.6))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "0.475\n", done.stderr
