"""Ports, proxies and the patient probe."""

import socket
from contextlib import ExitStack
from pathlib import Path

from models.embedded.http_probe import HttpProbe
from models.embedded.loopback import (
    bypass_proxies,
    free_port,
    is_listening,
    listening_socket,
    port_of,
    reserved_port,
)
from tests.models.embedded.programs import await_that


def test_reserved_port_is_nobody_elses_and_silent() -> None:
    with reserved_port() as held:
        assert not is_listening(port_of(held))
        assert free_port() != port_of(held)


def test_free_port_is_never_one_that_the_kernel_hands_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]

        assert port_of(listening) >= int(ephemeral) > free_port()


def test_free_port_passes_over_what_is_held() -> None:
    with ExitStack() as held:
        ports = []
        for _ in range(20):
            ports.append(free_port())
            held.enter_context(socket.create_server(("127.0.0.1", ports[-1])))
        taken = held.enter_context(socket.create_server(("127.0.0.1", ports[-1] + 1)))

        assert free_port() not in {*ports, port_of(taken)}
    assert len(set(ports)) == 20


def test_listening_socket_queues_before_anyone_accepts() -> None:
    with listening_socket() as listening:
        assert is_listening(port_of(listening))


def test_proxies_are_bypassed_once_and_others_kept() -> None:
    environment = {"NO_PROXY": "example.org,localhost"}

    bypass_proxies(environment)
    bypass_proxies(environment)

    assert environment == {
        "NO_PROXY": "example.org,localhost,127.0.0.1",
        "no_proxy": "127.0.0.1,localhost",
    }


def test_probe_does_not_wait_for_its_answer() -> None:
    with listening_socket() as listening:
        probe = HttpProbe(port_of(listening), "/readyz")
        assert not probe()

        _answer(listening, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        await_that(probe)


def test_probe_takes_an_error_for_a_no() -> None:
    with listening_socket() as listening:
        probe = HttpProbe(port_of(listening), "/readyz")
        probe()
        _answer(listening, b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

        assert not probe()
        probe.close()


def test_probe_of_a_closed_port_is_a_no() -> None:
    assert not HttpProbe(free_port(), "/readyz")()


def _answer(listening: socket.socket, answer: bytes) -> None:
    accepted, _ = listening.accept()
    with accepted:
        assert accepted.recv(4096).startswith(b"GET /readyz HTTP/1.1\r\n")
        accepted.sendall(answer)
