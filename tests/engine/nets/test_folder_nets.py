import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.nets import NetInvalid, NetMissing, load_net, net_dimension
from tests.engine.nets import tiny

TEXTS = ["one two three", "", "seven", "six unknown five four one one two", "one " * 40]


def expected(states: Callable[[str], tiny.Array], pooling: str = "mean") -> tiny.Array:
    pooled = [states(text).mean(axis=0) if pooling == "mean" else states(text)[0] for text in TEXTS]
    return np.array(pooled)


def scaled(vectors: tiny.Array) -> tiny.Array:
    lengths: tiny.Array = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_builds_a_bert_from_its_weights(tmp_path: Path, prefix: str) -> None:
    weights = tiny.write_tiny(tmp_path / "nets" / "own" / "bert", prefix=prefix)

    net = load_net("own/bert", cache=tmp_path)

    wanted = scaled(expected(lambda text: tiny.forward(weights, tiny.ids_of(text))))
    assert (net.dimension, net.max_tokens) == (tiny.HIDDEN, tiny.POSITIONS)
    assert net_dimension("own/bert", cache=tmp_path) == tiny.HIDDEN
    assert np.abs(net.embed(TEXTS) - wanted).max() < 1e-5
    assert [path.name[:10] for path in (tmp_path / "nets").glob("*.onnx")] == ["own--bert-"]


def test_pools_and_scales_as_the_folder_says(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "bert"
    weights = tiny.write_tiny(folder)
    tiny.write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    tiny.write_json(folder / "modules.json", [{"type": "x.Transformer"}, {"type": "x.Pooling"}])
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 6})

    net = load_net("bert", cache=tmp_path)

    wanted = expected(lambda text: tiny.forward(weights, tiny.ids_of(text, 6)), "cls")
    assert net.max_tokens == 6
    assert np.abs(net.embed(TEXTS) - wanted).max() < 1e-4


def write_graph(
    folder: Path, *, inputs: tuple[str, ...], pools: bool = False, width: int = tiny.HIDDEN
) -> tiny.Array:
    """Write a graph that looks words up, and adds up those of a text if it `pools`."""
    table = np.random.default_rng(3).normal(size=(len(tiny.WORDS), width))
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    outputs = [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["n", "t", width])]
    if pools:
        total = "sentence_embedding"
        nodes.append(helper.make_node("ReduceSum", ["tokens", "axis"], [total], keepdims=0))
        outputs.append(helper.make_tensor_value_info(total, TensorProto.FLOAT, ["n", width]))
    constants = {"table": table.astype(np.float32), "axis": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return table


@pytest.mark.parametrize(
    "inputs", [("input_ids",), ("input_ids", "attention_mask", "token_type_ids")]
)
def test_runs_a_graph_and_pools_its_tokens(tmp_path: Path, inputs: tuple[str, ...]) -> None:
    folder = tmp_path / "nets" / "graph"
    tiny.write_tiny(folder, config={"model_type": "other"})
    table = write_graph(folder, inputs=inputs)

    vectors = load_net("graph", cache=tmp_path).embed(TEXTS)

    assert np.abs(vectors - scaled(expected(lambda text: table[tiny.ids_of(text)]))).max() < 1e-5


def test_takes_the_vectors_of_a_graph_that_pools(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "graph"
    tiny.write_tiny(folder, config={"model_type": "other"})
    table = write_graph(folder, inputs=("input_ids",), pools=True)

    vectors = load_net("graph", cache=tmp_path).embed(TEXTS, token_budget=1)

    sums = np.array([table[tiny.ids_of(text)].sum(axis=0) for text in TEXTS])
    assert np.abs(vectors - sums).max() < 1e-4


def test_refuses_a_graph_whose_vectors_have_another_length(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "graph"
    tiny.write_tiny(folder)
    write_graph(folder, inputs=("input_ids",), width=tiny.HIDDEN + 1)

    with pytest.raises(NetInvalid, match="9"):
        load_net("graph", cache=tmp_path)


def test_refuses_a_graph_that_asks_for_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "graph"
    tiny.write_tiny(folder)
    write_graph(folder, inputs=("input_ids", "pixels"))

    with pytest.raises(NetInvalid, match="pixels"):
        load_net("graph", cache=tmp_path)


@pytest.mark.parametrize("graph", [False, True])
def test_a_text_without_tokens_is_a_vector_of_zeros(tmp_path: Path, graph: bool) -> None:
    folder = tmp_path / "nets" / "bert"
    tiny.write_tiny(folder)
    tiny.write_tokenizer(folder, marks=False)
    if graph:
        write_graph(folder, inputs=("input_ids",))

    vectors = load_net("bert", cache=tmp_path).embed(["", "one", " "], token_budget=2)

    assert np.linalg.norm(vectors, axis=1) == pytest.approx([0, 1, 0], abs=1e-6)


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model.safetensors"])
def test_says_which_file_to_put_where(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "nets" / "bert"
    tiny.write_tiny(folder)
    (folder / gone).unlink()

    with pytest.raises(NetMissing) as caught:
        load_net("bert", cache=tmp_path)

    assert str(folder) in caught.value.hint
    assert gone in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("model_type", "roberta"),
        ("hidden_act", "relu"),
        ("position_embedding_type", "relative_key"),
        ("num_hidden_layers", 3),
        ("num_attention_heads", 0),
        ("hidden_size", "8"),
    ],
)
def test_refuses_an_architecture_it_cannot_build(
    tmp_path: Path, setting: str, value: str | int
) -> None:
    tiny.write_tiny(tmp_path / "nets" / "bert", config={setting: value})

    with pytest.raises(NetInvalid):
        load_net("bert", cache=tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "max_tokens"),
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "Dense"),
    ],
)
def test_refuses_modules_it_does_not_know(
    tmp_path: Path, file: str, content: object, named: str
) -> None:
    tiny.write_tiny(tmp_path / "nets" / "bert")
    tiny.write_json(tmp_path / "nets" / "bert" / file, content)

    with pytest.raises(NetInvalid, match=named):
        load_net("bert", cache=tmp_path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "model.onnx"])
def test_damaged_files_are_named(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "nets" / "bert"
    tiny.write_tiny(folder)
    (folder / file).write_bytes(b"\x00damaged")

    with pytest.raises(NetInvalid, match=file):
        load_net("bert", cache=tmp_path)


@pytest.mark.parametrize("name", ["", "../bert", "a/b/c", "/etc", "a/..", "-x", "a b", "a\n"])
def test_a_name_never_leaves_the_cache(tmp_path: Path, name: str) -> None:
    with pytest.raises(NetInvalid, match="not the name of a net"):
        load_net(name, cache=tmp_path)


def test_errors_survive_the_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(NetMissing("no net", "put it here")))

    assert (type(error), error.message, error.hint) == (NetMissing, "no net", "put it here")
