"""A body on its way in: taken out of its frames, measured, compared, written.

An intake works in threads only. `receiving` brings it the bytes.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from models.embedded.s3_front.checksums import (
    Algorithm,
    Checksum,
    Running,
    encode_digest,
    parse_algorithm,
    start,
)
from models.embedded.s3_front.chunked import FRAMED, Deframer
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.signature import UNSIGNED, Proof

LARGEST_BODY: Final = 5 << 30  # of one PUT, S3's own limit


@dataclass(frozen=True, slots=True)
class Promise:
    """What a request said about its body; every line of it must come true."""

    limit: int = LARGEST_BODY

    md5: bytes | None = None
    sha256: str | None = None
    size: int | None = None
    checksums: Mapping[Algorithm, str] = field(default_factory=dict)
    trailing: Algorithm | None = None
    wanted: Algorithm | None = None  # to be computed although no value was sent

    @property
    def algorithms(self) -> set[Algorithm]:
        return {item for item in (*self.checksums, self.trailing, self.wanted) if item}


def read_promise(
    headers: Mapping[str, str], proof: Proof | None, *, wanted: Algorithm | None = None
) -> Promise:
    payload = proof.payload if proof else UNSIGNED
    framed = payload in FRAMED
    size = headers.get("x-amz-decoded-content-length" if framed else "content-length")
    return Promise(
        md5=read_md5(headers.get("content-md5")),
        sha256=None if framed or payload == UNSIGNED else payload,
        size=int(size) if size and size.isdecimal() else None,
        checksums={item: headers[item.header] for item in Algorithm if item.header in headers},
        trailing=read_trailing(headers.get("x-amz-trailer")) if framed else None,
        wanted=wanted,
    )


def read_md5(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise S3Error("InvalidDigest") from None
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise S3Error("InvalidDigest")
    return digest


def read_trailing(text: str | None) -> Algorithm | None:
    prefix, separator, name = (text or "").lower().partition("x-amz-checksum-")
    return parse_algorithm(name) if separator and not prefix else None


@dataclass(frozen=True, slots=True)
class Received:
    """A body that kept its promise."""

    size: int
    md5: str
    checksum: Checksum | None


class Intake:
    """Feeds a file, slice by slice; `finish` says what was received or refuses it."""

    def __init__(self, file: BinaryIO, promise: Promise, proof: Proof | None) -> None:
        self._file = file
        self._promise = promise
        self._deframer = Deframer(proof) if proof and proof.payload in FRAMED else None
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if promise.sha256 else None
        self._sums: dict[Algorithm, Running] = {item: start(item) for item in promise.algorithms}

    def feed(self, data: bytes | bytearray) -> None:
        pieces = self._deframer.feed(data) if self._deframer else (memoryview(data),)
        for piece in pieces:
            self._take(piece)

    def finish(self) -> Received:
        self._check_complete()
        self._check_hashes()
        given = {**self._promise.checksums, **self._trailing_checksum()}
        computed = {item: encode_digest(sum_.digest()) for item, sum_ in self._sums.items()}
        for item, value in given.items():
            if computed[item] != value:
                raise S3Error("BadDigest", f"The {item} you specified does not match the body")
        checksum = next((Checksum(item, value) for item, value in computed.items()), None)
        return Received(self._size, self._md5.hexdigest(), checksum)

    def _take(self, piece: memoryview) -> None:
        self._size += len(piece)
        if self._size > self._promise.limit:
            raise S3Error("EntityTooLarge")
        self._md5.update(piece)
        if self._sha256:
            self._sha256.update(piece)
        for running in self._sums.values():
            running.update(piece)
        self._file.write(piece)

    def _check_complete(self) -> None:
        if self._deframer and not self._deframer.finished:
            raise S3Error("IncompleteBody")
        if self._promise.size is not None and self._promise.size != self._size:
            raise S3Error("IncompleteBody")

    def _check_hashes(self) -> None:
        if self._promise.md5 is not None and self._md5.digest() != self._promise.md5:
            raise S3Error("BadDigest", "The Content-MD5 you specified does not match the body")
        if self._sha256 and self._sha256.hexdigest() != self._promise.sha256:
            raise S3Error("XAmzContentSHA256Mismatch")

    def _trailing_checksum(self) -> dict[Algorithm, str]:
        if self._promise.trailing is None or self._deframer is None:
            return {}
        value = self._deframer.trailers.get(self._promise.trailing.header)
        if value is None:
            raise S3Error("IncompleteBody", "The announced trailer is missing")
        return {self._promise.trailing: value}
