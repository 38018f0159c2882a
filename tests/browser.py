"""A headless Chromium for tests and screenshots, driven over its DevTools socket.

Only what the tests need: pages with a storage of their own, real clicks and keys, and a record of
what went wrong. No host but 127.0.0.1 can be reached, so a page that needs the internet fails here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

EXECUTABLES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # Chromium's sandbox refuses to start for root, which CI often is
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # /dev/shm of a container is often 64 MB
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05
CTRL: Final = 2  # the protocol's bit for the control key
KEYS: Final = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, "")}

Message = dict[str, Any]


class BrowserError(Exception):
    """The browser, or the JavaScript that was run in it, failed."""


class ChromiumMissing(BrowserError):
    """No Chromium on this machine."""

    def __init__(self) -> None:
        super().__init__("no Chromium found: install Debian's package 'chromium'")


def find_chromium() -> str:
    for name in EXECUTABLES:
        if path := shutil.which(name):
            return path
    raise ChromiumMissing


def require_chromium() -> None:
    """Skip the test at a desk without Chromium; in CI that is a failure."""
    try:
        find_chromium()
    except ChromiumMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


class DevTools:
    """The socket: commands out, answers and events in."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._listeners: dict[str, Callable[[str, Message], None]] = {}
        self._last_id = 0

    def listen(self, session: str, listener: Callable[[str, Message], None]) -> None:
        self._listeners[session] = listener

    async def send(self, method: str, *, session: str = "", **params: Any) -> Message:
        loop = asyncio.get_running_loop()
        self._last_id += 1
        command: Message = {"id": self._last_id, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        answer: asyncio.Future[Message] = loop.create_future()
        self._answers[self._last_id] = answer
        await self._socket.send(json.dumps(command))
        return await answer

    async def receive(self) -> None:
        """Hand out what arrives until the socket closes; then every waiting command fails."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                self._dispatch(json.loads(frame))
        for answer in self._answers.values():
            answer.set_exception(BrowserError("the browser went away"))

    def _dispatch(self, message: Message) -> None:
        if "id" not in message:
            if listener := self._listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])
            return
        answer = self._answers.pop(message["id"])
        if answer.cancelled():
            return
        if error := message.get("error"):
            answer.set_exception(BrowserError(error["message"]))
        else:
            answer.set_result(message["result"])


@dataclass
class Page:
    """One tab. The lists fill while it is open; an empty `console_errors` is worth asserting."""

    tools: DevTools
    session: str
    console_errors: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _urls: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, **params: Any) -> Message:
        return await self.tools.send(method, session=self.session, **params)

    async def goto(self, url: str, seconds: float = 20) -> None:
        self._loaded.clear()
        if failure := (await self.send("Page.navigate", url=url)).get("errorText"):
            raise BrowserError(f"{url}: {failure}")
        await asyncio.wait_for(self._loaded.wait(), seconds)

    async def evaluate(self, script: str) -> Any:
        """Run an expression and return its value as JSON knows it; a promise is awaited."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if failure := answer.get("exceptionDetails"):
            raise BrowserError(_exception_text(failure))
        return answer["result"].get("value")

    async def wait_for(self, condition: str, seconds: float = 20) -> Any:
        """Return the first truthy value of the expression, or true for an element."""
        script = f"Promise.resolve({condition}).then((v) => v instanceof Node || v)"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := await self.evaluate(script):
                return value
            await asyncio.sleep(POLL_SECONDS)
        raise BrowserError(f"never true: {condition}; console: {self.console_errors}")

    async def click(self, selector: str) -> None:
        """Press and release the left button in the middle of the element."""
        box = await self.wait_for(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "if (!e) return null; e.scrollIntoView({block: 'nearest'});"
            "const b = e.getBoundingClientRect();"
            "return b.width && {x: b.x + b.width / 2, y: b.y + b.height / 2}; })()"
        )
        for event in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=event, **box, button="left", clickCount=1
            )

    async def fill(self, selector: str, text: str) -> None:
        """Replace the value of a text field; the change event comes when the focus leaves it."""
        await self.click(selector)
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *, ctrl: bool = False) -> None:
        code, text = KEYS[key]
        stroke: Message = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        stroke["modifiers"] = CTRL if ctrl else 0
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **stroke)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **stroke)

    async def screenshot(self, path: Path) -> None:
        answer = await self.send("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    def record(self, event: str, params: Message) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self._urls[params["requestId"]] = url = params["request"]["url"]
                self.requested.append(url)
            case "Network.webSocketCreated":
                self.requested.append(params["url"])
            case "Network.responseReceived" if params["response"]["status"] >= 400:
                response = params["response"]
                self.failed_requests.append(f"{response['status']} {response['url']}")
            case "Network.loadingFailed" if not params.get("canceled"):
                url = self._urls.get(params["requestId"], "?")
                self.failed_requests.append(f"{params['errorText']} {url}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                texts = (str(arg.get("value", arg.get("description"))) for arg in params["args"])
                self.console_errors.append(" ".join(texts))
            case "Runtime.exceptionThrown":
                self.console_errors.append(_exception_text(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                entry = params["entry"]
                self.console_errors.append(f"{entry['text']} {entry.get('url', '')}")


@dataclass
class Browser:
    """A running Chromium; each page has cookies and storage of its own."""

    tools: DevTools

    async def new_page(self, *, dark: bool = False, width: int = 1440, height: int = 900) -> Page:
        context = (await self.tools.send("Target.createBrowserContext"))["browserContextId"]
        target = await self.tools.send(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        attached = await self.tools.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self.tools, attached["sessionId"])
        self.tools.listen(page.session, page.record)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.send(f"{domain}.enable")
        await page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.send("Emulation.setEmulatedMedia", features=[scheme])
        return page


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start Chromium with an empty profile; on leaving, stop it and remove the profile."""
    executable = find_chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with (
            _running(executable, Path(profile)) as address,
            connect(address, proxy=None, max_size=None, ping_interval=None) as socket,
        ):
            tools = DevTools(socket)
            receiving = asyncio.create_task(tools.receive())
            try:
                yield Browser(tools)
            finally:
                with contextlib.suppress(BrowserError, ConnectionClosed):
                    await tools.send("Browser.close")
                await receiving


@contextlib.asynccontextmanager
async def _running(executable: str, profile: Path) -> AsyncIterator[str]:
    with (profile / "stderr").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            executable,
            *FLAGS,
            f"--user-data-dir={profile}",
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that its renderers can be stopped with it
        )
    try:
        yield await _read_address(process, profile)
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _read_address(process: asyncio.subprocess.Process, profile: Path) -> str:
    """Chromium writes its port and path into its profile when it listens."""
    port_file = profile / "DevToolsActivePort"
    for _ in range(int(START_SECONDS / POLL_SECONDS)):
        lines = port_file.read_text().split() if port_file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.returncode is not None:
            break
        await asyncio.sleep(POLL_SECONDS)
    raise BrowserError(f"Chromium did not start: {(profile / 'stderr').read_text()[-2000:]}")


def _exception_text(details: Message) -> str:
    return str(details.get("exception", {}).get("description", details["text"]))
