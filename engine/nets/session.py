"""An ONNX Runtime session as this project runs one: few threads, none of them spinning."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.nets.errors import NetInvalid

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(path: Path, *, threads: int) -> "InferenceSession":
    """Load a graph; one thread a process and a process a core is the fastest way to share a CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it remembers a plan for each of hundreds of batch shapes
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors share no narrower class
        raise NetInvalid(f"{path} cannot be run: {error}") from error
