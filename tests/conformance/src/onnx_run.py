"""Runs exported graphs in onnxruntime, after onnx.checker.

Each argument is a folder with `model.onnx`, `readings`, `times` and `future`. Written into it: `forecasts`, a file for each
state after the last time step, and `seconds`, the time of a step.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def run(folder):
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = json.loads({entry.key: entry.value for entry in model.metadata_props}["tsm2"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    shapes = {port.name: port.shape for port in session.get_inputs()}
    outputs = [port.name for port in session.get_outputs()]
    times = np.fromfile(folder / "times", np.int64)
    steps = len(times)
    inputs = {"readings": np.fromfile(folder / "readings", np.float32).reshape(steps, -1), "time_ms": times.reshape(steps, 1)}
    if "future" in shapes:
        inputs["future"] = np.fromfile(folder / "future", np.float32).reshape(steps, *shapes["future"])
    inputs = {name: values for name, values in inputs.items() if name in shapes}
    states = {name: np.zeros(shapes[name], np.float32) for name, _ in metadata["states"]}
    forecasts = []
    start = time.thread_time()
    for t in range(steps):
        feed = {name: values[t] for name, values in inputs.items()}
        results = dict(zip(outputs, session.run(None, feed | states)))
        forecasts.append(results["forecast"])
        states = {name: results[after] for name, after in metadata["states"]}
    seconds = (time.thread_time() - start) / steps
    np.stack(forecasts).astype(np.float32).tofile(folder / "forecasts")
    for name, values in states.items():
        values.tofile(folder / name)
    (folder / "seconds").write_text(str(seconds))


for argument in sys.argv[1:]:
    run(Path(argument))
