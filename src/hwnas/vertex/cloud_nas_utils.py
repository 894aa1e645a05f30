"""Helpers of trainers: Vertex's module of the same name.

A trainer that was written with the original changes the import line alone:
`from hwnas.vertex import cloud_nas_utils`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from hwnas.errors import ArchError, TrialError, UsageError
from hwnas.vertex import _storage
from hwnas.vertex._layout import MODEL_DIRS, PARAMS, TrialPlace
from hwnas.vertex._reward import compute_reward as compute_reward
from hwnas.vertex._waiting import wait_and_retrieve_latency as wait_and_retrieve_latency

JOB_STATUS_KEY = "job_status"
JOB_STATUS_SUCCESS = "success"
JOB_STATUS_FAILED = "failed"
JOB_STATUS_FAILED_WITH_NAN_ERROR = "failed_with_nan_error"

ENVIRONMENT_VARIABLE_FOR_MODEL_DIR = "AIP_MODEL_DIR"
ENVIRONMENT_VARIABLE_FOR_TRIAL_ID = "CLOUD_ML_TRIAL_ID"
SAVED_MODEL_SUB_DIR = MODEL_DIRS[0]


def setup_logging() -> None:
    """Log from INFO on to standard output, and each line of TensorFlow once."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(logging.StreamHandler(sys.stdout))
    root.setLevel(logging.INFO)
    logging.getLogger("tensorflow").handlers.clear()


def str_2_bool(v: str) -> bool:
    """`true` or `false`, in any case.

    Raises:
        UsageError: any other text.
    """
    if str(v).lower() not in ("true", "false"):
        raise UsageError(f"'{v}' is neither true nor false")
    return str(v).lower() == "true"


def get_job_dir_from_environment_if_exist(current_job_dir: str) -> str:
    """The trial's folder by AIP_MODEL_DIR, where that is set, else the one given.

    Raises:
        UsageError: AIP_MODEL_DIR is set to something else than a trial's folder.
    """
    place = TrialPlace.here()
    return current_job_dir if place is None else place.folder


def get_saved_model_dir(trial_job_dir: str) -> str:
    """Where a trial's model is expected."""
    return f"{trial_job_dir.rstrip('/')}/{SAVED_MODEL_SUB_DIR}"


def get_trial_id_from_environment() -> str:
    """The trial's number, as text; `0` outside of a job."""
    if ENVIRONMENT_VARIABLE_FOR_TRIAL_ID not in os.environ:
        logging.warning("%s is not set: trial 0", ENVIRONMENT_VARIABLE_FOR_TRIAL_ID)
    return os.environ.get(ENVIRONMENT_VARIABLE_FOR_TRIAL_ID, "0")


def parse_and_save_nas_params_str(
    search_space: Any, nas_params_str: str, model_dir: str | None = None
) -> Any:
    """What a PyGlove space materialises for `--nas_params_str`.

    Args:
        search_space: a hyper value, as the job's search space function returns it.
        nas_params_str: PyGlove's DNA as JSON, `{"[0].kernel_size": "1/2 (5)"}`; or the path of a
            file with it.
        model_dir: where `nas_params_str.json` is written, which a later training starts from.

    Raises:
        ArchError: it is no JSON, or belongs to another space.
        TrialError: the file is not there.
    """
    text = nas_params_str
    if nas_params_str.endswith(".json"):
        content = _storage.read(nas_params_str)
        if content is None:
            raise TrialError(f"there is no {nas_params_str}: the trial that it is of left none")
        text = content.decode()
    try:
        params = json.loads(text)
    except ValueError as error:
        raise ArchError(f"nas_params_str is no JSON ({error}): {text[:100]}") from error
    if not isinstance(params, dict):
        raise ArchError(f"nas_params_str is not an object of JSON: {text[:100]}")
    chosen = _materialized(search_space, params)
    if model_dir:
        _storage.write_json(f"{model_dir.rstrip('/')}/{PARAMS}", params)
    return chosen


def _materialized(search_space: Any, params: dict[str, Any]) -> Any:
    import pyglove as pg

    template = pg.template(search_space)
    try:
        dna = pg.DNA.from_dict(dict(params), template.dna_spec())
    except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ArchError(f"nas_params_str is of another search space: {reason}") from error
    unknown = sorted(params.keys() - dna.to_dict().keys())
    if unknown:
        raise ArchError(f"nas_params_str is of another search space: it names '{unknown[0]}'")
    return template.decode(dna)


def serialize_and_save_tunable_object(tunable_object: Any, model_dir: str) -> str:
    """What was materialised as JSON, written to `serialized_tunable_object.json` too."""
    import pyglove as pg

    text = str(pg.to_json_str(tunable_object, json_indent=2, hide_default_values=False))
    _storage.write(f"{model_dir.rstrip('/')}/serialized_tunable_object.json", text.encode())
    return text


def write_job_status(model_dir: str, status: str) -> None:
    """Write `job_status.json`."""
    _storage.write_json(f"{model_dir.rstrip('/')}/job_status.json", {JOB_STATUS_KEY: status})


def get_map_finetune_trial_id_to_search_trial_id(retrain_search_job_trials: str) -> dict[str, str]:
    """For `123, 453`: `{"1": "123", "2": "453"}`; trials of a train job count from 1."""
    trials = (trial.strip() for trial in retrain_search_job_trials.split(","))
    return {str(number): trial for number, trial in enumerate(trials, 1)}


def get_search_trial_id_to_finetune(retrain_search_job_trials: str) -> str:
    """The search's trial that this trial of a train job trains in full.

    Raises:
        UsageError: this is no trial of a train job with these trials.
    """
    known = get_map_finetune_trial_id_to_search_trial_id(retrain_search_job_trials)
    mine = get_trial_id_from_environment()
    if mine not in known:
        raise UsageError(
            f"trial {mine} trains none of the trials '{retrain_search_job_trials}': "
            f"{ENVIRONMENT_VARIABLE_FOR_TRIAL_ID} must be 1 to {len(known)}"
        )
    return known[mine]


def get_retrain_search_job_model_dir(
    retrain_search_job_trials: str, retrain_search_job_dir: str
) -> str:
    """The folder of the search's trial that this trial of a train job trains in full."""
    trial = get_search_trial_id_to_finetune(retrain_search_job_trials)
    return f"{retrain_search_job_dir.rstrip('/')}/{trial}"


def get_finetune_nas_params_str(retrain_search_job_trials: str, retrain_search_job_dir: str) -> str:
    """The file with the `nas_params_str` of the search's trial that is trained in full.

    Raises:
        UsageError: an argument is empty, or this is no trial of such a train job.
    """
    if not retrain_search_job_trials or not retrain_search_job_dir:
        raise UsageError("--retrain_search_job_trials and --retrain_search_job_dir must be given")
    folder = get_retrain_search_job_model_dir(retrain_search_job_trials, retrain_search_job_dir)
    return f"{folder}/{PARAMS}"
