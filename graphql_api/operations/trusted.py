"""Trusted documents: operations known by the sha256 of their text.

`off` takes any document and no hash. `prefer` takes both, and remembers what a caller with a key
registers by sending text and hash together, for a day. `only` runs nothing but the list, which is
a folder of .graphql files; whoever may introspect is exempt.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from graphql_api.errors import Refused

_REGISTERED: Final = 1000
_REGISTERED_SECONDS: Final = 24 * 3600.0
_UNKNOWN: Final = "PERSISTED_QUERY_NOT_FOUND"
Mode = Literal["off", "prefer", "only"]


class TrustedDocuments:
    """The list, and what callers registered."""

    def __init__(self, mode: Mode, folder: Path | None) -> None:
        self._mode = mode
        self._listed: Mapping[str, str] = {} if folder is None else _read(folder)
        self._registered: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def resolve(
        self,
        query: str | None,
        *,
        document_id: str | None,
        extensions: Mapping[str, Any],
        exempt: bool,
    ) -> str | None:
        """Return the text to run, None when there is none.

        Raises:
            Refused: the hash is unknown, is not the text's, or the text is not on the list.
        """
        digest = document_id if document_id is not None else _persisted(extensions)
        if digest is not None:
            return self._by_hash(digest.removeprefix("sha256:"), query)
        if query and self._mode == "only" and not exempt and _hash(query) not in self._listed:
            raise Refused(
                "FORBIDDEN",
                "Only listed documents are run here.",
                reason="UNTRUSTED_DOCUMENT",
                hint="Send the `documentId` of a listed document.",
            )
        return query

    def is_listed(self, document_hash: str) -> bool:
        """Return whether a document is on the list."""
        return document_hash in self._listed

    def register(self, text: str) -> None:
        """Remember a document that was found valid, if callers may do so here."""
        if self._mode != "prefer":
            return
        self._registered[_hash(text)] = (time.monotonic() + _REGISTERED_SECONDS, text)
        if len(self._registered) > _REGISTERED:
            self._registered.popitem(last=False)

    def _by_hash(self, digest: str, query: str | None) -> str:
        if self._mode == "off":
            raise Refused(
                "PERSISTED_QUERY_NOT_SUPPORTED", "Documents are not known by their hash here."
            )
        if query and _hash(query) != digest:
            raise Refused("BAD_REQUEST", "The hash is not the document's.", reason="HASH_MISMATCH")
        found = self._listed.get(digest) or self._remembered(digest)
        if found is None and (not query or self._mode == "only"):
            raise Refused(_UNKNOWN, "PersistedQueryNotFound")  # the words that clients look for
        return found or query or ""

    def _remembered(self, digest: str) -> str | None:
        until, text = self._registered.get(digest, (0.0, None))
        return text if until > time.monotonic() else None


def is_registration(query: str | None, extensions: Mapping[str, Any]) -> bool:
    """Return whether a request sends a document and its hash together."""
    return bool(query) and _persisted(extensions) is not None


def _persisted(extensions: Mapping[str, Any]) -> str | None:
    found = extensions.get("persistedQuery")
    digest = found.get("sha256Hash") if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else None


def _read(folder: Path) -> dict[str, str]:
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("*.graphql"))]
    return {_hash(text): text for text in texts}


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
