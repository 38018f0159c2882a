"""Trusted documents: off, preferred, only."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from graphql_api.errors import Refused
from graphql_api.operations import trusted
from graphql_api.operations.trusted import Mode, TrustedDocuments, is_registration

LISTED, OTHER = "{ __typename }", "{ namespace { id } }"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def make(tmp_path: Path, mode: Mode) -> TrustedDocuments:
    (tmp_path / "one.graphql").write_text(LISTED)
    return TrustedDocuments(mode, tmp_path)


def resolve(
    documents: TrustedDocuments, query: str | None = None, *, exempt: bool = False, **sent: Any
) -> str | None:
    given = {"document_id": None, "extensions": {}, **sent}
    return documents.resolve(query, exempt=exempt, **given)


def persisted(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}


def code(documents: TrustedDocuments, query: str | None = None, **sent: Any) -> str:
    with pytest.raises(Refused) as caught:
        resolve(documents, query, **sent)
    return caught.value.code


@pytest.mark.parametrize("mode", ["prefer", "only"])
def test_a_listed_document_is_found_by_its_hash(tmp_path: Path, mode: Mode) -> None:
    documents = make(tmp_path, mode)

    assert resolve(documents, document_id=digest(LISTED)) == LISTED
    assert resolve(documents, document_id=f"sha256:{digest(LISTED)}") == LISTED
    assert resolve(documents, extensions=persisted(LISTED)) == LISTED
    assert code(documents, document_id=digest(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"


def test_where_it_is_off_hashes_are_not_taken(tmp_path: Path) -> None:
    documents = make(tmp_path, "off")

    assert resolve(documents, OTHER) == OTHER
    assert code(documents, document_id=digest(LISTED)) == "PERSISTED_QUERY_NOT_SUPPORTED"


def test_only_the_list_is_run_where_only_the_list_may(tmp_path: Path) -> None:
    documents = make(tmp_path, "only")

    assert resolve(documents, LISTED) == LISTED
    assert code(documents, OTHER) == "FORBIDDEN"
    assert code(documents, OTHER, extensions=persisted(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"
    assert resolve(documents, OTHER, exempt=True) == OTHER
    documents.register(OTHER)
    assert code(documents, document_id=digest(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"


def test_a_registered_document_is_found_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make(tmp_path, "prefer")
    assert is_registration(OTHER, persisted(OTHER))
    assert resolve(documents, OTHER, extensions=persisted(OTHER)) == OTHER

    documents.register(OTHER)
    assert resolve(documents, extensions=persisted(OTHER)) == OTHER

    monkeypatch.setattr(trusted, "_REGISTERED_SECONDS", -1.0)
    documents.register(OTHER)
    assert code(documents, extensions=persisted(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"


def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    documents = make(tmp_path, "prefer")

    assert code(documents, OTHER, extensions=persisted(LISTED)) == "BAD_REQUEST"


def test_what_is_registered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "_REGISTERED", 2)
    documents = make(tmp_path, "prefer")

    for name in "abc":
        documents.register(f"{{ {name} }}")

    assert code(documents, document_id=digest("{ a }")) == "PERSISTED_QUERY_NOT_FOUND"
    assert resolve(documents, document_id=digest("{ c }")) == "{ c }"
