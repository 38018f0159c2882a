import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from models.egress import Egress, open_egress
from models.egress_rules import EgressRules
from models.errors import AddressRefused, AddressUnavailable, InvalidInput, NotFound
from models.settings import EgressSettings
from tests.receiver import Receiver, Reply, answer, babble, drip, flood, hang, open_receiver

NAME = "hooks.example"
PUBLIC = "93.184.215.14"


class Names:
    """A resolver that gives its answers in turn, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def calling(
    receiver: Receiver, *answers: list[str], allowed: bool = True, ca: Path | None = None
) -> AsyncIterator[Egress]:
    """Open an egress for which every name leads to 127.0.0.1, unless the test says otherwise."""
    settings = EgressSettings.model_validate(
        {
            "allowed_ranges": ["127.0.0.0/8"] if allowed else [],
            "ports": [receiver.port],
            "allow_http": True,
            "ca_file": ca,
        }
    )
    names = Names(*(answers or (["127.0.0.1"],)))
    async with open_egress(settings, EgressRules(settings, names)) as egress:
        yield egress


async def post(egress: Egress, url: str, *, seconds: float = 5, keep: int = 64) -> int:
    return (await egress.post(url, b"{}", headers={"x-a": "b"}, seconds=seconds, keep=keep)).status


async def test_sends_under_the_name_to_the_judged_address() -> None:
    async with (
        open_receiver(answer(202, b"thanks", x_id="7")) as receiver,
        calling(receiver) as egress,
    ):
        said = await egress.post(
            receiver.url(host=NAME), b'{"a":1}', headers={"x-a": "b"}, seconds=5, keep=4
        )

    assert (said.status, said.body, said.headers["x-id"]) == (202, b"than", "7")
    (received,) = receiver.requests
    assert (received.method, received.path, received.body) == ("POST", "/hook", b'{"a":1}')
    assert received.headers["host"] == f"{NAME}:{receiver.port}"
    assert (received.headers["x-a"], received.headers["accept-encoding"]) == ("b", "identity")


async def test_s41_a_name_that_leads_elsewhere_at_the_second_look_is_not_connected_to() -> None:
    async with (
        open_receiver() as receiver,
        calling(receiver, [PUBLIC], ["127.0.0.1"], allowed=False) as egress,
    ):
        url = receiver.url(host=NAME)
        await egress.require(url)  # as when the webhook was created

        with pytest.raises(AddressRefused):
            await post(egress, url)
        with pytest.raises(AddressRefused):
            await egress.read(url, limit=10, seconds=5)

    assert receiver.connections == 0


async def test_s41_a_name_is_resolved_once_for_its_connection() -> None:
    async with open_receiver() as receiver:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        settings = EgressSettings.model_validate(
            {"allowed_ranges": ["127.0.0.0/8"], "ports": [receiver.port], "allow_http": True}
        )
        async with open_egress(settings, EgressRules(settings, names)) as egress:
            assert await post(egress, receiver.url(host=NAME)) == 200

    assert (names.asked, receiver.connections) == (1, 1)


async def test_s41_redirects_are_answers_and_are_not_followed() -> None:
    async with (
        open_receiver() as inside,
        open_receiver(answer(301, location=inside.url())) as receiver,
        calling(receiver) as egress,
    ):
        assert await post(egress, receiver.url()) == 301
        with pytest.raises(InvalidInput, match="answered 301"):
            await egress.read(receiver.url(), limit=10, seconds=5)

    assert inside.connections == 0


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_receiver() as proxy, open_receiver() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        async with calling(receiver) as egress:
            assert await post(egress, receiver.url(host=NAME)) == 200

    assert (proxy.connections, receiver.connections) == (0, 1)


@pytest.mark.parametrize("reply", [hang, drip], ids=["hangs", "drips"])
async def test_the_time_is_bounded_all_in_all(reply: Reply) -> None:
    async with open_receiver(reply) as receiver, calling(receiver) as egress:
        with pytest.raises(AddressUnavailable, match="in time"):
            await post(egress, receiver.url(), seconds=0.3, keep=1_000_000)
        with pytest.raises(AddressUnavailable, match="in time"):
            await egress.read(receiver.url(), limit=1_000_000, seconds=0.3)


async def test_ten_gigabytes_are_not_read() -> None:
    async with open_receiver(flood) as receiver, calling(receiver) as egress:
        said = await egress.post(receiver.url(), b"", headers={}, seconds=10, keep=64 * 1024)
        with pytest.raises(InvalidInput, match="larger than 100000 bytes"):
            await egress.read(receiver.url(), limit=100_000, seconds=10)

    assert (said.status, len(said.body)) == (200, 64 * 1024)


async def test_what_is_no_http_and_what_nobody_serves_is_unavailable() -> None:
    async with open_receiver(babble) as receiver, calling(receiver) as egress:
        with pytest.raises(AddressUnavailable, match="does not speak HTTP"):
            await post(egress, receiver.url())
    async with calling(receiver) as egress:
        with pytest.raises(AddressUnavailable, match="connection failed"):
            await post(egress, receiver.url())


async def test_certificates_are_checked_for_the_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(server)
    async with open_receiver(tls=server) as receiver:
        good, other = (receiver.url(scheme="https", host=h) for h in (NAME, "other.example"))
        async with calling(receiver, ca=ca_file) as egress:
            assert await post(egress, good) == 200
            with pytest.raises(AddressUnavailable, match="certificate"):
                await post(egress, other)
        async with calling(receiver) as egress:
            with pytest.raises(AddressUnavailable, match="certificate"):
                await post(egress, good)


async def test_reads_what_lies_at_an_address_in_chunks() -> None:
    body = bytes(range(256)) * 1000
    async with open_receiver(answer(200, body)) as receiver, calling(receiver) as egress:
        assert await egress.read(receiver.url("/a?b=c"), limit=len(body), seconds=5) == body

    assert (receiver.requests[0].method, receiver.requests[0].path) == ("GET", "/a?b=c")


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {}, NotFound), (410, {}, NotFound), (403, {}, InvalidInput), (204, {}, InvalidInput),
        (500, {}, AddressUnavailable), (429, {}, AddressUnavailable),
        (200, {"content_encoding": "gzip"}, InvalidInput),
    ],
)  # fmt: skip
async def test_says_why_an_address_could_not_be_read(
    status: int, headers: dict[str, str], error: type[Exception]
) -> None:
    async with (
        open_receiver(answer(status, b"", **headers)) as receiver,
        calling(receiver) as egress,
    ):
        with pytest.raises(error):
            await egress.read(receiver.url(), limit=10, seconds=5)


async def test_a_reader_that_leaves_early_gives_its_connection_back() -> None:
    async with open_receiver(flood) as receiver, calling(receiver) as egress:
        chunks = egress.stream(receiver.url(), limit=10**9, seconds=10)
        await anext(chunks)
        await chunks.aclose()
        async with asyncio.timeout(20):
            while receiver.open:
                await asyncio.sleep(0.01)
