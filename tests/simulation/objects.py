"""S3 as far as the product uses it: keys that are created once, read, listed and deleted."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import ClientError, EndpointConnectionError

from tests.simulation.network import Network

T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """One object."""

    data: bytes
    metadata: Mapping[str, str]


@dataclass
class Objects:
    """All objects by key, and every write that was accepted."""

    network: Network
    stored: dict[str, Stored] = field(default_factory=dict)

    async def _call(self, said: str, effect: Callable[[], T]) -> T:
        return await self.network.call("s3", said, effect, _lost)

    # The names of parameters are botocore's own.
    async def put_object(self, *, Bucket: str, Key: str, Body: Any, **options: Any) -> None:
        """Create a key; with `IfNoneMatch` only where there is none."""
        data = Body if isinstance(Body, bytes) else Body.read()

        def put() -> None:
            if options.get("IfNoneMatch") == "*" and Key in self.stored:
                raise _error("PreconditionFailed", "PutObject")
            self.stored[Key] = Stored(data, dict(options.get("Metadata", {})))

        await self._call(f"put {Key} {hashlib.sha256(data).hexdigest()[:12]}", put)

    async def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        """Return what is known of a key."""
        found = await self._call(f"head {Key}", lambda: self._require(Key, "404"))
        return {"Metadata": dict(found.metadata), "ContentLength": len(found.data)}

    async def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        """Return a key's bytes."""
        found = await self._call(f"get {Key}", lambda: self._require(Key, "NoSuchKey"))
        return {"Body": _Body(found.data)}

    async def delete_objects(self, *, Bucket: str, Delete: Any) -> dict[str, Any]:
        """Delete keys, whether they are there or not."""
        keys = [one["Key"] for one in Delete["Objects"]]

        def delete() -> None:
            for key in keys:
                self.stored.pop(key, None)

        await self._call(f"delete {len(keys)}", delete)
        return {}

    async def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        """Return the first keys with a prefix."""

        def keys() -> list[str]:
            return sorted(key for key in self.stored if key.startswith(Prefix))[:MaxKeys]

        return {"Contents": [{"Key": key} for key in await self._call(f"list {Prefix}", keys)]}

    def _require(self, key: str, code: str) -> Stored:
        if key not in self.stored:
            raise _error(code, "GetObject")
        return self.stored[key]


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.content = self

    async def __aenter__(self) -> "_Body":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


def _lost() -> EndpointConnectionError:
    return EndpointConnectionError(endpoint_url="s3")
