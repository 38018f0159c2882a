"""What Strata needs of Ray; on the local head, or on the cluster of STRATA_RAY__ADDRESS and _TOKEN.

Drivers are processes of their own: detached actors must outlive them, and one process cannot tell.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest

from models.embedded.endpoints import Endpoints
from models.embedded.ray import driver_environment
from models.embedded.servers import EmbeddedServers

pytestmark = [pytest.mark.long, pytest.mark.ray]

# How often a driver asks a cluster that does not let it in; 20 times, a second apart, by default.
SHORT_PATIENCE = {"RAY_NUM_REDIS_GET_RETRIES": "2"}

CONNECT = """
import os, sys, ray
ray.init(address=sys.argv[1], namespace=sys.argv[2], log_to_driver=False)
"""
COUNTER = """
@ray.remote(num_cpus=0)
class Counter:
    def __init__(self): self.count = 0
    def raised(self): self.count += 1; return self.count, os.getpid()
"""
TASKS = """
@ray.remote
def square(number): return number * number
@ray.remote
def ours():
    from models import states
    return states.__name__, sys.executable
print(sum(ray.get([square.remote(number) for number in range(50)])), *ray.get(ours.remote()))
"""
MAKE_COUNTER = """
counter = Counter.options(name="counter", lifetime="detached").remote()
print(*ray.get(counter.raised.remote()))
"""
USE_COUNTER = """
counter = ray.get_actor("counter")
print(*ray.get(counter.raised.remote()))
ray.kill(counter)
"""

Driver = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token."""
    if given := os.environ.get("STRATA_RAY__ADDRESS"):
        yield given, os.environ.get("STRATA_RAY__TOKEN", "")
        return
    folder = tmp_path_factory.mktemp("ray")
    with EmbeddedServers(
        folder, mongo_url="", redis_url="", qdrant_url="", s3_url="", num_cpus=2
    ) as servers:
        yield _address_and_token(servers.start())


def _address_and_token(endpoints: Endpoints) -> tuple[str, str]:
    assert endpoints.ray_address is not None
    assert endpoints.ray_token is not None
    return endpoints.ray_address, endpoints.ray_token


@pytest.fixture(scope="module")
def driver(cluster: tuple[str, str]) -> Driver:
    """Run a program as a driver of its own."""
    address, token = cluster
    namespace = f"contract-{uuid.uuid4().hex}"

    def run(program: str, *, token: str = token) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", CONNECT + program, address, namespace],
            env={**os.environ, **driver_environment(token), **SHORT_PATIENCE},
            capture_output=True,
            text=True,
            timeout=50,
        )

    return run


def test_tasks_come_back_and_find_our_packages(driver: Driver) -> None:
    ended = driver(TASKS)

    squares = str(sum(number * number for number in range(50)))
    assert ended.stdout.split() == [squares, "models.states", sys.executable], ended.stderr


def test_detached_actor_outlives_its_driver(driver: Driver) -> None:
    made, used = driver(COUNTER + MAKE_COUNTER), driver(USE_COUNTER)

    first, maker = made.stdout.split()
    second, user = used.stdout.split()
    assert (first, second) == ("1", "2")
    assert maker == user


def test_wrong_token_is_refused(driver: Driver) -> None:
    refused = driver("print('came through')", token="0" * 64)

    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "AuthenticationError" in refused.stderr
