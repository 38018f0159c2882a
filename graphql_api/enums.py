"""The models' enums as the schema shows them: types and inputs take them from here."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from models.bucket import WritePolicy
from models.errors import ErrorCategory
from models.fields import FieldType, VectorKind
from models.filters import FilterOperator
from models.observed import ObservedType
from models.schedule import CatchUp, Overlap, RunStatus, Selection
from models.states import BatchStatus, Lifecycle
from models.task import TaskType
from workers.batches import CancelMode
from workers.diagnosis.findings import FindingCategory, Health, Severity
from workers.intake import ErrorPolicy, RowOutcome
from workers.reopening import RetryMode

__all__ = [
    "BatchStatus",
    "CancelMode",
    "CatchUp",
    "ErrorCategory",
    "ErrorPolicy",
    "FieldType",
    "FilterOperator",
    "FindingCategory",
    "Health",
    "Lifecycle",
    "ObservedType",
    "Overlap",
    "RetryMode",
    "RowOutcome",
    "RunStatus",
    "Selection",
    "Severity",
    "TaskType",
    "VectorKind",
    "WritePolicy",
    "show_enum",
]


def show_enum(kind: type[StrEnum], description: str, values: Mapping[Any, str]) -> None:
    """Give an enum to the schema with a description of each value.

    Its members are strings: a sorted schema knows values only by equality.
    """
    strawberry.enum(kind, description=description)
    definition: StrawberryEnumDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[kind[value.name]]


show_enum(
    ObservedType,
    "What was seen in a field of documents.",
    {
        ObservedType.STRING: "Text.",
        ObservedType.INTEGER: "A whole number.",
        ObservedType.NUMBER: "A number with a fraction.",
        ObservedType.BOOLEAN: "True or false.",
        ObservedType.DATETIME: "A moment.",
        ObservedType.OBJECT: "An object; its own fields are listed too.",
        ObservedType.ARRAY: "An array; what its elements are is listed too.",
        ObservedType.VECTOR: "A vector that searches compare.",
    },
)
show_enum(
    BatchStatus,
    "Where a batch is.",
    {
        BatchStatus.DRAFT: "Objects may still be added.",
        BatchStatus.QUEUED: "Submitted; waits for a worker.",
        BatchStatus.PROCESSING: "Being worked on.",
        BatchStatus.CANCELING: "Nothing is committed any more; what runs is being stopped.",
        BatchStatus.COMPLETED: "Every row became documents, or rightly none.",
        BatchStatus.COMPLETED_WITH_ERRORS: "The same, but for the rows in rowErrors.",
        BatchStatus.FAILED: "It cannot go on; see errorMessage.",
        BatchStatus.CANCELED: "Stopped on request; what was committed stays.",
    },
)
show_enum(
    ErrorCategory,
    "The kind of a failure.",
    {
        ErrorCategory.DEPENDENCY: "A package or a net is missing.",
        ErrorCategory.AUTHENTICATION: "A credential was refused.",
        ErrorCategory.VALIDATION: "The row's own content is wrong.",
        ErrorCategory.RUNTIME: "The extractor failed.",
        ErrorCategory.NETWORK: "Something could not be reached.",
        ErrorCategory.RESOURCE: "Memory or another resource ran out.",
        ErrorCategory.TIMEOUT: "It took too long.",
        ErrorCategory.RATE_LIMIT: "Too many requests to another service.",
    },
)
show_enum(
    FieldType,
    "What a field holds.",
    {
        FieldType.STRING: "Short text.",
        FieldType.NUMBER: "An integer or a fraction.",
        FieldType.INTEGER: "An integer.",
        FieldType.BOOLEAN: "True or false.",
        FieldType.DATETIME: "A time, as a string by RFC 3339.",
        FieldType.OBJECT: "A JSON object, or anything where the type is not known.",
        FieldType.ARRAY: "A JSON array.",
        FieldType.TEXT: "A blob: text inline, or an S3 address.",
        FieldType.BLOB: "A blob: an image, a sound, a film or a paper, at an address.",
    },
)
show_enum(
    VectorKind,
    "How a vector is written and compared.",
    {
        VectorKind.DENSE: "Always as many numbers.",
        VectorKind.SPARSE: "Weights of few out of very many terms.",
        VectorKind.MULTI: "A dense vector for each token, compared by the best match of each.",
    },
)
show_enum(
    FilterOperator,
    "How a field is compared.",
    {
        FilterOperator.EQ: "It is the value.",
        FilterOperator.NE: "It is not the value, or absent.",
        FilterOperator.IN: "It is one of the values.",
        FilterOperator.LT: "It comes before the value.",
        FilterOperator.LTE: "It comes before the value or is the value.",
        FilterOperator.GT: "It comes after the value.",
        FilterOperator.GTE: "It comes after the value or is the value.",
        FilterOperator.EXISTS: "It is there and not null; with false: it is not.",
    },
)
show_enum(
    TaskType,
    "What was asked for.",
    {
        TaskType.BATCH_SUBMIT: "The run of a batch.",
        TaskType.BUCKET_DELETE: "The deletion of a bucket with its objects.",
        TaskType.COLLECTION_DELETE: "The deletion of a collection with its documents.",
        TaskType.NAMESPACE_DELETE: "The deletion of a namespace with everything in it.",
        TaskType.OBJECTS_IMPORT: "The import of a file of objects into a bucket.",
        TaskType.COLLECTION_REPROCESS: "The making and submit of a batch that fills a collection "
        "again; the batch has a task of its own.",
    },
)
show_enum(
    Lifecycle,
    "Whether a bucket or collection may be used.",
    {
        Lifecycle.ACTIVE: "It may.",
        Lifecycle.DELETING: "Its deletion was accepted; nothing new may refer to it.",
    },
)
show_enum(
    Selection,
    "Which objects a run takes.",
    {
        Selection.ALL: "All of the bucket.",
        Selection.CHANGED: "Those created or updated since the last run; the first takes all.",
    },
)
show_enum(
    Overlap,
    "What happens when a run is due and the batch of an earlier one has not ended.",
    {
        Overlap.SKIP: "The run is left out.",
        Overlap.QUEUE: "It waits for its turn; one run at most, further ones are left out.",
    },
)
show_enum(
    CatchUp,
    "What happens to runs that were due while no worker was there.",
    {
        CatchUp.NONE: "They are left out.",
        CatchUp.LATEST: "The last of them is made up for.",
        CatchUp.ALL: "Each is made up for, in order, at most 100.",
    },
)
show_enum(
    RunStatus,
    "How far a run is.",
    {
        RunStatus.PENDING: "Due; its batch is being made, or waits for an earlier one.",
        RunStatus.SUBMITTED: "Its batch is submitted; what became of it is in the batch.",
        RunStatus.EMPTY: "There was nothing to take.",
        RunStatus.SKIPPED: "Left out by the overlap or catch-up policy.",
        RunStatus.FAILED: "Its batch could not be submitted; see message.",
    },
)
show_enum(
    WritePolicy,
    "What a row with a key may be.",
    {
        WritePolicy.INSERT: "New.",
        WritePolicy.UPDATE: "Known: the object takes the row's metadata, files and tags.",
        WritePolicy.UPSERT: "Either.",
    },
)
show_enum(
    ErrorPolicy,
    "What a bad row means for the others.",
    {
        ErrorPolicy.REJECT_ALL: "Nothing is written.",
        ErrorPolicy.REJECT_FAILED_ROWS: "The good rows are written.",
        ErrorPolicy.IGNORE_FAILED_FIELDS: "Rows are written without optional fields that are bad.",
    },
)
show_enum(
    RowOutcome,
    "What became of a row.",
    {
        RowOutcome.CREATED: "It is a new object.",
        RowOutcome.UPDATED: "It changed an object.",
        RowOutcome.UNCHANGED: "The object was like this already.",
        RowOutcome.DELETED: "Its object is gone.",
        RowOutcome.REJECTED: "Nothing: it is bad, or a bad row stopped it too.",
    },
)
show_enum(
    CancelMode,
    "What becomes of the units of work that are under way when a batch is canceled.",
    {
        CancelMode.SAFE: "They end and are committed; the batch is CANCELED after the last.",
        CancelMode.FORCE: "They are canceled too; nothing is written after the answer.",
    },
)
show_enum(
    RetryMode,
    "Which failures a retry tries again.",
    {
        RetryMode.TRANSIENT_ONLY: "Those of which another try may succeed.",
        RetryMode.ALL: "Every one; mend their cause first.",
    },
)
show_enum(
    Health,
    "How a batch is doing.",
    {
        Health.HEALTHY: "It goes on, or rightly waits.",
        Health.SLOW: "It goes on, and something takes unusually long.",
        Health.DEGRADED: "It goes on in spite of failures.",
        Health.FAILING: "Most of it fails, or all of one extractor.",
        Health.STUCK: "Nothing happens to it.",
        Health.ENDED: "It has ended; see its status.",
    },
)
show_enum(
    Severity,
    "How much a finding matters.",
    {
        Severity.INFO: "It explains something; nothing has to be done.",
        Severity.WARNING: "It costs time or rows.",
        Severity.CRITICAL: "Without a change the batch does not end as it should.",
    },
)
show_enum(
    FindingCategory,
    "What kind of thing was found: an ErrorCategory, or how the work itself stands.",
    {
        FindingCategory.DEPENDENCY: "A package, a net or a server is missing.",
        FindingCategory.AUTHENTICATION: "A credential is missing or was refused.",
        FindingCategory.VALIDATION: "The rows' own content is wrong.",
        FindingCategory.RUNTIME: "The extractor failed.",
        FindingCategory.NETWORK: "Something could not be reached.",
        FindingCategory.RESOURCE: "Memory or another resource ran out.",
        FindingCategory.TIMEOUT: "It took too long.",
        FindingCategory.RATE_LIMIT: "Too many requests to another service.",
        FindingCategory.NOT_SUBMITTED: "It is a draft.",
        FindingCategory.HELD_BACK: "A limit or a wish holds it back.",
        FindingCategory.WAITING_FOR_WORKER: "No worker takes it up.",
        FindingCategory.NO_CONDUCTOR: "No engine works on it.",
        FindingCategory.LEASE_LAPSED: "Blocks lost whoever worked on them.",
        FindingCategory.UNCLAIMED: "Blocks are ready and nobody takes them.",
        FindingCategory.INCONSISTENT: "Its counts contradict its blocks.",
        FindingCategory.BACKING_OFF: "All that is left waits for another attempt.",
        FindingCategory.ATTEMPTS_LOST: "Processes died or stood still.",
        FindingCategory.BREAKER_NEAR: "It will be ended early if it goes on like this.",
        FindingCategory.EXTRACTOR_FAILS: "No row of one extractor succeeds.",
        FindingCategory.BLOCKED_BRANCH: "Blocks never ran, for those that they read failed.",
        FindingCategory.MISSING_INPUT: "Rows lacked what an extractor needs.",
        FindingCategory.SLOW_TIER: "One tier takes most of the time.",
        FindingCategory.SLOW_BLOCK: "One block takes many times what others took.",
        FindingCategory.DEADLINE_NEAR: "Its time is nearly over, or too short at its pace.",
        FindingCategory.BATCH_FAILED: "Why it failed.",
    },
)
