import sys
from pathlib import Path

import numpy as np
import pytest

from engine.nets import NetMissing, load_net, net_dimension
from tests.engine.nets import tiny
from tests.engine.nets.test_folder_nets import TEXTS, expected, scaled, write_graph

LISTED = "BAAI/bge-small-en-v1.5"


def test_knows_the_size_of_a_listed_net_without_its_files() -> None:
    assert net_dimension(LISTED) == 384
    assert net_dimension("BAAI/bge-base-en-v1.5") == 768


def test_says_what_to_download_and_where_to(tmp_path: Path) -> None:
    with pytest.raises(NetMissing, match="files of net BAAI/bge-small-en") as caught:
        load_net(LISTED, cache=tmp_path)

    assert LISTED in caught.value.hint
    assert str(tmp_path / "fastembed") in caught.value.hint


def test_an_unknown_name_says_where_a_folder_goes(tmp_path: Path) -> None:
    with pytest.raises(NetMissing) as caught:
        net_dimension("nobody/knows", cache=tmp_path)

    assert str(tmp_path / "nets" / "nobody" / "knows") in caught.value.hint


def test_says_so_when_the_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)

    with pytest.raises(NetMissing) as caught:
        load_net(LISTED, cache=tmp_path)

    assert "pip install fastembed" in caught.value.hint


def test_runs_a_listed_net_whose_files_are_here(tmp_path: Path) -> None:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        "strata/tiny",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="http://127.0.0.1:9/never-asked"),
        dim=tiny.HIDDEN,
        model_file="model.onnx",
    )
    folder = tmp_path / "fastembed" / "tiny"
    tiny.write_tiny(folder)
    tiny.write_json(folder / "tokenizer_config.json", {"model_max_length": 6, "pad_token": "[PAD]"})
    table = write_graph(folder, inputs=("input_ids", "attention_mask"))

    net = load_net("strata/tiny", cache=tmp_path)
    vectors = net.embed(TEXTS)

    wanted = scaled(expected(lambda text: table[tiny.ids_of(text, 6)]))
    assert (net.dimension, net.max_tokens) == (tiny.HIDDEN, 6)
    assert np.abs(vectors - wanted).max() < 1e-5
