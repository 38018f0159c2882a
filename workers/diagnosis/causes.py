"""What row errors and put-off attempts are findings of, by their category, and what helps."""

from collections.abc import Iterator, Sequence
from typing import Final

from models.errors import ErrorCategory
from models.states import FINAL
from models.vitals import ErrorCause, RetryCause
from workers.diagnosis.case import Case
from workers.diagnosis.findings import Finding, FindingCategory, Health, Severity, counted

C = ErrorCategory
_MEND: Final = {
    C.DEPENDENCY: "Install or start what is missing: `extractors` says what each one lacks, "
    "`strata doctor` which server does not answer.",
    C.AUTHENTICATION: "Set the credentials of the service that refused "
    "(STRATA_EMBEDDINGS__<NAME>__API_KEY) where the engine runs.",
    C.VALIDATION: "Mend the rows' content with updateObjects, or the collection's inputMappings.",
    C.RUNTIME: "The extractor failed on these rows: see the sample; its parameters, version or "
    "the rows' content is to be changed.",
    C.NETWORK: "See that the address can be reached from the engine's machines, and that "
    "STRATA_EGRESS__PORTS and STRATA_EGRESS__ALLOWED_RANGES let it through.",
    C.RESOURCE: "Give the engine more memory, or less at once: STRATA_ENGINE__BLOCK_ROWS, "
    "STRATA_ENGINE__POOL_SIZE.",
    C.TIMEOUT: "Raise the limit of what took too long (STRATA_EMBEDDINGS__<NAME>__TIMEOUT_SECONDS, "
    "STRATA_ENGINE__LEASE_SECONDS), or make the rows smaller.",
    C.RATE_LIMIT: "Ask less often (STRATA_EMBEDDINGS__<NAME>__REQUESTS_PER_MINUTE, "
    "STRATA_ENGINE__BLOCKS_IN_FLIGHT) or have the service's limit raised.",
}


def explain_errors(causes: Sequence[ErrorCause]) -> Iterator[Finding]:
    """Yield one finding for each cause that rows failed of; missing inputs are another's."""
    for one in causes:
        if one.missing_input:
            continue
        mode = "TRANSIENT_ONLY" if one.transient else "ALL"
        then = f"Then call retryBatch(mode: {mode}, collectionIds: [{one.collection_id}])."
        yield Finding(
            FindingCategory(one.category),
            Severity.WARNING,
            f"{counted(one.rows, 'row')} failed in {one.extractor}: {one.message}",
            f"{one.hint or _MEND[one.category]} {then}",
            Health.DEGRADED,
            one.collection_id,
            {
                "rows": one.rows,
                "attempts": one.attempts,
                "transient": "yes" if one.transient else "no",
                "latest": one.latest,
            },
        )


def explain_retries(case: Case, causes: Sequence[RetryCause]) -> Iterator[Finding]:
    """Yield one finding for each category of which attempts were put off while it runs."""
    if case.batch.status in FINAL:
        return
    for one in causes:
        yield Finding(
            FindingCategory(one.category),
            Severity.WARNING,
            f"{counted(one.attempts, 'attempt')} put off: {one.message}",
            f"{_MEND[one.category]} The blocks are tried again by themselves.",
            Health.DEGRADED,
            evidence={
                "attempts": one.attempts,
                "latest": one.latest,
                "attemptsAllowed": case.settings.engine.max_attempts,
            },
        )
