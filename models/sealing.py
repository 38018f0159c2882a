"""Keeps secrets unreadable in MongoDB that have to be read again, such as those of webhooks.

Sealed with Fernet (AES-128-CBC and HMAC-SHA256; https://github.com/fernet/spec) under a key that
only the processes' settings hold. The first key seals, each opens: a key is replaced by putting
another before it.
"""

import base64
import hashlib
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from models.errors import Misconfigured

SETTING: Final = "STRATA_SEALING_KEYS"
SHORTEST: Final = 32  # characters of a key


class Seal:
    """Seals and opens under the keys of the settings."""

    def __init__(self, keys: SecretStr | None) -> None:
        self._keys = "" if keys is None else keys.get_secret_value()

    def close(self, text: str) -> str:
        """Return a text sealed; another result each time. Raises Misconfigured without a key."""
        return _cipher(self._keys).encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the text that was sealed.

        Raises:
            Misconfigured: none of the keys opens it, or there is none.
        """
        try:
            return _cipher(self._keys).decrypt(sealed).decode()
        except InvalidToken:
            raise Misconfigured(
                "A secret was sealed with a key that is not here.",
                hint=f"Put the earlier key behind the present one in {SETTING}.",
            ) from None

    def check(self) -> None:
        """Raise Misconfigured when there is no key that may be used."""
        _cipher(self._keys)


@lru_cache(maxsize=8)
def _cipher(keys: str) -> MultiFernet:
    found = keys.split()
    if not found:
        raise Misconfigured(
            "There is no key to seal secrets with.",
            hint=f"Set {SETTING} to a random text of at least {SHORTEST} characters.",
        )
    if any(len(key) < SHORTEST for key in found):
        raise Misconfigured(
            "A key that seals secrets is too short.",
            hint=f"Each key in {SETTING} has at least {SHORTEST} random characters.",
        )
    return MultiFernet(
        Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in found
    )
