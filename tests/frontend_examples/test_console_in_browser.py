"""The status page as used: key, texts, live progress, search, in a browser without the internet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo.asynchronous.mongo_client import AsyncMongoClient

from models.embedded.endpoints import Endpoints
from models.stored import Stored
from tests.browser import Browser, Page, open_browser, require_chromium
from tests.factories import make_batch, make_block, make_row_error
from tests.fixtures.stack import NAME as STACK
from tests.frontend_examples.cutting_proxy import CuttingProxy

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

NOTES = (
    "The sea rises and falls twice a day, drawn by the moon and the sun.",
    "Dough of flour and water is leavened with yeast and baked in a hot oven.",
    "Two players move sixteen pieces each; the game ends when a king is mated.",
)
STATUS = "document.querySelector('.batch-head .pill')?.dataset.status"
CONNECTION = "document.querySelector('#connection').dataset.state"
FIRST_HIT = "document.querySelector('.hits .text')?.textContent"
RECORD_CONNECTION = (
    "window.connectionStates = []; new MutationObserver(() => "
    f"window.connectionStates.push({CONNECTION})).observe("
    "document.querySelector('#connection'), {attributes: true})"
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page()


async def enter(page: Page, stack: Any, key: str) -> None:
    await page.goto(f"{stack.base_url}/console#key={key}")
    await page.wait_for(f"{CONNECTION} === 'live'")


async def submit_notes(page: Page, *, name: str = "", more: int = 0) -> None:
    await page.click("[data-room=new]")
    await page.fill("#texts", "\n\n".join(NOTES))
    if more:  # Chromium takes a second to type a hundred lines
        others = "".join(f"\n\nNote {number} on the ships of the sea." for number in range(more))
        await page.evaluate(f"document.querySelector('#texts').value += {json.dumps(others)}")
    if name:
        await page.fill("#batch-name", name)
    await page.click("#submit-texts")
    await page.wait_for("location.hash.startsWith('#/batches/btc_')")


async def search(page: Page, text: str) -> str:
    await page.click("[data-room=search]")
    await page.fill("#query", text)
    await page.press("Enter")
    return str(await page.wait_for(FIRST_HIT))


def assert_quiet(page: Page, stack: Any) -> None:
    """No complaint in the console, no failed request, and none to another host."""
    assert (page.console_errors, page.failed_requests) == ([], [])
    places = {httpx.URL(url).netloc for url in page.requested}
    assert places == {httpx.URL(stack.base_url).netloc}


async def test_takes_texts_from_paste_to_search(
    page: Page, stack: Any, namespace: Any, tmp_path: Path
) -> None:
    await page.goto(f"{stack.base_url}/console")
    await page.wait_for("document.querySelector('.empty')")
    await page.fill("#api-key", namespace.api_key)
    await page.press("Enter")
    await page.wait_for(f"{CONNECTION} === 'live'")
    await page.evaluate("window.unreloaded = true")

    await submit_notes(page, name="Notes")
    await page.wait_for(f"{STATUS} === 'COMPLETED'", 30)
    assert await page.evaluate("document.querySelector('.big-progress .number').textContent") == (
        "100 %"
    )
    await page.wait_for("document.querySelectorAll('.timeline li').length === 4")
    await page.screenshot(tmp_path / "batch.png")

    hit = await search(page, "a game with a king")
    assert hit == NOTES[2]
    marks = "[...document.querySelectorAll('.hits li:first-child mark')].map((m) => m.textContent)"
    assert await page.evaluate(marks) == ["game", "king"]
    await page.screenshot(tmp_path / "search.png")
    assert await page.evaluate("window.unreloaded") is True
    assert_quiet(page, stack)


async def test_goes_on_after_a_cut_connection(page: Page, stack: Any, namespace: Any) -> None:
    # Cut once in the list of batches and once while the batch is followed.
    proxy = CuttingProxy(stack.base_url, cuts=[3, 3])
    async with proxy.serve():
        await page.goto(f"{proxy.through}/console#key={namespace.api_key}")
        await page.wait_for(f"{CONNECTION} === 'live'")
        await page.evaluate(RECORD_CONNECTION)

        await submit_notes(page, more=300)
        await page.wait_for(f"{STATUS} === 'COMPLETED'", 30)

        assert proxy.sockets == 3
        assert "reconnecting" in await page.evaluate("window.connectionStates")
        assert await search(page, "a game with a king") == NOTES[2]
        assert await page.evaluate("document.querySelectorAll('.notice').length") == 0


async def test_lists_a_batch_of_another_client_live(
    page: Page, browser: Browser, stack: Any, namespace: Any
) -> None:
    await enter(page, stack, namespace.api_key)
    await page.wait_for("document.querySelector('.empty h2')?.textContent === 'No batches yet'")
    other = await browser.new_page()
    await enter(other, stack, namespace.api_key)

    await submit_notes(other, name="From elsewhere")

    row = "document.querySelector('.batch-list li')"
    await page.wait_for(f"{row}?.textContent.includes('From elsewhere')")
    await page.wait_for(f"{row}.querySelector('.pill').dataset.status === 'COMPLETED'", 30)
    assert await page.evaluate(f"{row}.querySelector('progress').value") == 100
    assert_quiet(page, stack)


async def test_keeps_the_key_out_of_the_address_and_storage(
    page: Page, stack: Any, namespace: Any
) -> None:
    await enter(page, stack, namespace.api_key)

    assert await page.evaluate("location.href") == f"{stack.base_url}/console"
    assert await page.evaluate("localStorage.length") == 0
    await page.click("#forget-key")
    await page.wait_for(f"{CONNECTION} === 'keyless'")
    assert await page.evaluate("sessionStorage.length") == 0


async def test_says_that_the_key_is_refused(page: Page, stack: Any) -> None:
    await page.goto(f"{stack.base_url}/console#key=wrong")

    await page.wait_for(f"{CONNECTION} === 'refused'")
    await page.wait_for("document.querySelector('.notice[data-kind=bad]')")


async def test_reads_dropped_files_and_names_the_bad_line(
    page: Page, stack: Any, namespace: Any
) -> None:
    await enter(page, stack, namespace.api_key)
    await page.click("[data-room=new]")
    await page.wait_for("document.querySelector('form.card')")
    lines = json.dumps("\n".join([*(json.dumps({"text": note}) for note in NOTES), ""]))

    await page.evaluate(drop(f"new File([{lines}], 'notes.jsonl')"))
    await page.wait_for("document.querySelector('.chips').textContent.includes('3 texts')")
    await page.evaluate(drop("new File(['\"fine\"\\n{]'], 'bad.jsonl')"))
    notice = "document.querySelector('.notice strong')?.textContent"
    assert await page.wait_for(notice) == "bad.jsonl, line 2: not JSON"

    await page.click("#submit-texts")
    await page.wait_for(f"{STATUS} === 'COMPLETED'", 30)
    assert await search(page, "bread from an oven") == NOTES[1]


def drop(file: str) -> str:
    return (
        f"(() => {{ const data = new DataTransfer(); data.items.add({file});"
        "document.querySelector('form.card').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); })()"
    )


async def test_cancels_only_when_confirmed(page: Page, stack: Any, namespace: Any) -> None:
    await enter(page, stack, namespace.api_key)
    await submit_notes(page, more=2000)

    await page.click("#cancel")
    await page.press("Escape")
    assert await page.evaluate("document.querySelector('#question').open") is False
    assert await page.evaluate(STATUS) in ("QUEUED", "PROCESSING")
    await page.click("#cancel")
    await page.click("#question [value=yes]")

    await page.wait_for(f"{STATUS} === 'CANCELED'")
    assert await page.evaluate("document.querySelector('#cancel')") is None


async def test_pauses_resumes_and_goes_on_after_its_end(
    page: Page, stack: Any, namespace: Any
) -> None:
    await enter(page, stack, namespace.api_key)
    await submit_notes(page, more=2000)
    reason = "document.querySelector('.batch-head .callout code')?.textContent"

    await page.click("#pause")
    await page.wait_for(f"{reason} === 'PAUSED'")
    await page.wait_for("document.querySelector('.findings')?.textContent.includes('Held back')")
    assert await page.evaluate("document.querySelector('#health').dataset.health") == "HEALTHY"
    await page.click("#resume")
    await page.wait_for("document.querySelector('#pause')")
    await page.click("#cancel")
    await page.click("#question [value=yes]")
    await page.wait_for(f"{STATUS} === 'CANCELED'")
    await page.click("#retry-all")

    await page.wait_for(f"{STATUS} === 'QUEUED' || {STATUS} === 'PROCESSING'")
    said = await page.evaluate("document.querySelector('.notice strong').textContent")
    assert said.endswith("go on")
    await page.click("#cancel")
    await page.click("#question [value=yes]")
    await page.wait_for(f"{STATUS} === 'CANCELED'")
    assert_quiet(page, stack)


async def store_in_stack(endpoints: Endpoints, *things: Stored) -> None:
    async with AsyncMongoClient[dict[str, Any]](endpoints.mongo_url) as client:
        for thing in things:
            rows = client[STACK][type(thing).get_collection_name()]
            await rows.insert_one(thing.to_mongo())


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)], ids=["wide", "phone"])
async def test_shows_what_is_wrong_and_what_to_do(
    browser: Browser,
    stack: Any,
    namespace: Any,
    stores: Any,
    ray_endpoints: Endpoints,
    tmp_path: Path,
    *,
    width: int,
    dark: bool,
) -> None:
    batch = make_batch(
        namespace.id,
        name="Embeddings of the archive",
        status="COMPLETED_WITH_ERRORS",
        counts={"rows_in": 9, "rows_failed": 5, "rows_succeeded": 4, "documents_written": 4},
        error_message="5 rows failed. See the batch's row errors.",
        tiers=[{"number": n, "collection_ids": [f"col_{n}"]} for n in (0, 1)],  # deleted by now
    )
    died = make_block(batch, status="DONE", collection_id="col_0", lost=2, attempts=3)
    never = make_block(
        batch,
        status="CANCELED",
        collection_id="col_1",
        tier=1,
        error_message="Block blk_1 failed.",
    )
    errors = [
        make_row_error(
            batch, category="RATE_LIMIT", message="429 from the service.", transient=True
        ),
        make_row_error(batch, object_id="obj_1", message="A name of " + "x" * 90 + " letters."),
    ]
    await store_in_stack(ray_endpoints, batch, never, died, *errors)
    page = await browser.new_page(dark=dark, width=width)
    await enter(page, stack, namespace.api_key)

    await page.evaluate(f"location.hash = '#/batches/{batch.id}'")
    await page.wait_for("document.querySelectorAll('.findings > li').length === 4")

    text = str(await page.evaluate("document.querySelector('.diagnosis').textContent"))
    for said in (
        "Blocked branch", "Block blk_1 failed.", "Attempts lost", "attempts allowed",
        "Rate limit", "retryBatch(mode: TRANSIENT_ONLY", "REQUESTS_PER_MINUTE",
    ):  # fmt: skip
        assert said in text
    assert await page.evaluate("document.querySelectorAll('.sample li').length") == 2
    tiers = "[...document.querySelectorAll('.tier')].map((tier) => tier.textContent).join()"
    await page.wait_for(f"{tiers}.includes('A deleted collection')")
    assert await page.evaluate(OVERFLOW) == 0
    await page.screenshot(tmp_path / "diagnosis.png")

    await page.click("#retry-transient")  # of a bucket that is not there

    notice = "document.querySelector('.notice[data-kind=bad] strong')?.textContent"
    assert "bkt_" in await page.wait_for(notice)
    assert await page.evaluate("document.querySelector('#retry-transient').disabled") is False
    await page.screenshot(tmp_path / "refused.png")


async def test_shows_what_the_server_says_of_a_failure(
    page: Page, stack: Any, namespace: Any
) -> None:
    await enter(page, stack, namespace.api_key)
    await submit_notes(page)
    await page.click("[data-room=new]")
    await page.wait_for("document.querySelector('#bucket')?.value.startsWith('bkt_')")
    await page.evaluate("document.querySelector('#bucket').value = ''")
    await page.fill("#texts", "A second text for a bucket of the same name.")

    await page.click("#submit-texts")

    notice = "document.querySelector('.notice strong')?.textContent"
    assert "'my-texts' exists" in await page.wait_for(notice)


async def test_says_that_a_batch_is_unknown(page: Page, stack: Any, namespace: Any) -> None:
    await enter(page, stack, namespace.api_key)

    await page.evaluate("location.hash = '#/batches/btc_00000000000000000000000000'")

    await page.wait_for("document.querySelector('.empty a.button')")


@pytest.mark.parametrize("width", [1440, 390], ids=["wide", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_fits_the_screen_and_the_theme(
    browser: Browser, stack: Any, namespace: Any, tmp_path: Path, *, width: int, dark: bool
) -> None:
    page = await browser.new_page(dark=dark, width=width)
    await enter(page, stack, namespace.api_key)
    await submit_notes(page, name="A name long enough for two lines on a telephone")
    await page.wait_for("document.querySelectorAll('.timeline li').length === 4", 30)

    for room in ("batches", "new", "search"):
        assert await page.evaluate(OVERFLOW) == 0
        await page.screenshot(tmp_path / f"before-{room}.png")
        await page.click(f"[data-room={room}]")
        await page.wait_for(f"document.querySelector('.room.{room} h1')")
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, part) => sum + Number(part), 0)"
    )
    assert (await page.evaluate(brightness) < 3 * 64) is dark
