"""The stored CORS rules of a bucket, applied: preflight answers and response headers."""

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import Response

from models.embedded.s3_front.buckets import find_configuration
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.markup import parse
from models.embedded.s3_front.store import Store
from models.embedded.s3_front.wire import split_path


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do what from another origin."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age: str | None

    def allows(self, origin: str, method: str, headers: list[str]) -> bool:
        return (
            method in self.methods
            and any(fits(pattern, origin) for pattern in self.origins)
            and all(any(fits(item, name) for item in self.headers) for name in headers)
        )


def fits(pattern: str, text: str) -> bool:
    """One `*` stands for anything, as in S3's rules."""
    expression = ".*".join(re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(expression, text.lower()) is not None


def read_rules(store: Store, request: Request) -> list[Rule]:
    try:
        bucket, _ = split_path(request.scope["raw_path"].decode("latin-1"))
        document = find_configuration(store.index.reading, bucket, "cors")
    except S3Error:
        return []
    tree = parse(document, "CORSConfiguration") if document else None
    return [read_rule(item) for item in tree.iterfind("CORSRule")] if tree is not None else []


def read_rule(item: Element) -> Rule:
    def words(name: str) -> tuple[str, ...]:
        return tuple((child.text or "").strip() for child in item.iterfind(name))

    return Rule(
        origins=words("AllowedOrigin"),
        methods=words("AllowedMethod"),
        headers=words("AllowedHeader"),
        exposed=words("ExposeHeader"),
        max_age=item.findtext("MaxAgeSeconds"),
    )


def cors_headers(store: Store, request: Request) -> dict[str, str]:
    """What a browser must read in the answer, when a rule lets its page have it."""
    origin = request.headers["origin"]
    method = request.headers.get("access-control-request-method", request.method)
    for rule in read_rules(store, request):
        if rule.allows(origin, method, asked_headers(request)):
            everyone = "*" in rule.origins
            headers = {"access-control-allow-origin": "*" if everyone else origin, "vary": "Origin"}
            if rule.exposed:
                headers["access-control-expose-headers"] = ", ".join(rule.exposed)
            return headers
    return {}


def preflight(store: Store, request: Request) -> Response:
    origin = request.headers.get("origin")
    method = request.headers.get("access-control-request-method")
    if not origin or not method:
        raise S3Error("InvalidRequest", "A preflight names its origin and its method")
    asked = asked_headers(request)
    for rule in read_rules(store, request):
        if rule.allows(origin, method, asked):
            headers = {"access-control-allow-methods": ", ".join(rule.methods)}
            if asked:
                headers["access-control-allow-headers"] = ", ".join(asked)
            if rule.max_age:
                headers["access-control-max-age"] = rule.max_age
            return Response(headers=headers)
    raise S3Error("AccessForbidden")


def asked_headers(request: Request) -> list[str]:
    names = request.headers.get("access-control-request-headers", "").split(",")
    return [name.strip() for name in names if name.strip()]
