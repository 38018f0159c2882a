import secrets
import uuid
from collections import Counter
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ids import Prefix, document_id, is_id, new_id
from models.ports import simulate

PREFIXES = get_args(Prefix)
identities = st.fixed_dictionaries(
    {
        "namespace_id": st.text(max_size=6),
        "collection_id": st.text(max_size=6),
        "source_id": st.text(max_size=6),
        "extractor": st.text(max_size=6),
        "ordinal": st.integers(0, 2_000),
    }
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_new_id_is_one_of_its_own_kind_alone(prefix: Prefix) -> None:
    made = new_id(prefix)

    assert [kind for kind in PREFIXES if is_id(made, kind)] == [prefix]
    assert len(made) == len(prefix) + 27


def test_ids_sort_by_the_time_they_were_made() -> None:
    moments = (1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2**47)

    made = [_made_at(milliseconds, 1)[0] for milliseconds in moments]

    assert made == sorted(made)


def test_ids_of_one_millisecond_differ() -> None:
    assert len(set(_made_at(1_700_000_000_000, 1_000))) == 1_000


def _made_at(milliseconds: int, number: int) -> list[str]:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)

    def make() -> list[str]:
        simulate(lambda: moment, secrets.randbits)
        return [new_id("obj") for _ in range(number)]

    return copy_context().run(make)


def test_all_random_bits_are_used() -> None:
    suffixes = [new_id("obj")[-16:] for _ in range(500)]

    for place in range(16):
        assert len(Counter(suffix[place] for suffix in suffixes)) == 32


@given(st.text(max_size=40))
def test_no_other_text_is_taken_for_an_id(text: str) -> None:
    assert not is_id(text, "btc")
    assert not is_id(f"btc_{text}", "btc") or set(text) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@pytest.mark.parametrize(
    "wrong", ["", "btc_", "btc_" + "I" * 26, "btc_" + "0" * 25, "BTC_" + "0" * 26]
)
def test_near_misses_are_no_ids(wrong: str) -> None:
    assert not is_id(wrong, "btc")


@given(identities, identities)
def test_document_ids_are_equal_for_equal_identities_alone(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (document_id(**one) == document_id(**other)) is (one == other)


def test_fields_of_an_identity_do_not_run_together() -> None:
    common: dict[str, Any] = {"namespace_id": "ns", "extractor": "text@v1", "ordinal": 0}

    assert document_id(collection_id="a", source_id="bc", **common) != document_id(
        collection_id="ab", source_id="c", **common
    )
    assert document_id(collection_id="1:a", source_id="", **common) != document_id(
        collection_id="", source_id="1:a", **common
    )


def test_document_ids_never_change() -> None:
    """A re-run of last year's batch must overwrite last year's documents."""
    made = document_id(
        namespace_id="ns_1", collection_id="col_1", source_id="obj_1",
        extractor="text@v1", ordinal=3,
    )  # fmt: skip

    assert made == "6c497622-8f58-55d2-ae1b-50d86dd0c6f4"
    assert uuid.UUID(made).version == 5
