"""A trainer that uses the helpers under their names; what it trains is nothing."""

from __future__ import annotations

import argparse
import os

import spaces

from hwnas.vertex import cloud_nas_utils, gcs_utils, metrics_reporter


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--nas_params_str")
    flags.add_argument("--job-dir", default="tmp")
    flags.add_argument("--retrain_search_job_dir")
    flags.add_argument("--retrain_search_job_trials")
    flags.add_argument("--model", default="saved_model")
    flags.add_argument("--timeout", type=float, default=60.0)
    given = flags.parse_args()
    job_dir = cloud_nas_utils.get_job_dir_from_environment_if_exist(current_job_dir="elsewhere")
    if given.retrain_search_job_trials:
        given.nas_params_str = cloud_nas_utils.get_finetune_nas_params_str(
            retrain_search_job_trials=given.retrain_search_job_trials,
            retrain_search_job_dir=given.retrain_search_job_dir,
        )
    layers = cloud_nas_utils.parse_and_save_nas_params_str(
        search_space=spaces.layers(), nas_params_str=given.nas_params_str, model_dir=job_dir
    )
    cloud_nas_utils.serialize_and_save_tunable_object(layers, job_dir)
    model = f"{job_dir}/{given.model}"
    with gcs_utils.file_open(f"{model}/weights", "w") as weights:
        weights.write("w" * (layers[0].filters + layers[1].filters))
    told = cloud_nas_utils.wait_and_retrieve_latency(model, timeout=given.timeout)
    reward = cloud_nas_utils.compute_reward(
        accuracy=0.9,
        target_latency_or_flops=10.0,
        measured_latency_or_flops=told["latency_in_milliseconds"],
    )
    reporter = metrics_reporter.NasMetricsReporter()
    reporter.report_metrics(
        hyperparameter_metric_tag=os.environ["CLOUD_ML_HP_METRIC_TAG"],
        metric_value=reward,
        global_step=2,
        other_metrics={
            "latency": told["latency_in_milliseconds"],
            "power": told["power"],
            "filters": layers[0].filters + layers[1].filters,
        },
    )
    cloud_nas_utils.write_job_status(job_dir, cloud_nas_utils.JOB_STATUS_SUCCESS)


if __name__ == "__main__":
    main()
