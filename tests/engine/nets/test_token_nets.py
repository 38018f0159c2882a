"""The real loading code of SPLADE and ColBERT, on nets that are written down here."""

from pathlib import Path

import numpy as np
import pytest

from engine.nets import NetInvalid, NetMissing
from engine.nets.token_nets import ColbertNet, SpladeNet
from tests.engine.nets import tiny
from tests.engine.nets.tiny_tokens import MASK, TABLE, write_token_net

TEXTS = ["one two three", "seven seven", "six five four one two", "one " * 40]
WIDTH = 4
UNKNOWN, CLS = 1, 2  # which ColBERT takes for punctuation, and for the mark of a document


def test_a_splade_net_weighs_the_words_of_its_vocabulary(tmp_path: Path) -> None:
    table = write_token_net(tmp_path / "nets" / "splade", width=TABLE)
    seen: list[int] = []

    net = SpladeNet("splade", cache=tmp_path)
    vectors = net.embed(TEXTS, token_budget=8, on_progress=seen.append)

    for text, vector in zip(TEXTS, vectors, strict=True):
        weights = np.log1p(np.maximum(table[tiny.ids_of(text)], 0)).max(axis=0)
        assert vector.indices.tolist() == np.flatnonzero(weights).tolist()
        assert np.allclose(vector.values, weights[weights > 0], atol=1e-6)
    assert seen == [1, 2, 3, 4]
    assert net.embed_query(TEXTS[0]).indices.tolist() == vectors[0].indices.tolist()


def test_a_colbert_net_makes_a_unit_vector_a_token(tmp_path: Path) -> None:
    table = write_token_net(tmp_path / "nets" / "owner" / "colbert", width=WIDTH)

    net = ColbertNet("owner/colbert", dimension=WIDTH, cache=tmp_path)
    vectors = net.embed(TEXTS)

    for text, found in zip(TEXTS, vectors, strict=True):
        ids = tiny.ids_of(text, tiny.POSITIONS - 1)
        states = table[[ids[0], CLS, *ids[1:]]]  # the mark of a document comes second
        wanted = states / np.linalg.norm(states, axis=1, keepdims=True)
        assert np.abs(found - wanted).max() < 1e-6


def test_a_query_is_filled_up_with_masks(tmp_path: Path) -> None:
    table = write_token_net(tmp_path / "nets" / "colbert", width=WIDTH)

    found = ColbertNet("colbert", dimension=WIDTH, cache=tmp_path).embed_query("one two")

    ids = tiny.ids_of("one two")
    padded = [ids[0], UNKNOWN, *ids[1:], *[MASK] * (31 - len(ids))]
    assert np.abs(found - table[padded]).max() < 1e-6


def test_a_folder_does_not_say_how_long_its_vectors_are(tmp_path: Path) -> None:
    write_token_net(tmp_path / "nets" / "colbert", width=WIDTH)

    with pytest.raises(NetInvalid) as refused:
        ColbertNet.dimension("colbert", cache=tmp_path, given=None)
    with pytest.raises(NetInvalid, match="vectors of 4, not of 5"):
        ColbertNet("colbert", dimension=5, cache=tmp_path).embed(["one"])

    assert "`dimension`" in refused.value.hint
    assert ColbertNet.dimension("colbert", cache=tmp_path, given=WIDTH) == WIDTH


def test_a_listed_net_whose_files_are_missing_says_what_to_fetch(tmp_path: Path) -> None:
    name = "colbert-ir/colbertv2.0"

    assert ColbertNet.dimension(name, cache=tmp_path, given=None) == 128
    for use in (ColbertNet.require, SpladeNet.require):
        listed = name if use == ColbertNet.require else "prithivida/Splade_PP_en_v1"
        with pytest.raises(NetMissing, match=listed) as refused:
            use(listed, cache=tmp_path)
        assert str(tmp_path / "fastembed") in refused.value.hint
    with pytest.raises(NetMissing, match=r"files of net colbert-ir/colbertv2\.0"):
        ColbertNet(name, dimension=128, cache=tmp_path)


def test_a_folder_that_holds_no_net_is_named(tmp_path: Path) -> None:
    (tmp_path / "nets" / "empty").mkdir(parents=True)

    with pytest.raises(NetInvalid, match="empty"):
        SpladeNet("empty", cache=tmp_path)
