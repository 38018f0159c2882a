"""Receive Strata's webhooks: check the signature, pass over doubles, print a line an event.

    python receive_webhooks.py --secret whsec_... --port 8400

Needs nothing but Python 3.11. Behind it stands the Standard Webhooks specification: any of its
libraries does the same check. Give --secret twice while a secret is being rotated.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

TOLERANCE_SECONDS: Final = 300  # of age: an old request may be a recorded one
REMEMBERED_EVENTS: Final = (
    10_000  # a real receiver keeps the ids with what it does, in one transaction
)
LARGEST_BODY: Final = 1024 * 1024


class Unverified(Exception):
    """The request is not, or not now, from Strata."""


def verify(
    secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, moment: float
) -> str:
    """Return the event's id.

    Raises:
        Unverified: a header is missing, the time is off, or no signature fits.
    """
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not event_id or not (timestamp.isascii() and timestamp.isdigit()):
        raise Unverified("webhook-id or webhook-timestamp is missing")
    if abs(moment - int(timestamp)) > TOLERANCE_SECONDS:
        raise Unverified("too old, or from the future")
    content = f"{event_id}.{timestamp}.".encode() + body
    wanted = [hmac.digest(secret, content, hashlib.sha256) for secret in secrets]
    for signature in headers.get("webhook-signature", "").split():
        version, _, encoded = signature.partition(",")
        if version == "v1" and any(_same(digest, encoded) for digest in wanted):
            return event_id
    raise Unverified("no signature fits")


def _same(digest: bytes, encoded: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(base64.b64encode(digest), encoded.encode())


def parse_secret(text: str) -> bytes:
    """Return the key in a secret such as `whsec_MfKQ...`."""
    return base64.b64decode(text.removeprefix("whsec_"), validate=True)


class Receiver(ThreadingHTTPServer):
    """Listens, and remembers which events it has seen."""

    def __init__(self, address: tuple[str, int], secrets: Sequence[bytes]) -> None:
        super().__init__(address, Endpoint)
        self.secrets = secrets
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_new(self, event_id: str) -> bool:
        """Tell whether an event comes for the first time; it may come again under the same id."""
        new = event_id not in self._seen
        self._seen[event_id] = None
        while len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        return new


class Endpoint(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        """Say 204 quickly, and work afterwards: after 15 seconds Strata would ask again."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event_id = verify(self.server.secrets, headers, body, moment=time.time())
        except Unverified as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            self._answer(401)
            return
        self._answer(204)
        if self.server.is_new(event_id):
            print(line_of(json.loads(body)), flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print events only."""


def line_of(event: Mapping[str, Any]) -> str:
    """Return what is to be said of an event; order is not promised, so the position is."""
    subject = event["subject"]
    return f"{event.get('position', 0):>6}  {event['type']:<30} {subject['type']} {subject['id']}"


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and the secret also from STRATA_WEBHOOK_SECRET."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    secret = os.environ.get("STRATA_WEBHOOK_SECRET")
    parser.add_argument(
        "--secret", action="append", required=secret is None, help="as createWebhook showed it"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8400)
    chosen = parser.parse_args()
    chosen.secret = chosen.secret or [secret]
    return chosen


def main() -> None:
    """Receive until interrupted."""
    chosen = parse_arguments()
    secrets = [parse_secret(text) for text in chosen.secret]
    with Receiver((chosen.host, chosen.port), secrets) as receiver:
        print(f"Listening on http://{chosen.host}:{receiver.server_port}", flush=True)
        try:
            receiver.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
