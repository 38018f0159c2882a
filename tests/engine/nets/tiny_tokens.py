"""Nets of one lookup that answer for each token, in the layout of SPLADE and ColBERT folders."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.engine.nets import tiny

MASK = len(tiny.WORDS)  # the number of the token that queries are filled up with
TABLE = MASK + 1


def write_token_net(folder: Path, *, width: int) -> tiny.Array:
    """Write a net whose token n answers with row n of the table returned."""
    folder.mkdir(parents=True)
    table = np.random.default_rng(5).normal(size=(TABLE, width)).astype(np.float32)
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])],
        "lookup",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in names],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["n", "t", width])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    tiny.write_tokenizer(folder)
    tiny.write_json(folder / "config.json", tiny.CONFIG)
    tiny.write_json(
        folder / "tokenizer_config.json", {"model_max_length": tiny.POSITIONS, "pad_token": "[PAD]"}
    )
    tiny.write_json(folder / "special_tokens_map.json", {"mask_token": "[MASK]"})
    return table.astype(np.float64)
