"""A namespace of a running product, and clients of it."""

from dataclasses import dataclass

import httpx

from benchmarks.client import Client
from benchmarks.pickup import CREATE_NAMESPACE
from benchmarks.stack import Product


@dataclass(frozen=True)
class BenchNamespace:
    """A namespace with its key."""

    id: str
    key: str


async def open_namespace(product: Product, name: str) -> BenchNamespace:
    """Open a namespace."""
    async with httpx.AsyncClient(timeout=30) as http:
        admin = Client(product, http, product.admin_key)
        key = (await admin.data(CREATE_NAMESPACE, name=name))["createNamespace"]["apiKey"]
        found = await Client(product, http, key).data("{ namespace { id } }")
    return BenchNamespace(found["namespace"]["id"], key)
