"""XML in and out: replies built from strings, documents read without entities."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape

from starlette.responses import Response

from models.embedded.s3_front.errors import S3Error

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# Characters XML has no way to write plainly; S3 writes their number, as we do.
UNSPEAKABLE: Final = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def text(name: str, value: object) -> str:
    """An element with text; a bool is spelled as XML does."""
    words = str(value).lower() if isinstance(value, bool) else str(value)
    safe = UNSPEAKABLE.sub(lambda match: f"&#x{ord(match[0]):x};", escape(words))
    return f"<{name}>{safe}</{name}>"


def element(name: str, *children: str) -> str:
    return f"<{name}>{''.join(children)}</{name}>"


def reply(root: str, *children: str, headers: Mapping[str, str] | None = None) -> Response:
    body = f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{"".join(children)}</{root}>'
    return Response(body.encode(), media_type="application/xml", headers=headers)


def error_reply(error: S3Error, *, resource: str, request_id: str) -> Response:
    body = DECLARATION + element(
        "Error",
        text("Code", error.code),
        text("Message", error.message),
        text("Resource", resource),
        text("RequestId", request_id),
    )
    return Response(
        body.encode(),
        status_code=error.status,
        media_type="application/xml",
        headers=error.headers,
    )


def iso_time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def parse(document: bytes, root: str) -> Element:
    """Read a document whose root has this name; namespaces fall away, a DOCTYPE is refused."""
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", "}")
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = lambda name, attributes: builder.start(local(name), attributes)
    parser.EndElementHandler = lambda name: builder.end(local(name))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(document, True)
    except expat.ExpatError:
        raise S3Error("MalformedXML") from None
    tree = builder.close()
    if tree.tag != root:
        raise S3Error("MalformedXML", f"Expected {root}, found {tree.tag}")
    return tree


def refuse_doctype(*_: object) -> None:
    raise S3Error("MalformedXML", "A document type is not accepted")


def local(name: str) -> str:
    return name.rpartition("}")[2]


def required(parent: Element, name: str) -> str:
    value = parent.findtext(name)
    if value is None:
        raise S3Error("MalformedXML", f"{name} is missing")
    return value
