"""The aws-chunked framing: sizes, chunk signatures and trailers taken off again.

    <hex size>[;chunk-signature=<hex>]\\r\\n<bytes>\\r\\n ... 0[;...]\\r\\n<trailers>\\r\\n

A server that stored the frames as they came would corrupt every object sent this way.
"""

import hashlib
import hmac
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.signature import Proof, sign

LINE_BYTES: Final = 16 * 1024
EMPTY: Final = hashlib.sha256().hexdigest()
SIGNED: Final = frozenset(
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
)
FRAMED: Final = SIGNED | {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}


class ChunkSigner:
    """Checks the chain of chunk signatures, each of which covers the one before it."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._previous = proof.signature

    def check(self, kind: str, digests: list[str], signature: str) -> None:
        text = "\n".join(
            [
                f"AWS4-HMAC-SHA256-{kind}",
                self._proof.stamp,
                self._proof.scope,
                self._previous,
                *digests,
            ]
        )
        expected = sign(self._proof.key, text)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise S3Error("SignatureDoesNotMatch", "A chunk's signature does not match")
        self._previous = expected


class Expect(Enum):
    """What the next bytes of the frame are."""

    SIZE = auto()
    DATA = auto()
    END_OF_DATA = auto()
    TRAILER = auto()
    NOTHING = auto()


class Deframer:
    """Takes frames in any slices and gives the payload; trailers are read at the end."""

    def __init__(self, proof: Proof) -> None:
        self.trailers: dict[str, str] = {}
        self._signer = ChunkSigner(proof) if proof.payload in SIGNED else None
        self._expect = Expect.SIZE
        self._line = bytearray()
        self._left = 0
        self._signature = ""
        self._digest = hashlib.sha256()

    @property
    def finished(self) -> bool:
        return self._expect is Expect.NOTHING

    def feed(self, data: bytes | bytearray) -> Iterator[memoryview]:
        view = memoryview(data)
        while view:
            if self._expect is Expect.DATA:
                piece, view = view[: self._left], view[self._left :]
                yield self._take(piece)
            elif self._expect is Expect.NOTHING:
                raise S3Error("IncompleteBody", "Bytes follow the end of the body")
            else:
                view = self._take_line(view)

    def _take(self, piece: memoryview) -> memoryview:
        self._left -= len(piece)
        if self._signer:
            self._digest.update(piece)
        if not self._left:
            self._check_chunk()
            self._expect = Expect.END_OF_DATA
        return piece

    def _take_line(self, view: memoryview) -> memoryview:
        """Collect up to the end of a line, act on it when it is whole, return the rest."""
        end = bytes(view[:LINE_BYTES]).find(b"\n") + 1
        self._line += view[: end or LINE_BYTES]
        if len(self._line) > LINE_BYTES:
            raise S3Error("IncompleteBody", "The body is not framed as announced")
        if end:
            line = self._line.decode("latin-1").rstrip("\r\n")
            self._line.clear()
            self._act_on(line)
        return view[end or LINE_BYTES :]

    def _act_on(self, line: str) -> None:
        if self._expect is Expect.SIZE:
            self._open_chunk(line)
        elif self._expect is Expect.TRAILER:
            self._add_trailer(line)
        elif line:
            raise S3Error("IncompleteBody", "A chunk is longer than its size")
        else:
            self._expect = Expect.SIZE

    def _open_chunk(self, line: str) -> None:
        size, _, extension = line.partition(";")
        self._signature = extension.partition("chunk-signature=")[2]
        try:
            self._left = int(size, 16)
        except ValueError:
            raise S3Error("IncompleteBody", "A chunk has no size") from None
        if self._left:
            self._expect = Expect.DATA
        else:
            self._check_chunk()
            self._expect = Expect.TRAILER

    def _check_chunk(self) -> None:
        if self._signer:
            digests = [EMPTY, self._digest.hexdigest()]
            self._signer.check("PAYLOAD", digests, self._signature)
            self._digest = hashlib.sha256()

    def _add_trailer(self, line: str) -> None:
        name, separator, value = line.partition(":")
        if separator:
            self.trailers[name.strip().lower()] = value.strip()
            return
        signature = self.trailers.pop("x-amz-trailer-signature", "")
        if self._signer and self.trailers:
            text = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            digest = hashlib.sha256(text.encode("latin-1")).hexdigest()
            self._signer.check("TRAILER", [digest], signature)
        self._expect = Expect.NOTHING
