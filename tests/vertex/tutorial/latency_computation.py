"""A latency calculator as one writes it for Vertex AI NAS, with TensorFlow."""

import argparse
import timeit

import cloud_nas_utils
import model_metrics_evaluator
import numpy as np
import tensorflow as tf


class LatencyEvaluator(model_metrics_evaluator.ModelMetricsEvaluator):
    def evaluate_saved_model(self, trial_id, saved_model_path):
        model = tf.keras.models.load_model(saved_model_path)
        image = np.random.rand(1, 28, 28)
        timeit.timeit(lambda: model(image), number=5)
        runs = 20
        seconds = timeit.timeit(lambda: model(image), number=runs) / runs
        return {"latency_in_milliseconds": 1000.0 * seconds, "model_memory": 0}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dummy_flag", type=str, default="")
    parser.add_argument("--latency_worker_id", type=int, default=0)
    parser.add_argument("--num_latency_workers", type=int, default=1)
    parser.add_argument("--project_id", type=str, default="")
    parser.add_argument("--nas_job_id", type=str, default="")
    parser.add_argument("--service_endpoint", type=str, default="")
    argv = parser.parse_args()
    cloud_nas_utils.setup_logging()
    evaluator = LatencyEvaluator(
        service_endpoint=argv.service_endpoint,
        project_id=argv.project_id,
        nas_job_id=argv.nas_job_id,
        latency_worker_id=argv.latency_worker_id,
        num_latency_workers=argv.num_latency_workers,
    )
    evaluator.run_continuous_evaluation_loop()


if __name__ == "__main__":
    main()
