"""What gates run against: an API with a key and one batch, and a second process to run tools in."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from benchmarks.client import Client
from benchmarks.pickup import CREATE_BUCKET, CREATE_NAMESPACE
from benchmarks.stack import Product

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
_TOOL_SECONDS: Final = 300
CREATE_BATCH: Final = """mutation($bucketId: ID!) {
  createBatch(input: {bucketId: $bucketId}) { batch { id } } }"""
CREATE_READER: Final = """mutation {
  createApiKey(input: {name: "reader", scopes: [READ]}) { secret userErrors { message } } }"""


@dataclass(frozen=True)
class Target:
    """Where the API is, and what there is to see in it."""

    endpoint: str
    key: str
    reader: str  # a key that may read, and not introspect
    bucket_id: str
    batch_id: str


async def open_target(product: Product) -> Target:
    """Make a namespace with a draft in it."""
    async with httpx.AsyncClient(timeout=30) as http:
        admin = Client(product, http, product.admin_key)
        opened = await admin.data(CREATE_NAMESPACE, name="conformance")
        key = opened["createNamespace"]["apiKey"]
        client = Client(product, http, key)
        bucket_id = (await client.data(CREATE_BUCKET))["createBucket"]["bucket"]["id"]
        made = await client.data(CREATE_BATCH, bucketId=bucket_id)
        reader = (await client.data(CREATE_READER))["createApiKey"]["secret"]
    batch_id = made["createBatch"]["batch"]["id"]
    return Target(f"{product.base_url}/graphql", key, reader, bucket_id, batch_id)


def run_node(script: str, target: Target) -> bool:
    """Run a script of this folder with Node; return whether it was content."""
    if not (HERE / "node_modules").is_dir():
        print("the Node packages are missing: run `make conformance`")
        return False
    done = subprocess.run(
        ["node", script],
        cwd=HERE,
        timeout=_TOOL_SECONDS,
        check=False,
        env={
            **os.environ,
            "STRATA_ENDPOINT": target.endpoint,
            "STRATA_KEY": target.key,
            "STRATA_BUCKET": target.bucket_id,
            "STRATA_BATCH": target.batch_id,
        },
    )
    return done.returncode == 0


def run_tool(name: str, *arguments: str, cwd: Path = HERE) -> bool:
    """Run a tool from the Node packages; return whether it was content."""
    program = HERE / "node_modules" / ".bin" / name
    if not program.exists():
        print("the Node packages are missing: run `make conformance`")
        return False
    done = subprocess.run([program, *arguments], cwd=cwd, timeout=_TOOL_SECONDS, check=False)
    print(f"{name} {' '.join(arguments)}: {'passed' if done.returncode == 0 else 'failed'}")
    return done.returncode == 0
