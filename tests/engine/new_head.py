"""`python -m tests.engine.new_head SETTINGS BATCH EPOCH`: hands a batch to another Ray cluster.

A process can be a driver of one cluster only, and that of the tests is the old one's.
"""

import asyncio
import pickle
import sys
from pathlib import Path

from engine.ray_runner import RayEngine
from models.settings import Settings

ROOT = Path(__file__).parents[2]


def main(path: str, batch_id: str, epoch: str) -> None:
    """Join the cluster of the settings, with the test extractors, and hand the batch over."""
    import ray

    settings: Settings = pickle.loads(Path(path).read_bytes())
    ray.init(
        address=settings.ray.address,
        namespace=settings.ray.namespace,
        runtime_env={
            "worker_process_setup_hook": "tests.extractors.install",
            "env_vars": {"PYTHONPATH": str(ROOT)},
        },
        log_to_driver=False,
    )
    asyncio.run(RayEngine(settings).hand_over(batch_id, int(epoch)))


if __name__ == "__main__":
    main(*sys.argv[1:])
