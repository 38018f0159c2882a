"""S41: the addresses that lead inside, however they are written, as webhook or as object URL."""

from collections.abc import Sequence
from typing import Any

import pytest

from models.egress_rules import EgressRules, resolve_by_system
from models.errors import AddressRefused
from models.settings import EgressSettings

PUBLIC = "93.184.215.14"
INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.5", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.8", "192.88.99.1", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%lo", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1",
]  # fmt: skip
WRITTEN_OTHERWISE = [
    "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "localhost",
    "localhost.", "LOCALHOST", "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
]  # fmt: skip
NEVER_CALLED = [
    "http://example.com/", "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/",
    "//example.com/", "example.com", "", "https://", "https:///path", "https://user@example.com/",
    "https://user:pw@example.com/", "https://example.com@127.0.0.1/", "https://a b.example/",
    "https://exa\tmple.com/", "https://example.com\\@127.0.0.1/", "https://example.com\r\nx: y/",
    "https://example.com:22/", "https://example.com:6379/", "https://example.com:27017/",
    "https://example.com:6333/", "https://example.com:8265/", "https://example.com:99999/",
    "https://example.com:port/", "https://[::1/", "https://xn--a/".replace("xn--a", "\u00df\u0000"),
    "https://" + "a" * 3000 + ".example/",
]  # fmt: skip


def answering(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize("address", INSIDE)
async def test_refuses_an_address_that_leads_inside(address: str) -> None:
    rules = EgressRules(EgressSettings(), answering(address))

    with pytest.raises(AddressRefused, match="does not resolve to public addresses only"):
        await rules.require_public("hooks.example", 443)


@pytest.mark.parametrize("host", WRITTEN_OTHERWISE)
async def test_judges_what_a_host_resolves_to_and_not_its_text(host: str) -> None:
    rules = EgressRules(EgressSettings(), resolve_by_system)

    async def require() -> None:
        target = rules.parse(f"https://{host}/")
        await rules.require_public(target.host, target.port)

    with pytest.raises(AddressRefused):
        await require()


@pytest.mark.parametrize("url", NEVER_CALLED)
def test_refuses_what_is_never_called(url: str) -> None:
    with pytest.raises(AddressRefused):
        EgressRules(EgressSettings()).parse(url, path=("url",))


@pytest.mark.parametrize("inside", ["10.0.0.1", "::1"])
async def test_one_answer_that_leads_inside_is_enough(inside: str) -> None:
    rules = EgressRules(EgressSettings(), answering(PUBLIC, inside))

    with pytest.raises(AddressRefused):
        await rules.require_public("hooks.example", 443)


async def test_a_name_without_an_address_reads_like_one_that_leads_inside() -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise OSError("unknown")

    said = []
    for resolve in (fail, answering(), answering("10.0.0.1"), answering("not an address")):
        with pytest.raises(AddressRefused) as refused:
            await EgressRules(EgressSettings(), resolve).require_public("hooks.example", 443)
        said.append((refused.value.message, refused.value.hint))

    assert len(set(said)) == 1


async def test_public_addresses_pass() -> None:
    addresses = [PUBLIC, "2606:4700:4700::1111"]
    rules = EgressRules(EgressSettings(), answering(*addresses, f"::ffff:{PUBLIC}"))

    assert await rules.require_public("hooks.example", 443) == [*addresses, PUBLIC]


async def test_the_operator_allows_and_refuses_ranges() -> None:
    settings = EgressSettings.model_validate(
        {"allowed_ranges": ["10.1.0.0/16"], "refused_ranges": ["93.184.0.0/16", "10.1.9.0/24"]}
    )

    assert await EgressRules(settings, answering("10.1.2.3")).require_public("a", 443)
    for address in ("10.2.0.1", PUBLIC, "10.1.9.1", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            await EgressRules(settings, answering(address)).require_public("a", 443)


def test_splits_an_address_as_it_will_be_called() -> None:
    rules = EgressRules(EgressSettings(allow_http=True, ports=(80, 443)))

    plain = rules.parse("http://Hooks.Example.:80/a b".replace(" ", "%20") + "?q=\u00e9")
    foreign = rules.parse("https://b\u00fccher.example")

    assert (plain.scheme, plain.host, plain.port) == ("http", "hooks.example", 80)
    assert plain.path == "/a%20b?q=%C3%A9"
    assert (foreign.host, foreign.port, foreign.path) == ("xn--bcher-kva.example", 443, "/")
