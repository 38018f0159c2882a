"""Sealed secrets under one key, another, both and none."""

import pytest
from pydantic import SecretStr

from models.errors import Misconfigured
from models.sealing import SETTING, Seal

OLD, NEW = "an-old-key-of-more-than-32-characters", "a-new-key-of-more-than-32-characters"


def seal(*keys: str) -> Seal:
    return Seal(SecretStr(" ".join(keys)))


def test_what_is_sealed_opens_and_says_nothing() -> None:
    sealed = seal(OLD).close("whsec_abc")

    assert seal(OLD).open(sealed) == "whsec_abc"
    assert "whsec" not in sealed
    assert seal(OLD).close("whsec_abc") != sealed


def test_a_key_is_replaced_by_one_before_it() -> None:
    sealed = seal(OLD).close("whsec_abc")

    assert seal(NEW, OLD).open(sealed) == "whsec_abc"
    assert seal(NEW).open(seal(NEW, OLD).close("whsec_def")) == "whsec_def"
    with pytest.raises(Misconfigured, match="not here") as refused:
        seal(NEW).open(sealed)
    assert SETTING in refused.value.hint


def test_what_was_changed_does_not_open() -> None:
    sealed = seal(OLD).close("whsec_abc")

    with pytest.raises(Misconfigured):
        seal(OLD).open(sealed[:-8] + "AAAAAAA=")


@pytest.mark.parametrize("keys", [None, SecretStr(" "), SecretStr("short")])
def test_nothing_is_sealed_without_a_good_key(keys: SecretStr | None) -> None:
    with pytest.raises(Misconfigured) as refused:
        Seal(keys).close("whsec_abc")

    assert SETTING in refused.value.hint
