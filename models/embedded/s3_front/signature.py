"""AWS Signature Version 4, checked: in the Authorization header and in a presigned query.

Who may do what is not decided here: one key pair may do everything, nobody else anything.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.wire import Wire, encode

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
SKEW: Final = timedelta(minutes=15)
LONGEST_EXPIRY: Final = 7 * 24 * 3600  # seconds, S3's own limit
STAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Credential:
    """The scope that a signature names: whose key, which day, region and service."""

    access_key: str
    day: str
    region: str
    service: str

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature; nothing of it is believed yet."""

    credential: Credential
    signed_headers: tuple[str, ...]
    signature: str
    stamp: str
    payload: str
    pairs: tuple[tuple[str, str], ...]
    expires: int | None = None

    @property
    def time(self) -> datetime:
        return parse_stamp(self.stamp)


@dataclass(frozen=True, slots=True)
class Proof:
    """A signature that held: how the body is protected, and the seed of its chunk signatures."""

    payload: str
    key: bytes
    stamp: str
    scope: str
    signature: str


def verify(wire: Wire, secrets: Mapping[str, str], now: datetime) -> Proof:
    """Check the signature of a request, or refuse it as S3 does."""
    claim = read_claim(wire)
    secret = secrets.get(claim.credential.access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId")
    refuse_unsigned_headers(wire, claim)
    key = signing_key(secret, claim.credential)
    text = string_to_sign(claim.stamp, claim.credential.scope, canonical_request(wire, claim))
    if not hmac.compare_digest(sign(key, text).encode(), claim.signature.encode()):
        raise S3Error("SignatureDoesNotMatch")
    check_time(claim, now)
    return Proof(claim.payload, key, claim.stamp, claim.credential.scope, claim.signature)


def read_claim(wire: Wire) -> Claim:
    if "authorization" in wire.headers:
        return claim_in_header(wire)
    if "X-Amz-Algorithm" in wire.query:
        return claim_in_query(wire)
    if "AWSAccessKeyId" in wire.query:
        raise S3Error(
            "InvalidRequest", "Signature version 2 is not supported; use AWS4-HMAC-SHA256"
        )
    raise S3Error("AccessDenied")


def claim_in_header(wire: Wire) -> Claim:
    kind, _, rest = wire.headers["authorization"].partition(" ")
    if kind != ALGORITHM:
        raise S3Error("InvalidRequest", f"The authorization mechanism must be {ALGORITHM}")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    payload = wire.headers.get("x-amz-content-sha256")
    if payload is None:
        raise S3Error("InvalidRequest", "Missing required header: x-amz-content-sha256")
    try:
        return Claim(
            credential=parse_credential(fields["Credential"]),
            signed_headers=tuple(fields["SignedHeaders"].split(";")),
            signature=fields["Signature"],
            stamp=wire.headers["x-amz-date"],
            payload=payload,
            pairs=wire.pairs,
        )
    except (KeyError, ValueError):
        raise S3Error("AuthorizationHeaderMalformed") from None


def claim_in_query(wire: Wire) -> Claim:
    query = wire.query
    try:
        if query["X-Amz-Algorithm"] != ALGORITHM:
            raise ValueError(query["X-Amz-Algorithm"])
        signed_headers = tuple(query["X-Amz-SignedHeaders"].split(";"))
        hashed = "x-amz-content-sha256" in signed_headers
        return Claim(
            credential=parse_credential(query["X-Amz-Credential"]),
            signed_headers=signed_headers,
            signature=query["X-Amz-Signature"],
            stamp=query["X-Amz-Date"],
            payload=wire.headers["x-amz-content-sha256"] if hashed else UNSIGNED,
            pairs=tuple(pair for pair in wire.pairs if pair[0] != "X-Amz-Signature"),
            expires=parse_expiry(query["X-Amz-Expires"]),
        )
    except (KeyError, ValueError):
        raise S3Error("AuthorizationQueryParametersError") from None


def parse_credential(text: str) -> Credential:
    access_key, day, region, service, end = text.rsplit("/", 4)
    if service != "s3" or end != "aws4_request":
        raise ValueError(text)
    return Credential(access_key, day, region, service)


def parse_expiry(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= LONGEST_EXPIRY:
        raise ValueError(text)
    return seconds


def parse_stamp(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise S3Error("AccessDenied", "The request carries no valid date") from None


def refuse_unsigned_headers(wire: Wire, claim: Claim) -> None:
    """An `x-amz-` header or a host outside the signature could be anybody's addition."""
    signed = set(claim.signed_headers)
    # A presigned URL is made before its body is known, so its hash may come unsigned.
    free = {"x-amz-content-sha256"} if claim.expires is not None else set()
    arrived = {name for name in wire.headers if name.startswith("x-amz-")} - free
    if unsigned := sorted((arrived | {"host"}) - signed):
        raise S3Error("AccessDenied", f"Headers present but not signed: {', '.join(unsigned)}")


def check_time(claim: Claim, now: datetime) -> None:
    if not claim.stamp.startswith(claim.credential.day):
        raise S3Error("SignatureDoesNotMatch", "The credential's day is not the request's")
    if claim.expires is None:
        if abs(now - claim.time) > SKEW:
            raise S3Error("RequestTimeTooSkewed")
    elif now > claim.time + timedelta(seconds=claim.expires):
        raise S3Error("AccessDenied", "Request has expired")
    elif claim.time > now + SKEW:
        raise S3Error("AccessDenied", "Request is not valid yet")


def canonical_request(wire: Wire, claim: Claim) -> str:
    pairs = sorted((encode(name), encode(value)) for name, value in claim.pairs)
    headers = [f"{name}:{canonical_header(wire, name)}" for name in claim.signed_headers]
    return "\n".join(
        [
            wire.method,
            wire.raw_path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *headers,
            "",
            ";".join(claim.signed_headers),
            claim.payload,
        ]
    )


def canonical_header(wire: Wire, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in wire.headers.getlist(name))


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    # Headers were decoded as latin-1: encoding them back gives the bytes of the wire.
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    return "\n".join([ALGORITHM, stamp, scope, digest])


def sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=64)  # one per day, region and key pair
def signing_key(secret: str, credential: Credential) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in (credential.day, credential.region, credential.service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key
