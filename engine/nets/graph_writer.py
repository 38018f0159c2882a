"""Writing an ONNX graph node by node; knows the format, not what is computed."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

OPSET: Final = 20  # the first with Gelu
IR_VERSION: Final = 10  # the one that belongs to it

Array = npt.NDArray[Any]


class GraphWriter:
    """Collects nodes and constants; a value is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node and return the names of its outputs."""
        from onnx import helper

        name = f"{kind}_{len(self._nodes)}"
        values = [f"{name}_{output}" for output in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, values, name=name, **attributes))
        return values

    def constant(self, name: str, value: Array) -> str:
        """Return the name of a constant, added once."""
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        """Return a constant list of integers: axes, shapes and sizes."""
        name = "_".join(["integers", *map(str, values)])
        return self.constant(name, np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """Return a constant float."""
        return self.constant(f"number_{value}", np.array(value, dtype=np.float32))

    def finish(self, *, inputs: list[str], output: str, name: str, width: int) -> bytes:
        """Return the model: integer matrices (texts, tokens) in, `name` (texts, width) out."""
        from onnx import TensorProto, checker, helper

        self._nodes.append(helper.make_node("Identity", [output], [name], name=name))
        sources = [
            helper.make_tensor_value_info(source, TensorProto.INT64, ["texts", "tokens"])
            for source in inputs
        ]
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["texts", width])
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, name, sources, [result], constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content
