"""Ids: how each is formed and checked. Nothing else builds one.

ns_ bkt_ obj_ col_ btc_ blk_ tsk_ ...   prefix + 26 characters of Crockford base32; sorts by time
document ids                            uuid5 over length-prefixed identity: a re-run meets itself
request ids                             sha256 over the same of owner, mutation and idempotency key
feature URIs                            strata://<extractor>@<version>/<vector>, as searches name it
"""

import hashlib
import uuid
from collections.abc import Iterable
from typing import Final, Literal

from models.ports import random_bits, wall_clock

# fmt: off
Prefix = Literal[
    "ns", "bkt", "obj", "col", "btc", "blk", "tsk", "evt", "whk", "dlv", "key", "sub", "err", "aud",
    "sch", "upl", "lin",
]
# fmt: on

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SUFFIX_LENGTH: Final = 26
_DOCUMENTS: Final = uuid.UUID("6f0d3f7e-5d3c-5a5b-9a0e-7d1f6a1c2b30")


def new_id(prefix: Prefix) -> str:
    """Return a fresh id such as `btc_01KB...`: 48 bits of milliseconds, 80 random bits."""
    milliseconds = int(wall_clock().timestamp() * 1000)
    return f"{prefix}_{_suffix(milliseconds << 80 | random_bits(80))}"


def line_error_id(task_id: str, *, line: int, ordinal: int) -> str:
    """Return the id of what was wrong with a line: those of one task sort by line."""
    task = int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8])
    return f"lin_{_suffix(task << 64 | line << 16 | ordinal)}"


def _suffix(number: int) -> str:
    digits = (_ALPHABET[number >> shift & 31] for shift in range(5 * (_SUFFIX_LENGTH - 1), -1, -5))
    return "".join(digits)


def is_id(value: str, prefix: Prefix) -> bool:
    """Tell whether `value` has the form of an id with this prefix."""
    head, _, suffix = value.partition("_")
    return head == prefix and len(suffix) == _SUFFIX_LENGTH and not set(suffix) - set(_ALPHABET)


def document_id(
    *, namespace_id: str, collection_id: str, source_id: str, extractor: str, ordinal: int
) -> str:
    """Return the id of the `ordinal`-th document that `extractor` makes of one source row.

    `source_id` is the object's id in the first tier and the upstream document's id in later ones;
    `extractor` is `name@version`. Fields are length-prefixed, so no two identities run together.
    """
    fields = (namespace_id, collection_id, source_id, extractor, str(ordinal))
    return str(uuid.uuid5(_DOCUMENTS, _joined(fields)))


def request_id(*, owner: str, operation: str, key: str) -> str:
    """Return the id of what `owner` asked of a mutation under an idempotency key."""
    return hashlib.sha256(_joined((owner, operation, key)).encode()).hexdigest()


def _joined(fields: Iterable[str]) -> str:
    return "".join(f"{len(field)}:{field}" for field in fields)


def feature_uri(label: str, vector: str) -> str:
    """Return how a vector of an extractor, given as `name@version`, is named everywhere."""
    return f"strata://{label}/{vector}"
