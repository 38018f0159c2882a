"""Traces that nobody asked for: nothing is recorded, stored or loaded."""

import subprocess
import sys

import pytest

from models import traces
from models.errors import Misconfigured
from models.settings import TraceSettings
from models.traces import setup_traces, span, span_below, span_within, traceparent

LOADED = "import sys, models.traces, workers.batches; print('opentelemetry.sdk' in sys.modules)"
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_no_sdk_is_loaded_unless_it_is_wanted() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "False"


def test_nothing_is_recorded_unless_it_is_wanted() -> None:
    setup_traces("test", TraceSettings())

    with span("one", parent=PARENT), span_within("two"), span_below("three", PARENT):
        assert traceparent() is None


def test_an_absent_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(Misconfigured) as refused:
        setup_traces("test", TraceSettings(endpoint="http://127.0.0.1:1/v1/traces"))

    assert refused.value.hint == "Install strata[otel]."
    assert traces._tracer is None
