"""Every metric of Strata, in Prometheus' terms; who counts is where it happens.

Labels have few values, all of them ours: states, stages, codes, root fields of the schema, versions
of extractors. Never an id, a name or anything else that users make.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each: of no use here
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_SECONDS: Final = (0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

# The API.
OPERATIONS: Final = Counter(
    "strata_operations",
    "GraphQL operations that came to an answer, by their first error's code.",
    ["kind", "field", "outcome"],
)
OPERATION_SECONDS: Final = Histogram(
    "strata_operation_seconds",
    "Time from an operation that is ready to run to its answer.",
    ["kind", "field"],
    buckets=_SECONDS,
)
SUBSCRIPTIONS: Final = Gauge("strata_subscriptions", "Subscriptions that run.", ["field"])
FRAMES: Final = Counter("strata_frames", "Results given to subscribers.", ["field"])
SOCKETS: Final = Gauge("strata_sockets", "Websockets that are open.")
ANSWERS: Final = Counter(
    "strata_answers", "Answers that may be cached, by what the cache did.", ["kind", "status"]
)

# The control plane: the API and the workers.
BATCH_EVENTS: Final = Counter(
    "strata_batch_events", "Changes of batches that this process made.", ["type"]
)
HEALED: Final = Counter(
    "strata_batches_healed", "Batches that were put right, by what was wrong.", ["damage"]
)
ORPHANS: Final = Counter(
    "strata_orphans", "Files of lost attempts that were removed; some were gone already."
)
SWEEPS: Final = Counter("strata_sweeps", "Sweeps over what may have got lost.", ["kind"])
SWEEP_SECONDS: Final = Histogram(
    "strata_sweep_seconds", "Time of a sweep.", ["kind"], buckets=_LONG_SECONDS
)
DELIVERIES: Final = Counter(
    "strata_webhook_attempts",
    "Attempts to deliver to a webhook, by what became of it.",
    ["outcome"],
)
DELIVERY_SECONDS: Final = Histogram(
    "strata_webhook_attempt_seconds", "Time until a receiver answered.", buckets=_SECONDS
)
MESSAGES_REFUSED: Final = Counter(
    "strata_messages_refused", "Messages of the queue that were not run.", ["reason"]
)
DROPPED: Final = Counter("strata_answers_dropped", "Cached answers that were dropped.", ["scope"])

# The state as a worker measures it between sweeps: the same from every worker, so take the maximum.
BATCHES: Final = Gauge("strata_batches", "Batches that have not ended, by state.", ["status"])
OLDEST_BATCH: Final = Gauge(
    "strata_oldest_batch_seconds", "Age of the submitted batch that has not ended for longest."
)
BLOCKS_OPEN: Final = Gauge("strata_blocks_open", "Blocks of live batches that have not ended.")
QUEUE: Final = Gauge("strata_queue_messages", "Dramatiq messages that wait.", ["queue"])
UNPLACED: Final = Gauge("strata_log_unplaced", "Entries of the log that wait for their place.")
PENDING: Final = Gauge("strata_webhook_pending", "Deliveries that wait, due or not.")
OLDEST_PENDING: Final = Gauge(
    "strata_webhook_oldest_seconds", "How long the delivery that is due for longest has been due."
)
MEASURED_AT: Final = Gauge("strata_measured_timestamp_seconds", "When the state was measured.")

# A conductor: the engine's process on Ray.
BLOCKS: Final = Counter(
    "strata_blocks", "Attempts at blocks, by how they ended.", ["extractor", "outcome"]
)
ROWS: Final = Counter("strata_rows", "Rows of committed blocks.", ["extractor", "outcome"])
DOCUMENTS: Final = Counter("strata_documents", "Documents written.", ["extractor"])
STAGE_SECONDS: Final = Histogram(
    "strata_block_stage_seconds",
    "Time of a block in a stage: read, extract, store, commit.",
    ["extractor", "stage"],
    buckets=_LONG_SECONDS,
)
BLOCKS_RUNNING: Final = Gauge("strata_blocks_running", "Blocks that this conductor works on.")
RUNS: Final = Gauge("strata_batches_running", "Batches that this conductor runs.")
# The keeper of the conductors: `strata engine`.
WARM: Final = Gauge("strata_engine_warm", "1 while every conductor answers.")
