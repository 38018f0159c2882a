import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.api_key import ApiKey, issue_key, parse_key
from models.stored import now
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Issued:
    key: ApiKey
    readable: str
    secret: str


@pytest.fixture(scope="module")
def issued(stores: Stores) -> Issued:
    """A key; `stores` is asked for since its class is bound there."""
    key, readable = issue_key("ns_1", name="first")
    return Issued(key, readable, readable[-49:-6])


def secret_of(readable: str) -> str:
    parts = parse_key(readable)
    assert parts is not None
    return parts[1]


def test_a_key_has_prefix_id_secret_and_checksum(issued: Issued) -> None:
    form = rf"strata_{issued.key.id}_([{BASE62}]{{43}})([{BASE62}]{{6}})"
    found = re.fullmatch(form, issued.readable)

    assert found is not None
    number = 0
    for digit in found[2]:
        number = number * 62 + BASE62.index(digit)
    assert number == zlib.crc32(issued.readable[:-6].encode())
    assert parse_key(issued.readable) == (issued.key.id, found[1])


def test_only_the_hash_of_the_secret_is_kept(issued: Issued) -> None:
    secret = issued.secret

    assert issued.key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in issued.key.model_dump_json()


def test_keys_never_repeat(issued: Issued) -> None:
    assert len({issue_key("ns_1", name="x")[1] for _ in range(200)}) == 200


@given(st.integers(0, 86), st.sampled_from(BASE62))
def test_one_mistyped_character_is_told_offline(issued: Issued, place: int, character: str) -> None:
    mistyped = issued.readable[:place] + character + issued.readable[place + 1 :]

    assert (parse_key(mistyped) is None) is (mistyped != issued.readable)


@given(st.text())
def test_no_text_but_a_key_is_parsed(issued: Issued, text: str) -> None:
    assert parse_key(text) is None
    assert parse_key(issued.readable + text) is None or text == ""


@pytest.mark.parametrize("text", ["", "strata_", "strata__", "\ud800", "ключ", "\x00" * 90])
def test_damaged_keys_are_refused_without_an_exception(text: str) -> None:
    assert parse_key(text) is None


def test_a_right_checksum_does_not_make_a_wrong_id_right(issued: Issued) -> None:
    body = issued.readable[:-6].replace("key_", "obj_")
    crc = zlib.crc32(body.encode())
    checksum = "".join(BASE62[crc // 62**power % 62] for power in range(5, -1, -1))

    assert parse_key(body + checksum) is None


def test_a_key_admits_its_own_secret_alone(issued: Issued) -> None:
    assert issued.key.admits(issued.secret)
    assert not issued.key.admits(issued.secret[:-1])
    assert not issued.key.admits(secret_of(issue_key("ns_1", name="other")[1]))
    assert not issued.key.admits("")


@pytest.mark.parametrize(
    ("values", "usable"),
    [
        ({"expires_at": now() + timedelta(days=1)}, True),
        ({"expires_at": now() - timedelta(milliseconds=1)}, False),
        ({"revoked_at": now()}, False),
        ({"revoked_at": now(), "expires_at": now() + timedelta(days=1)}, False),
    ],
)
def test_expired_and_revoked_keys_admit_nobody(
    issued: Issued, values: dict[str, object], usable: bool
) -> None:
    key = issued.key.model_copy(update=values)

    assert key.usable is usable
    assert key.admits(issued.secret) is usable


@pytest.mark.parametrize("wrong", [True, False])
@pytest.mark.parametrize("revoked", [True, False])
def test_the_secret_is_compared_in_constant_time_whatever_the_key_is(
    issued: Issued, monkeypatch: pytest.MonkeyPatch, wrong: bool, revoked: bool
) -> None:
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def spy(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    key = issued.key.model_copy(update={"revoked_at": now() if revoked else None})
    secret = "x" * 43 if wrong else issued.secret

    key.admits(secret)

    assert compared == [(issued.key.secret_sha256, hashlib.sha256(secret.encode()).hexdigest())]


async def test_a_stored_key_still_opens_its_namespace(namespace: NamespaceOfTest) -> None:
    parts = parse_key(namespace.api_key)
    assert parts is not None

    found = await namespace.scope.require(ApiKey, parts[0])

    assert found.namespace_id == namespace.id
    assert found.admits(parts[1])


async def test_an_expiry_read_from_the_store_is_compared_with_the_present(
    namespace: NamespaceOfTest,
) -> None:
    key, readable = issue_key(namespace.id, name="short")
    key.expires_at = now() + timedelta(hours=1)
    await ApiKey.get_pymongo_collection().insert_one(key.to_mongo())

    found = await namespace.scope.require(ApiKey, key.id)

    assert found.expires_at == key.expires_at
    assert found.admits(secret_of(readable))
