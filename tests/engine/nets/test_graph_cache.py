import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.nets import load_net
from tests.engine.nets import tiny

LOAD = """
import sys
from pathlib import Path
from engine.nets import load_net
print(load_net("bert", cache=Path(sys.argv[1])).embed(["one two"]).tolist())
"""


def graphs(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "nets").iterdir() if path.is_file())


def test_a_graph_is_built_once(tmp_path: Path) -> None:
    tiny.write_tiny(tmp_path / "nets" / "bert")
    load_net("bert", cache=tmp_path)
    [path] = graphs(tmp_path)
    written = path.stat().st_mtime_ns

    load_net("bert", cache=tmp_path)

    assert [(graph, graph.stat().st_mtime_ns) for graph in graphs(tmp_path)] == [(path, written)]


def test_other_weights_are_another_graph(tmp_path: Path) -> None:
    weights = tiny.write_tiny(tmp_path / "nets" / "bert")
    before = load_net("bert", cache=tmp_path).embed(["one"])
    weights["encoder.layer.1.output.LayerNorm.bias"][0] += 5
    save_file(weights, tmp_path / "nets" / "bert" / "model.safetensors")

    after = load_net("bert", cache=tmp_path).embed(["one"])

    assert len(graphs(tmp_path)) == 2
    assert np.abs(before - after).max() > 0.1


def test_a_damaged_graph_is_built_again(tmp_path: Path) -> None:
    tiny.write_tiny(tmp_path / "nets" / "bert")
    before = load_net("bert", cache=tmp_path).embed(["one two"])
    [path] = graphs(tmp_path)
    path.write_bytes(path.read_bytes()[:100])

    after = load_net("bert", cache=tmp_path).embed(["one two"])

    assert after.tolist() == before.tolist()
    assert graphs(tmp_path) == [path]


def test_processes_may_build_the_same_graph_at_once(tmp_path: Path) -> None:
    tiny.write_tiny(tmp_path / "nets" / "bert")

    builders = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = [builder.communicate()[0] for builder in builders]

    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert [path.suffix for path in graphs(tmp_path)] == [".onnx"]
