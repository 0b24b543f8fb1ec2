"""Make the tiny networks that the tests run. Run with the onnx package installed; the files are committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 32, 16


def tensor(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def save(name, nodes, source, result, weights, result_type=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, source)],
        [helper.make_tensor_value_info(nodes[-1].output[0], result_type, result)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def class_weights(classes: int) -> np.ndarray:
    """1x1 weights [K, 3, 1, 1]: class 0 is red, 1 green, 2 blue; 3 is green again, so that it always ties with 1."""
    table = np.zeros((classes, 3, 1, 1), np.float32)
    for index, channel in enumerate((0, 1, 2, 1)[:classes]):
        table[index, channel] = 1
    return table


def first_channel(name: str, axis: int, source: list, result: list) -> None:
    pick = tensor("first", [0], np.int64)
    save(name, [helper.make_node("Gather", ["picture", "first"], ["alpha"], axis=axis)], source, result, [pick])


def main() -> None:
    # The matte is the first channel as it comes in, at any size: shows shifts, channel order and normalisation.
    first_channel("alpha_any_size", 1, [1, 3, "height", "width"], [1, 1, "height", "width"])
    first_channel("alpha_nhwc", 3, [1, HEIGHT, WIDTH, 3], [1, HEIGHT, WIDTH, 1])
    conv = helper.make_node("Conv", ["picture", "weights"], ["logits"])
    weights = tensor("weights", class_weights(4))
    shape, planes = [1, 3, HEIGHT, WIDTH], [1, 4, HEIGHT, WIDTH]
    save("logits_nchw", [conv], shape, planes, [weights])
    to_nhwc = helper.make_node("Transpose", ["logits"], ["last"], perm=[0, 2, 3, 1])
    save("logits_nhwc", [conv, to_nhwc], shape, [1, HEIGHT, WIDTH, 4], [weights])
    soft = helper.make_node("Softmax", ["logits"], ["shares"], axis=1)
    save("probability_4", [conv, soft], shape, planes, [weights])
    arg = helper.make_node("ArgMax", ["logits"], ["labels"], axis=1, keepdims=0)
    save("labels_int64", [conv, arg], shape, [1, HEIGHT, WIDTH], [weights], TensorProto.INT64)
    two = tensor("weights", class_weights(2))
    pair = [1, 2, HEIGHT, WIDTH]
    save("probability_2", [helper.make_node("Conv", ["picture", "weights"], ["shares"])], shape, pair, [two])


if __name__ == "__main__":
    main()
