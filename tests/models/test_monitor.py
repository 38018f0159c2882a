"""The monitor of a process: metrics, health, readiness, and nothing that users made."""

import http.client
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models import metrics
from models.errors import Misconfigured
from models.monitor import monitored


def get(port: int | None, path: str) -> tuple[int, str]:
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_shows_what_was_counted() -> None:
    before = metrics.SWEEPS.labels("test")._value.get()
    metrics.SWEEPS.labels("test").inc(3)

    with monitored("127.0.0.1", 0, lambda: True) as port:
        status, text = get(port, "/metrics")

    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert status == 200
    (sample,) = [one for one in families["strata_sweeps"].samples if one.labels == {"kind": "test"}]
    assert sample.value == before + 3
    assert "process_resident_memory_bytes" in families


def test_is_ready_when_its_process_is() -> None:
    ready = False

    with monitored("127.0.0.1", 0, lambda: ready) as port:
        early = get(port, "/readyz")[0]
        ready = True
        late = get(port, "/readyz")[0]
        alive, nowhere = get(port, "/healthz")[0], get(port, "/")[0]

    assert (early, late, alive, nowhere) == (503, 200, 200, 404)


def test_listens_nowhere_without_a_port() -> None:
    with monitored("127.0.0.1", None, lambda: True) as port:
        assert port is None


def test_says_which_port_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(Misconfigured, match="Metrics cannot be served"),
        monitored("127.0.0.1", taken.getsockname()[1], lambda: True),
    ):
        pass


def test_no_label_can_hold_what_users_make() -> None:
    bounded = {
        "kind", "field", "outcome", "status", "type", "scope", "queue", "extractor", "stage",
        "damage", "reason",
    }  # fmt: skip
    ours = [one for one in vars(metrics).values() if hasattr(one, "_labelnames")]

    assert len(ours) > 20
    assert {label for one in ours for label in one._labelnames} <= bounded
    assert all(one._name.startswith("strata_") and one._documentation for one in ours)
