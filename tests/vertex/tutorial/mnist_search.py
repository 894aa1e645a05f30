"""A trainer as one writes it for Vertex AI NAS, with TensorFlow: MNIST under a latency target.

Its helpers are imported by the names that they have there.
"""

import argparse
import logging
import os

import cloud_nas_utils
import metrics_reporter
import search_spaces
import tensorflow as tf


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nas_params_str", type=str)
    parser.add_argument("--job-dir", type=str, default="tmp")
    parser.add_argument("--retrain_search_job_dir", type=str)
    parser.add_argument("--retrain_search_job_trials", type=str)
    parser.add_argument("--num_epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--target_latency_millisec", type=float)
    parser.add_argument("--model_dir", type=str, default="")
    return parser.parse_args()


def network(layers):
    parts = [tf.keras.layers.Reshape((28, 28, 1), input_shape=(28, 28))]
    for layer in layers:
        parts.append(
            tf.keras.layers.Conv2D(
                layer.filter_size, layer.kernel_size, padding="same", activation="relu"
            )
        )
    parts += [tf.keras.layers.Flatten(), tf.keras.layers.Dense(10, activation="softmax")]
    model = tf.keras.Sequential(parts)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    argv = arguments()
    cloud_nas_utils.setup_logging()
    job_dir = cloud_nas_utils.get_job_dir_from_environment_if_exist(current_job_dir=argv.job_dir)
    os.makedirs(job_dir, exist_ok=True)
    if argv.retrain_search_job_trials:
        argv.nas_params_str = cloud_nas_utils.get_finetune_nas_params_str(
            retrain_search_job_trials=argv.retrain_search_job_trials,
            retrain_search_job_dir=argv.retrain_search_job_dir,
        )
    layers = cloud_nas_utils.parse_and_save_nas_params_str(
        search_space=search_spaces.two_convolutions(),
        nas_params_str=argv.nas_params_str,
        model_dir=job_dir,
    )
    (images, labels), (test_images, test_labels) = tf.keras.datasets.mnist.load_data()
    model = network(layers)
    model.fit(
        images[: argv.images] / 255.0,
        labels[: argv.images],
        epochs=argv.num_epochs,
        verbose=2,
    )
    _, accuracy = model.evaluate(test_images[:256] / 255.0, test_labels[:256], verbose=2)

    target, measured, others = 1.0, 1.0, {"top_1_accuracy": accuracy}
    if argv.target_latency_millisec:
        if argv.model_dir:
            saved_model_path = os.path.join(job_dir, argv.model_dir)
        else:
            saved_model_path = cloud_nas_utils.get_saved_model_dir(trial_job_dir=job_dir)
        model.save(saved_model_path)
        told = cloud_nas_utils.wait_and_retrieve_latency(saved_model_path)
        target, measured = argv.target_latency_millisec, told["latency_in_milliseconds"]
        others["latency_millisec"] = measured
        others["memory"] = told["model_memory"]
    reward = cloud_nas_utils.compute_reward(
        accuracy=accuracy,
        target_latency_or_flops=target,
        measured_latency_or_flops=measured,
        weight=1,
        use_hard_limit=True,
    )
    for number, layer in enumerate(layers):
        others[f"kernel_size_{number}"] = layer.kernel_size
    tag = os.environ.get("CLOUD_ML_HP_METRIC_TAG", "")
    if tag:
        metrics_reporter.NasMetricsReporter().report_metrics(
            hyperparameter_metric_tag=tag,
            metric_value=reward,
            global_step=argv.num_epochs,
            other_metrics=others,
        )
    logging.info("reward %f", reward)


if __name__ == "__main__":
    main()
