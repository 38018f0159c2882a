"""Traces that nobody asked for: nothing is recorded, stored or loaded."""

import subprocess
import sys

import pytest

from models import traces
from models.errors import Misconfigured
from models.settings import TraceSettings
from models.traces import setup_traces, span, span_below, span_within, traceparent

# As if it were not installed: what is absent cannot be asked for.
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from models.settings import TraceSettings
from models.traces import setup_traces, span, traceparent
import workers.batches
setup_traces("worker", TraceSettings())
with span("one"):
    print(traceparent())
"""
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_nothing_of_opentelemetry_is_needed_unless_it_is_wanted() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "None"


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
