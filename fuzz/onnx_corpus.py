"""Writes fuzz/corpus/onnx/operator_*: small graphs of single operators, from the test cases of the package `onnx`.

    pip download --no-deps onnx==1.16.0 && unzip onnx-1.16.0-*.whl -d onnx-1.16.0   # the last version with the cases as files
    python onnx_corpus.py onnx-1.16.0/onnx/backend/test/data/node                   # with a newer onnx and numpy installed

A case becomes a graph of the daemon's contract: one variate is added to the operator's first input, the other inputs are
constants, and the first output is the forecast.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MOST_NUMBERS, MOST_BYTES, OF_AN_OPERATOR = 256, 3000, 2
CORPUS = Path(__file__).parent / "corpus" / "onnx"
# Operators without a reader in tract: they are refused by their name, and a few of them are enough.
UNKNOWN = set(
    "Adagrad Adam AffineGrid Bernoulli Binarizer Col2Im DeformConv LpPool MaxUnpool Momentum NegativeLogLikelihoodLoss "
    "OptionalGetElement ReverseSequence RoiAlign SoftmaxCrossEntropyLoss TfIdfVectorizer TreeEnsemble Unique Upsample".split()
)
METADATA = json.dumps({"variates": [{"name": "a", "mean": 0.0, "std": 1.0}]})


def tensors(case, kind):
    files = sorted((case / "test_data_set_0").glob(f"{kind}_*.pb"), key=lambda file: int(file.stem.split("_")[1]))
    return [onnx.load_tensor(str(file)) for file in files]


def size(tensor):
    return int(np.prod(tensor.dims))


def graph(case):
    """The case as a graph; None where the operator has no number to add to, or is too large."""
    model = onnx.load(case / "model.onnx")
    if len(model.graph.node) != 1 or model.graph.node[0].op_type in UNKNOWN:
        return None
    if any(attribute.HasField("g") for attribute in model.graph.node[0].attribute):
        return None
    inputs, outputs, node = tensors(case, "input"), tensors(case, "output"), model.graph.node[0]
    if not inputs or not outputs or sum(map(size, inputs + outputs)) > MOST_NUMBERS or not size(outputs[0]):
        return None
    strange = {TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}
    if any(tensor.data_type in strange or tensor.data_type > 16 for tensor in inputs + outputs):
        return None
    first, first_type = inputs[0].name, inputs[0].data_type
    node.input[:] = ["x" if name == first else name for name in node.input]
    base = numpy_helper.to_array(inputs[0]).astype(np.float32)
    constants = [numpy_helper.from_array(base, "base"), *inputs[1:]]
    constants.append(numpy_helper.from_array(np.array([1, size(outputs[0])], np.int64), "shape"))
    nodes = [helper.make_node("Add", ["readings", "base"], ["moved"])]
    nodes.append(helper.make_node("Cast", ["moved"], ["x"], to=first_type))
    nodes.append(node)
    nodes.append(helper.make_node("Cast", [[name for name in node.output if name][0]], ["single"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Reshape", ["single", "shape"], ["forecast"]))
    ports = [helper.make_tensor_value_info("readings", TensorProto.FLOAT, [1])]
    forecast = [helper.make_tensor_value_info("forecast", TensorProto.FLOAT, [1, size(outputs[0])])]
    whole = helper.make_model(helper.make_graph(nodes, "g", ports, forecast, constants), opset_imports=model.opset_import)
    whole.metadata_props.add(key="tsm2", value=METADATA)
    return whole.SerializeToString()


def main():
    of_operator = {}
    for case in sorted(Path(sys.argv[1]).iterdir()):
        try:
            bytes_ = graph(case)
        except (KeyError, ValueError, TypeError, OSError):
            continue  # an element type that numpy lacks, or a case without data
        if bytes_ and len(bytes_) <= MOST_BYTES:
            operator = onnx.load_from_string(bytes_).graph.node[2]
            forms = of_operator.setdefault(operator.op_type, {})
            # The smallest case of each set of attributes and number of inputs.
            form = (tuple(sorted(attribute.name for attribute in operator.attribute)), len(operator.input))
            if form not in forms or len(bytes_) < len(forms[form]):
                forms[form] = bytes_
    for old in CORPUS.glob("operator_*"):
        old.unlink()
    for operator, forms in of_operator.items():
        most_attributes = sorted(forms, key=lambda form: (-len(form[0]), form))
        for number, form in enumerate(most_attributes[:OF_AN_OPERATOR]):
            (CORPUS / f"operator_{operator}_{number}").write_bytes(forms[form])
    print(len(of_operator), "operators")


main()
