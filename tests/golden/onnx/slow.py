"""Writes slow.onnx: a sound graph of some hundred bytes whose time step would take hours. Needs onnx."""

import json
from pathlib import Path

from onnx import TensorProto, checker, helper, save

SIDE, KERNEL = 2048, 501
shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, SIDE, SIDE])
nodes = [
    helper.make_node("Expand", ["readings", "shape"], ["image"]),
    helper.make_node("MaxPool", ["image"], ["pooled"], kernel_shape=[KERNEL, KERNEL], pads=[KERNEL // 2] * 4),
    helper.make_node("ReduceMax", ["pooled"], ["largest"], axes=[2, 3], keepdims=0),
    helper.make_node("Add", ["largest", "readings"], ["forecast"]),
]
readings = helper.make_tensor_value_info("readings", TensorProto.FLOAT, [1])
forecast = helper.make_tensor_value_info("forecast", TensorProto.FLOAT, [1, 1])
graph = helper.make_graph(nodes, "slow", [readings], [forecast], [shape])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
metadata = {"name": "slow", "variates": [{"name": "v0", "mean": 20.0, "std": 2.5}], "interval_ms": 60000}
helper.set_model_props(model, {"tsm2": json.dumps(metadata)})
checker.check_model(model, full_check=True)
save(model, Path(__file__).parent / "slow.onnx")
