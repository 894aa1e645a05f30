"""Stands for the helpers that a trainer's image brings along, and behaves as they do.

It knows nothing of hwnas: it looks for the answer file again and again, and takes what is in it.
"""

import json
import logging
import os
import re
import sys
import time

import pyglove as pg


def setup_logging():
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True)


def get_job_dir_from_environment_if_exist(current_job_dir):
    found = re.match(r".*nas/(search|train)/\d+", os.environ.get("AIP_MODEL_DIR", ""))
    return found.group(0) if found else current_job_dir


def get_saved_model_dir(trial_job_dir):
    return os.path.join(trial_job_dir, "saved_model")


def get_finetune_nas_params_str(retrain_search_job_trials, retrain_search_job_dir):
    trials = [trial.strip() for trial in retrain_search_job_trials.split(",")]
    trial = trials[int(os.environ["CLOUD_ML_TRIAL_ID"]) - 1]
    return os.path.join(retrain_search_job_dir, trial, "nas_params_str.json")


def parse_and_save_nas_params_str(search_space, nas_params_str, model_dir=None):
    if nas_params_str.endswith(".json"):
        with open(nas_params_str) as file:
            nas_params_str = file.read()
    params = json.loads(nas_params_str)
    if model_dir:
        with open(os.path.join(model_dir, "nas_params_str.json"), "w") as file:
            json.dump(params, file)
    return pg.materialize(search_space, params)


def wait_and_retrieve_latency(saved_model_path, sleep_time=1):
    began = time.time()
    while time.time() - began < 600:
        time.sleep(sleep_time)
        answer = os.path.join(saved_model_path, "model_latency.json")
        if os.path.exists(answer):
            with open(answer) as file:
                return json.load(file)
    raise RuntimeError("no latency after 600 seconds")


def compute_reward(
    accuracy,
    target_latency_or_flops,
    measured_latency_or_flops,
    weight=1,
    use_hard_limit=True,
):
    ratio = (target_latency_or_flops / measured_latency_or_flops) ** weight
    return accuracy * (min(ratio, 1.0) if use_hard_limit else ratio)
