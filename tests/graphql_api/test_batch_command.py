"""`strata batch diagnose`, as a process that finds nothing but MongoDB."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from graphql_api.commands.diagnosis import print_diagnosis, print_estimate
from models.batch import Batch
from models.embedded.endpoints import Endpoints
from models.ids import new_id
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_row_error, store
from tests.fixtures.stores import NamespaceOfTest
from workers.diagnosis.judging import diagnose_batch
from workers.outlook.estimates import Estimate

DEAD = "127.0.0.1:1"


def in_a_process(stores: Stores, endpoints: Endpoints, batch_id: str) -> tuple[int, str]:
    """Run the command while Redis, S3 and Qdrant are gone; return its exit status and output."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith("STRATA_")} | {
        "STRATA_MONGO__URL": str(endpoints.mongo_url),
        "STRATA_MONGO__DATABASE": stores.settings.mongo.database,
        "STRATA_REDIS__URL": f"redis://{DEAD}/0",
        "STRATA_S3__ENDPOINT_URL": f"http://{DEAD}",
        "STRATA_QDRANT__URL": f"http://{DEAD}",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "graphql_api.cli", "batch", "diagnose", batch_id],
        env=usual,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.returncode, done.stdout + done.stderr


async def broken(namespace: NamespaceOfTest) -> Batch:
    waited = now() - timedelta(seconds=500)
    batch = make_batch(namespace.id, name="[bold] texts", status="CANCELING", updated_at=waited)
    await store(batch, make_row_error(batch, object_id="obj_1", message="No [name] here."))
    return batch


def told_of(namespace: NamespaceOfTest) -> tuple[str, ...]:
    return (
        f"[bold] texts of {namespace.id}: CANCELING, STUCK",
        "blocks: none; last sign of work: ",
        "WAITING_FOR_WORKER", "-> Start a worker (`strata worker`)", "status=CANCELING",
        "VALIDATION", "obj_1", "No [name] here.",
    )  # fmt: skip


async def test_prints_findings_and_failed_rows_as_tables(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await broken(namespace)
    found = await diagnose_batch(stores.settings, namespace.scope, batch.id)
    assert found is not None
    console = Console(file=StringIO(), width=200, highlight=False)

    print_diagnosis(found, console)

    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert [said for said in told_of(namespace) if said not in output] == []


def test_prints_what_is_known_of_its_turn() -> None:
    console = Console(file=StringIO(), width=200, highlight=False)
    begins, ends = (datetime(2030, 1, 1, hour, tzinfo=UTC) for hour in (8, 9))

    print_estimate(Estimate(), None, console)
    print_estimate(Estimate(None, ends), None, console)
    print_estimate(Estimate(begins, ends), 3, console)

    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "ends about: 2030-01-01T09:00:00+00:00",
        "place in the queue: 3; begins about: 2030-01-01T08:00:00+00:00; "
        "ends about: 2030-01-01T09:00:00+00:00",
    ]


@pytest.mark.long
async def test_diagnoses_while_everything_but_mongodb_is_down(
    stores: Stores, namespace: NamespaceOfTest, endpoints: Endpoints
) -> None:
    batch = await broken(namespace)

    status, output = await asyncio.to_thread(in_a_process, stores, endpoints, batch.id)
    unknown = await asyncio.to_thread(in_a_process, stores, endpoints, new_id("btc"))

    assert status == 1
    assert [said for said in told_of(namespace) if said not in output] == []
    assert (unknown[0], unknown[1][:30]) == (1, "error NOT_FOUND: No batch 'btc"[:30])
