"""All collections and aliases of one data folder.

collections.json          {"collections": {name: {folder, config, built}}, "aliases": {alias: name}}
shards/<random id>/       one engine shard each; a folder that the list does not name is left over

The list is the truth and is replaced by renaming. A shard folder is made before the list names it
and deleted after the list has forgotten it, so a kill at any moment leaves only orphans to sweep.
"""

import asyncio
import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from qdrant_edge import EdgeShard

from models.embedded.qdrant_front.collection import Collection
from models.embedded.qdrant_front.config import edge_config
from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.refusals import Refusal, decoding, engine_errors, missing
from models.embedded.qdrant_front.shard import OpenShard

THREADS = 4


class Store:
    """The open collections by name, and the only writer of the list."""

    def __init__(self, folder: Path) -> None:
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        self._built: dict[str, int] = {}
        self._list = folder / "collections.json"
        self._shards = folder / "shards"
        self._changing = asyncio.Lock()
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")

    def open(self) -> None:
        self._shards.mkdir(parents=True, exist_ok=True)
        listed: Json = orjson.loads(self._list.read_bytes()) if self._list.exists() else {}
        self.aliases = listed.get("aliases", {})
        for name, entry in listed.get("collections", {}).items():
            self._load(name, entry)
        named = {one.open_shard.folder for one in self.collections.values()}
        for folder in set(self._shards.iterdir()) - named:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Wait for the calls under way, then close every shard with what it holds on disk."""
        self.threads.shutdown(wait=True)
        for collection in self.collections.values():
            collection.open_shard.shard.flush()
            collection.open_shard.close()

    def get(self, name: str) -> Collection:
        """The collection of that name or alias."""
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise missing(f"Collection `{name}` doesn't exist!")
        return found

    def has(self, name: str) -> bool:
        return self.aliases.get(name, name) in self.collections

    async def create(self, name: str, config: Json) -> None:
        async with self._changing:
            if name in self.collections or name in self.aliases:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            shard = await asyncio.to_thread(self._create, config)
            self.collections[name] = Collection(name, config, shard, self.threads)
            self._save()

    async def delete(self, name: str) -> bool:
        async with self._changing:
            collection = self.collections.pop(name, None)
            if collection is None:
                return False
            self._built.pop(name, None)
            self.aliases = {alias: to for alias, to in self.aliases.items() if to != name}
            self._save()
        async with collection.write_lock:
            await asyncio.to_thread(collection.open_shard.retire)
        return True

    async def alias(self, actions: list[Json]) -> None:
        """Carry out all actions or none."""
        async with self._changing:
            aliases = dict(self.aliases)
            with decoding():
                for action in actions:
                    self._alias(aliases, action)
            self.aliases = aliases
            self._save()

    async def keep(self, collection: Collection) -> None:
        """Write down a config that has changed."""
        async with self._changing:
            self._save()

    def new_folder(self) -> Path:
        return self._shards / uuid.uuid4().hex

    async def swap(self, collection: Collection, better: OpenShard) -> None:
        """Put an optimized copy in the place of a shard; its writers must be held off."""
        async with self._changing:
            if self.collections.get(collection.name) is not collection:
                raise missing(f"Collection `{collection.name}` doesn't exist!")
            built = {collection.name: better.shard.info().points_count}
            former, collection.open_shard = collection.open_shard, better
            try:
                self._built |= built
                self._save()
            except OSError:
                collection.open_shard = former
                raise
        await asyncio.to_thread(former.retire)

    def _load(self, name: str, entry: Json) -> None:
        folder = self._shards / entry["folder"]
        shard = OpenShard(folder, EdgeShard.load(str(folder)))
        collection = Collection(name, entry["config"], shard, self.threads)
        self._built[name] = entry["built"]
        collection.unbuilt = max(0, shard.shard.info().points_count - entry["built"])
        self.collections[name] = collection

    def _create(self, config: Json) -> OpenShard:
        with decoding():
            engine = edge_config(config)
        folder = self.new_folder()
        folder.mkdir()
        try:
            with decoding(), engine_errors():
                return OpenShard(folder, EdgeShard.create(str(folder), engine))
        except Refusal:
            shutil.rmtree(folder)
            raise

    def _alias(self, aliases: dict[str, str], action: Json) -> None:
        [(kind, body)] = action.items()
        if kind == "create_alias":
            if body["collection_name"] not in self.collections:
                raise missing(f"Collection `{body['collection_name']}` doesn't exist!")
            if body["alias_name"] in self.collections:
                raise Refusal(409, f"Wrong input: Collection `{body['alias_name']}` exists!")
            aliases[body["alias_name"]] = body["collection_name"]
        elif kind == "delete_alias":
            aliases.pop(body["alias_name"], None)
        elif kind == "rename_alias":
            if body["old_alias_name"] not in aliases:
                raise missing(f"Alias `{body['old_alias_name']}` doesn't exist!")
            aliases[body["new_alias_name"]] = aliases.pop(body["old_alias_name"])
        else:
            raise KeyError(kind)

    def _save(self) -> None:
        """On the event loop, since a list that might or might not be written cannot be undone."""
        listed = {
            name: {
                "folder": one.open_shard.folder.name,
                "config": one.config,
                "built": self._built.get(name, 0),
            }
            for name, one in self.collections.items()
        }
        body = orjson.dumps({"collections": listed, "aliases": self.aliases})
        _replace(self._list, body)


def _replace(path: Path, body: bytes) -> None:
    """Write beside, then rename: a reader finds the old list or the new one, never a half."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
