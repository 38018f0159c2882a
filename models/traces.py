"""Traces: one id from a mutation through the worker, the block and its writes to the webhook.

Off unless an address is set, and then nothing of OpenTelemetry is needed. What connects processes
is a W3C traceparent: it is stored with the batch when it is submitted, goes with its events into
the deliveries, and stands in the header of the webhook's request.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from models.errors import Misconfigured
from models.logs import bound, bound_fields
from models.settings import TraceSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)
_HEADER: Final = "traceparent"
_LONGEST: Final = 128  # characters of a traceparent that is looked at
_tracer: "Tracer | None" = None


def setup_traces(process: str, settings: TraceSettings) -> None:
    """Send this process's spans to the collector that the settings name, if they name one.

    Raises:
        Misconfigured: the extra `otel` is not installed.
    """
    global _tracer
    if settings.endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise Misconfigured(
            "STRATA_TRACES__ENDPOINT is set, and OpenTelemetry is not installed.",
            hint="Install strata[otel].",
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"strata-{process}"}),
        sampler=ParentBased(TraceIdRatioBased(settings.sampled)),
    )
    exporter = OTLPSpanExporter(endpoint=settings.endpoint)
    processor = BatchSpanProcessor(
        exporter, schedule_delay_millis=round(settings.export_seconds * 1000)
    )
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("strata")


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """Record a piece of work, below `parent` or else below the one that is under way."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None
    if parent is not None:
        context = TraceContextTextMapPropagator().extract({_HEADER: parent[:_LONGEST]})
    named = {f"strata.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(name, context, attributes=named) as opened:
        own = opened.get_span_context()
        with bound(trace_id=f"{own.trace_id:032x}", span_id=f"{own.span_id:016x}"):
            yield


@contextmanager
def span_below(name: str, parent: str | None, **attributes: str | int) -> Iterator[None]:
    """Record a piece of work of a trace that was stored; nothing without one."""
    if parent is None:
        yield
        return
    with span(name, parent=parent, **attributes):
        yield


def span_within(name: str, **attributes: str | int) -> AbstractContextManager[None]:
    """Record a part of the work that is under way; nothing outside of a trace."""
    if _tracer is None or "trace_id" not in bound_fields():
        return nullcontext()
    return span(name, parent=None, **attributes)


def traceparent() -> str | None:
    """Return what continues the trace that is under way; None outside of one."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(_HEADER)
