"""What graphql-transport-ws asks of a server, as data: frames that are sent, and what must come."""

from typing import Any

FOLLOW = "subscription($id: ID!) { batchEvents(batchId: $id) { __typename } }"
INIT = {"type": "connection_init"}
ASK = {"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}
CREATE = 'mutation { createBucket(input: {name: "table"}) { bucket { name } } }'


def asking(**payload: Any) -> dict[str, Any]:
    return {**ASK, "payload": payload}


# What is sent after a handshake, acknowledged or not, and the code with which the socket closes.
CLOSES: dict[str, tuple[bool, list[Any], int]] = {
    "second init": (True, [INIT], 4429),
    "subscribe before ack": (False, [ASK], 4401),
    "no JSON": (True, ["{"], 4400),
    "unknown type": (True, [{"type": "start"}], 4400),
    "no type": (True, [{"id": "1"}], 4400),
    "array": (True, ["[]"], 4400),
    "number": (True, ["1"], 4400),
    "string": (True, ['"x"'], 4400),
    "null": (True, ["null"], 4400),
    "binary": (True, [b"{}"], 4400),
    "init payload number": (False, [{"type": "connection_init", "payload": 5}], 4400),
    "no id": (True, [{"type": "subscribe", "payload": ASK["payload"]}], 4400),
    "no payload": (True, [{"type": "subscribe", "id": "1"}], 4400),
    "query number": (True, [asking(query=5)], 4400),
    "variables array": (True, [asking(query="{ a }", variables=[1])], 4400),
    "id object": (True, [{**ASK, "id": {}}], 4400),
    "id number": (True, [{**ASK, "id": 1}], 4400),
    "id empty": (True, [{**ASK, "id": ""}], 4400),
    "deep JSON": (True, ['{"type": "ping", "payload": ' + "[" * 200 + "]" * 200 + "}"], 4400),
}
# Answers of a socket that lives on: what is sent, and the messages that come.
ANSWERS: dict[str, tuple[bool, list[Any], list[tuple[str, str | None]]]] = {
    "init": (False, [INIT], [("connection_ack", None)]),
    "init payload null": (False, [{**INIT, "payload": None}], [("connection_ack", None)]),
    "ping before init": (False, [{"type": "ping"}], [("pong", None)]),
    "ping with payload": (True, [{"type": "ping", "payload": {"a": 1}}], [("pong", None)]),
    "query": (True, [ASK], [("next", "1"), ("complete", "1")]),
    "mutation": (True, [asking(query=CREATE)], [("next", "1"), ("complete", "1")]),
    "validation error": (True, [asking(query="{ nothing }")], [("error", "1")]),
    "syntax error": (True, [asking(query="{")], [("error", "1")]),
    "unknown operationName": (
        True, [asking(query="query A { __typename }", operationName="B")], [("error", "1")],
    ),
    "coercion": (True, [asking(query=FOLLOW)], [("error", "1")]),
    "complete of an unknown id": (True, [{"type": "complete", "id": "9"}], []),
    "no query but a hash": (
        True,
        [asking(extensions={"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}})],
        [("error", "1")],
    ),
}  # fmt: skip
