"""What the S3 contract runs on: the front as a real child process, or any store by its URL.

Stopping, killing and starting the front again on its folder is part of the contract, so tests get
a handle and not only an address. The signer here is written from the specification, apart from
the server's, so that the two check each other.
"""

import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aioboto3
from aiobotocore.config import AioConfig

START_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.02


REGION: Final = "us-east-1"
PLAIN: Final = AioConfig(signature_version="s3v4", s3={"addressing_style": "path"})
# For what botocore would try again although it is refused, and for writers that meet a kill.
ONE_ATTEMPT: Final = PLAIN.merge(AioConfig(retries={"total_max_attempts": 1}))


@dataclass(frozen=True)
class S3Endpoint:
    """An address and its key pair."""

    url: str
    access_key: str
    secret_key: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def client(self, *, config: AioConfig = PLAIN, secret_key: str = "") -> Any:
        """An unmodified aioboto3 client, to be entered."""
        return aioboto3.Session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name=REGION,
            config=config,
        )

    def signing_key(self, day: str) -> bytes:
        key = f"AWS4{self.secret_key}".encode()
        for step in (day, REGION, "s3", "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
        return key

    def sign(
        self, method: str, path: str, payload: str, when: datetime, **more: str
    ) -> dict[str, str]:
        """Headers of a signed request; `payload` is the body's hash or a word for it."""
        stamp = f"{when:%Y%m%dT%H%M%SZ}"
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        headers = {"host": self.host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        names = ";".join(sorted(headers))
        lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
        canonical = "\n".join([method, path, "", *lines, "", names, payload])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self.sign_text(f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}", stamp[:8])
        credential = f"Credential={self.access_key}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def sign_text(self, text: str, day: str) -> str:
        return hmac.new(self.signing_key(day), text.encode(), hashlib.sha256).hexdigest()


def given_endpoint() -> S3Endpoint | None:
    """The store named in the environment, if one is."""
    url = os.environ.get("STRATA_TEST_S3_URL")
    if not url:
        return None
    return S3Endpoint(
        url, os.environ["STRATA_TEST_S3_ACCESS_KEY"], os.environ["STRATA_TEST_S3_SECRET_KEY"]
    )


@dataclass
class FrontServer:
    """One data folder and, most of the time, the process that serves it."""

    data: Path
    fsync: bool = False
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20))
    arguments: tuple[str, ...] = ()
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> S3Endpoint:
        return S3Endpoint(self.url, self.access_key, self.secret_key)

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def start(self) -> None:
        self.process, port = self.spawn()
        self.url = f"http://127.0.0.1:{port}"
        self._await_health()

    def spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("ab") as log:
            fd = listener.fileno()
            command = [sys.executable, "-m", "models.embedded.s3_front", "--fd", str(fd)]
            process = subprocess.Popen(
                [*command, "--data", str(self.data), *self.arguments],
                pass_fds=[fd],
                stderr=log,
                env=os.environ
                | {
                    "STRATA_EMBEDDED_S3_ACCESS_KEY": self.access_key,
                    "STRATA_EMBEDDED_S3_SECRET_KEY": self.secret_key,
                    "STRATA_EMBEDDED_S3_FSYNC": "1" if self.fsync else "0",
                },
            )
            return process, int(listener.getsockname()[1])

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, no farewell."""
        assert self.process
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self) -> int:
        """End it politely; returns the exit status."""
        assert self.process
        self.process.terminate()
        status = self.process.wait(15)
        self.process = None
        return status

    def blob_files(self) -> set[Path]:
        return {path for path in (self.data / "blobs").rglob("*") if path.is_file()}

    def await_blob(self) -> None:
        """Wait until a body has begun to arrive."""
        while not self.blob_files():
            time.sleep(POLL_SECONDS / 4)

    def await_no_blob(self) -> None:
        """Wait until no body is left."""
        while self.blob_files():
            time.sleep(POLL_SECONDS / 4)

    def _await_health(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            assert self.process
            assert self.process.poll() is None, self.log.read_text()
            try:
                with opener.open(f"{self.url}/-/health", timeout=2) as answer:
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(POLL_SECONDS)
        raise TimeoutError(self.log.read_text())
