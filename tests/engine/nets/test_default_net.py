import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.nets import DEFAULT_NET, Net, load_net, net_dimension

Vectors = npt.NDArray[np.float32]


def test_vectors_are_those_of_sentence_transformers(
    net: Net, reference_texts: list[str], reference_vectors: Vectors
) -> None:
    vectors = net.embed(reference_texts)

    cosines = np.sum(vectors * reference_vectors, axis=1)
    assert len(reference_texts) == 200
    assert cosines.min() >= 0.9999
    assert np.abs(vectors - reference_vectors).max() < 1e-5


def test_says_its_size(net: Net) -> None:
    assert (net.name, net.dimension, net.max_tokens) == (DEFAULT_NET, 384, 256)
    assert net_dimension(DEFAULT_NET) == net.dimension


@pytest.mark.parametrize("budget", [1, 64, 512, pytest.param(100_000, marks=pytest.mark.long)])
def test_order_and_vectors_do_not_depend_on_the_batches(
    net: Net, reference_texts: list[str], reference_vectors: Vectors, budget: int
) -> None:
    texts = reference_texts[:40]

    vectors = net.embed(texts, token_budget=budget)

    assert vectors.dtype == np.float32
    assert np.sum(vectors * reference_vectors[:40], axis=1).min() >= 0.9999


def test_no_texts_are_no_vectors(net: Net) -> None:
    assert net.embed([]).shape == (0, 384)


def test_progress_counts_the_texts_done(net: Net) -> None:
    heard: list[int] = []

    net.embed(["a", "b c d e f g", "h i"] * 4, token_budget=16, on_progress=heard.append)

    assert heard == sorted(set(heard))
    assert heard[-1] == 12
    assert len(heard) > 3


def test_what_progress_raises_stops_the_work(net: Net) -> None:
    def refuse(done: int) -> None:
        raise TimeoutError(f"after {done}")

    with pytest.raises(TimeoutError, match="after 1"):
        net.embed(["a", "b"], token_budget=1, on_progress=refuse)


@pytest.mark.parametrize(
    ("odd", "same_as"),
    [
        ("", " \n\t"),
        ("a\x00b", "ab"),
        ("a \ud800 b", "a \ufffd b"),
        ("\ud83d\ude00 smile", "😀 smile"),
        ("\udc00", "\ufffd"),
        ("x" * 10_000_000, "\x02" + "x" * 200),
        (" " * 10_000_000, ""),
        ("\u0301" * 10_000_000, ""),
        ("word " * 2_000_000, "word " * 300),
        ("語" * 10_000_000, "語" * 300),
        (" " * 20_000 + "late", "late"),
    ],
    ids=range(11),
)
def test_any_text_has_a_defined_vector_in_bounded_time(net: Net, odd: str, same_as: str) -> None:
    started = time.process_time()
    vectors = net.embed([odd, same_as])
    took = time.process_time() - started

    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert float(vectors[0] @ vectors[1]) == pytest.approx(1, abs=1e-5)
    assert took < 5  # 0.1 s alone


def test_two_threads_give_the_same_vectors(
    cache: Path, reference_texts: list[str], reference_vectors: Vectors
) -> None:
    vectors = load_net(DEFAULT_NET, cache=cache, threads=2).embed(reference_texts[:20])

    assert np.sum(vectors * reference_vectors[:20], axis=1).min() >= 0.9999


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, engine.nets as nets; nets.net_dimension('all-MiniLM-L6-v2');"
        "heavy = {'onnx', 'onnxruntime', 'tokenizers', 'fastembed', 'safetensors', 'numpy'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert loaded.stdout.decode().strip() == "[]"
