"""Stands for the reporter that a trainer's image brings along: writes its file in place."""

import json
import os
import time


class NasMetricsReporter:
    def __init__(self):
        self.path = os.environ["CLOUD_ML_HP_METRIC_FILE"]
        self.rows = []

    def report_metrics(
        self,
        hyperparameter_metric_tag,
        metric_value,
        global_step=None,
        checkpoint_path="",
        model_flops=0.0,
        other_metrics=None,
    ):
        row = {
            "timestamp": time.time(),
            "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "0"),
            hyperparameter_metric_tag: str(float(metric_value)),
            "global_step": str(int(global_step or 0)),
            "checkpoint_path": checkpoint_path,
            "model_flops": str(float(model_flops)),
        }
        for index, (name, value) in enumerate((other_metrics or {}).items()):
            row[f"key_{index}"] = name
            row[f"value_{index}"] = str(float(value))
        self.rows.append(row)
        with open(self.path, "w") as file:
            for one in self.rows:
                file.write(json.dumps(one, sort_keys=True) + "\n")
