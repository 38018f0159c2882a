import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.nets import DEFAULT_NET, Net, load_net

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def net(cache: Path) -> Net:
    return load_net(DEFAULT_NET, cache=cache)


@pytest.fixture(scope="session")
def reference_texts() -> list[str]:
    texts: list[str] = json.loads((DATA / "texts.json").read_text("utf-8"))
    return texts


@pytest.fixture(scope="session")
def reference_vectors() -> npt.NDArray[np.float32]:
    with np.load(DATA / "vectors.npz") as stored:
        vectors: npt.NDArray[np.float32] = stored["vectors"]
    return vectors
