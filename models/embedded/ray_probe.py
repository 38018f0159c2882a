"""A program that ends with 0 once a driver got through to the cluster and a task came back."""

import sys

import ray


def main(address: str) -> None:
    """Connect as any driver does; raises when the cluster refuses."""
    ray.init(address=address, log_to_driver=False, include_dashboard=False)
    ray.get(ray.remote(_one).remote())
    ray.shutdown()


def _one() -> int:
    return 1


if __name__ == "__main__":
    main(sys.argv[1])
