"""`strata up` from an empty folder: the demo runs, is right, and is still there after a restart."""

import ast
import json
import os
import random
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from models.embedded.loopback import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]
STOP_SECONDS = 15
DOCUMENTS = """query($id: ID!, $after: String) {
  documents(collectionId: $id, first: 100, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { node { id fields } } } }"""
SEARCH = """query($id: ID!, $text: String!) { searchDocuments(
  collectionId: $id, query: {text: $text}, first: 1) { hits { document { id } } } }"""
BATCH = """query($id: ID!) {
  batch(id: $id) { status counts { objects documentsWritten rowsFailed } } }"""


class Up:
    """A running `strata up` and what it has said."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.lines: list[str] = []
        # Addresses in the environment would replace the servers that are to be tested.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRATA_")}
        command = [sys.executable, "-P", "-m", "graphql_api.cli", "up"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def await_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not any(line.startswith("ready") for line in self.lines):
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.1)

    def stop(self) -> float:
        """Press Ctrl-C; return how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return time.monotonic() - started

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)


@contextmanager
def running(data: Path, port: int) -> Iterator[Up]:
    up = Up(data, port)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.stop()


def left_behind(data: Path) -> list[str]:
    """Processes whose command line or environment speaks of the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.pid != os.getpid() and str(data) in " ".join(
                [*(process.info["cmdline"] or []), *process.environ().values()]
            ):
                found.append(" ".join(process.info["cmdline"] or []))
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def count_first_sentences() -> int:
    """Count distinct beginnings of the library's docstrings, without Strata's own reader."""
    skipped = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
    root = Path(sysconfig.get_paths()["stdlib"])
    beginnings: set[str] = set()
    for path in root.rglob("*.py"):
        if skipped & set(path.relative_to(root).parts[:-1]):
            continue
        try:
            nodes = list(ast.walk(ast.parse(path.read_bytes())))
        except (SyntaxError, ValueError):
            continue
        for node in nodes:
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = (ast.get_docstring(node) or "").strip()
                if text:
                    beginnings.add(first_sentence(text).casefold())
    return len(beginnings)


def first_sentence(text: str) -> str:
    from engine.splitting import split_text

    return " ".join(next(split_text(text, "sentences", chunk_size=1)).text.split())


class Client:
    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts
        self._http = httpx.Client(timeout=30, trust_env=False)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def data(self, query: str, **variables: Any) -> Any:
        answer = self._http.post(
            self._facts["endpoint"],
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self._facts['apiKey']}"},
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def documents(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.data(DOCUMENTS, id=self._facts["collectionId"], after=after)["documents"]
            nodes += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                assert page["totalCount"] == len(nodes)
                return nodes
            after = page["pageInfo"]["endCursor"]

    def finds_itself(self, document: dict[str, Any]) -> bool:
        sentence = first_sentence(document["fields"]["docstring"])
        found = self.data(SEARCH, id=self._facts["collectionId"], text=sentence)
        hits = found["searchDocuments"]["hits"]
        return bool(hits) and hits[0]["document"]["id"] == document["id"]


def test_the_demo_runs_is_right_stops_and_is_still_there(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()

    with running(data, port) as up:
        up.await_ready(300)
        facts = json.loads((data / "demo.json").read_text())
        assert {"endpoint", "apiKey", "namespaceId", "batchId"} <= facts.keys()
        with Client(facts) as client:
            batch = client.data(BATCH, id=facts["batchId"])["batch"]
            documents = client.documents()
            sample = random.Random(7).sample(documents, 50)
            found = sum(client.finds_itself(document) for document in sample)
        assert batch["status"] == "COMPLETED"
        assert len(documents) == batch["counts"]["objects"] == count_first_sentences()
        assert batch["counts"]["documentsWritten"] == 2 * len(documents)  # two collections
        assert found >= 48
        assert any(re.match(r".*functools\.lru_cache", line) for line in up.lines)
        assert up.stop() < STOP_SECONDS
    assert left_behind(data) == []

    with running(data, port) as again:
        again.await_ready(120)
        with Client(facts) as client:
            assert len(client.documents()) == len(documents)
            assert client.finds_itself(sample[0])
        assert again.stop() < STOP_SECONDS
