from typing import Any

import pytest

from models.batch import Counts
from workers.batches import judge


def sums(**documents: int) -> list[dict[str, Any]]:
    """Return the sums of two blocks for each status named, with so many documents."""
    return [
        {"_id": {"collection_id": "c", "status": name}, "blocks": 2, "documents_written": number}
        for name, number in documents.items()
    ]


def counts(documents: int, **rows: int) -> Counts:
    """Return counts that add up."""
    return Counts(
        rows_in=sum(rows.values()),
        documents_written=documents,
        **{f"rows_{name}": number for name, number in rows.items()},
    )


def test_everything_done_is_completed() -> None:
    assert judge(counts(7, succeeded=5), sums(DONE=7)) == ("COMPLETED", None)


def test_rows_that_were_filtered_or_skipped_or_lack_an_input_are_no_failure_of_ours() -> None:
    some = counts(1, succeeded=1, filtered=2, skipped=3, missing_input=4)

    assert judge(some, sums(DONE=1)) == ("COMPLETED", None)


def test_nothing_to_read_is_completed() -> None:
    assert judge(Counts(), []) == ("COMPLETED", None)


@pytest.mark.parametrize(
    ("found", "blocks", "said"),
    [
        (counts(5, succeeded=5, failed=1), sums(DONE=5), ["1 rows failed"]),
        (counts(5, succeeded=5), sums(DONE=5, CANCELED=0), ["2 blocks were not run"]),
        # Its rows were never counted, but a block is missing all the same.
        (counts(5, succeeded=5), sums(DONE=5, FAILED=0), ["2 blocks failed"]),
        (
            counts(5, succeeded=5, failed=32),
            sums(DONE=5, FAILED=0, CANCELED=0),
            ["32 rows failed", "2 blocks failed", "2 blocks were not run"],
        ),
    ],
)
def test_whatever_failed_is_said(
    found: Counts, blocks: list[dict[str, Any]], said: list[str]
) -> None:
    status, message = judge(found, blocks)

    assert status == "COMPLETED_WITH_ERRORS"
    assert message is not None
    assert all(part in message for part in said)
    assert message.endswith("See the batch's row errors.")


@pytest.mark.parametrize("outcome", ["filtered", "missing_input", "failed", "skipped"])
@pytest.mark.parametrize("blocks", [sums(DONE=0), sums(FAILED=0), []])
def test_rows_without_one_document_are_never_completed(
    outcome: str, blocks: list[dict[str, Any]]
) -> None:
    status, message = judge(counts(0, **{outcome: 3}), blocks)

    assert status == "FAILED"
    assert message is not None
    assert message.startswith("3 rows were read and no document was written")
    assert message.count("3 ") == 2  # the rows, and what became of them


@pytest.mark.parametrize(
    ("found", "blocks"),
    [
        (counts(5, succeeded=5), sums(DONE=4)),
        (counts(5, succeeded=5), sums(DONE=6)),
        (counts(5, succeeded=5), []),
        (counts(5, succeeded=5).model_copy(update={"rows_in": 6}), sums(DONE=5)),
        (counts(5, succeeded=5).model_copy(update={"rows_in": 4}), sums(DONE=5)),
        *(
            (counts(5, succeeded=5), sums(DONE=5, **{live: 0}))
            for live in ("WAITING", "READY", "LEASED")
        ),
    ],
)
def test_counts_that_do_not_add_up_are_a_failure_that_says_so(
    found: Counts, blocks: list[dict[str, Any]]
) -> None:
    status, message = judge(found, blocks)

    assert status == "FAILED"
    assert message is not None
    assert "do not add up" in message
