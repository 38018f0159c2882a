"""The five checksums of S3: computed while bytes pass, compared, combined over parts."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from awscrt import checksums

from models.embedded.s3_front.errors import S3Error


class Algorithm(StrEnum):
    """A checksum by its name in S3; `header` is where its value travels."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.lower()}"


class ChecksumType(StrEnum):
    """How the checksum of a multipart object follows from its parts."""

    COMPOSITE = "COMPOSITE"  # the checksum of the parts' checksums, with "-n"
    FULL_OBJECT = "FULL_OBJECT"  # as if the object had been sent in one piece


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum as stored and answered; the value is base64, with "-n" when composite."""

    algorithm: Algorithm
    value: str
    kind: ChecksumType = ChecksumType.FULL_OBJECT


class Running(Protocol):
    """What hashlib's objects and our CRCs have in common."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


WIDTH: Final[Mapping[Algorithm, int]] = {
    Algorithm.CRC32: 4,
    Algorithm.CRC32C: 4,
    Algorithm.CRC64NVME: 8,
}
CRC: Final[Mapping[Algorithm, Callable[[bytes | memoryview, int], int]]] = {
    Algorithm.CRC32: checksums.crc32,
    Algorithm.CRC32C: checksums.crc32c,
    Algorithm.CRC64NVME: checksums.crc64nvme,
}
COMBINE: Final[Mapping[Algorithm, Callable[[int, int, int], int]]] = {
    Algorithm.CRC32: checksums.combine_crc32,
    Algorithm.CRC32C: checksums.combine_crc32c,
    Algorithm.CRC64NVME: checksums.combine_crc64nvme,
}


class RunningCrc:
    """A CRC with the interface of hashlib."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = CRC[self._algorithm](data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(WIDTH[self._algorithm], "big")


def start(algorithm: Algorithm) -> Running:
    if algorithm in WIDTH:
        return RunningCrc(algorithm)
    return hashlib.new(algorithm.lower(), usedforsecurity=False)


def encode_digest(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def parse_algorithm(name: str) -> Algorithm:
    try:
        return Algorithm(name.upper())
    except ValueError:
        raise S3Error("InvalidRequest", f"Unknown checksum algorithm {name}") from None


def combine(algorithm: Algorithm, kind: ChecksumType, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The checksum of a whole multipart object from (value, size) of its parts."""
    digests = [base64.b64decode(value) for value, _ in parts]
    if kind is ChecksumType.COMPOSITE:
        whole = start(algorithm)
        whole.update(b"".join(digests))
        return Checksum(algorithm, f"{encode_digest(whole.digest())}-{len(parts)}", kind)
    value = 0
    for digest, (_, size) in zip(digests, parts, strict=True):
        value = COMBINE[algorithm](value, int.from_bytes(digest, "big"), size)
    return Checksum(algorithm, encode_digest(value.to_bytes(WIDTH[algorithm], "big")), kind)
