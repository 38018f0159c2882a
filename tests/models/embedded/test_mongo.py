"""The local mongod over starts, ports and rude endings."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from models.embedded import local_server
from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder
from models.embedded.loopback import free_port
from models.embedded.mongo import Mongo
from tests.models.embedded.programs import await_that


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[Mongo]:
    with DataFolder(tmp_path) as folder:
        mongo = Mongo(folder)
        yield mongo
        mongo.close()


def _start(mongo: Mongo) -> Mongo:
    mongo.launch()
    await_that(mongo.is_ready)
    return mongo


def _opened(mongo: Mongo) -> MongoClient[dict[str, Any]]:
    return MongoClient(mongo.url, timeoutMS=10_000)


def test_keeps_its_data_on_another_port(mongo: Mongo) -> None:
    with _opened(_start(mongo)) as client:
        client["sample"]["things"].insert_one({"_id": 1})
    first = mongo.url
    mongo.stop()

    other = _start(Mongo(mongo.folder))

    assert other.url != first
    with _opened(other) as client, client.start_session() as session, session.start_transaction():
        assert client["sample"]["things"].find_one({}, session=session) == {"_id": 1}
    other.close()


@pytest.mark.long
def test_the_transaction_of_a_client_that_is_gone_soon_lets_go(mongo: Mongo) -> None:
    with _opened(_start(mongo)) as client, _opened(mongo) as other:
        things = client["sample"]["things"]
        things.insert_one({"_id": 1, "by": None})
        session = client.start_session()
        session.start_transaction()
        things.update_one({"_id": 1}, {"$set": {"by": "the one that is gone"}}, session=session)

        # Nothing is said any more, as after a kill -9.
        other["sample"]["things"].update_one({"_id": 1}, {"$set": {"by": "the next one"}})

        assert things.find_one() == {"_id": 1, "by": "the next one"}


def test_restarts_on_its_port_after_a_kill(mongo: Mongo) -> None:
    with _opened(_start(mongo)) as client:
        assert client.admin.command("hello")["setName"] == "rs0"
        client["sample"]["things"].insert_one({"_id": 1})
        assert mongo.pid is not None
        os.kill(mongo.pid, signal.SIGKILL)
        await_that(mongo.has_died)
        url = mongo.url

        _start(mongo)

        assert mongo.url == url
        assert client["sample"]["things"].find_one() == {"_id": 1}


def test_takes_another_port_when_one_is_busy(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        ports = iter([busy.getsockname()[1], free_port()])
        monkeypatch.setattr(mongo, "choose_port", lambda: next(ports))

        _start(mongo)

        assert mongo.port != busy.getsockname()[1]


def test_gives_up_when_every_port_is_busy(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "PORT_ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        monkeypatch.setattr(mongo, "choose_port", lambda: busy.getsockname()[1])

        mongo.launch()
        with pytest.raises(StartFailed, match=r"(?s)code 48.*in use"):
            await_that(mongo.is_ready)
