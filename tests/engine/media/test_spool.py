"""What several processes keep of decoded files, and how they keep out of each other's way."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.media import spool as spools
from engine.media.spool import DecodedSpool, spool_key
from engine.media.wire import Part

PARTS = [Part({"page": 1}, [b"one", b""]), Part({"page": 2}, [b"two" * 1000])]


class Decoding:
    """A decoder that counts, and may be slow or fail at its second part."""

    def __init__(self, *, seconds: float = 0, fails: bool = False) -> None:
        self.times = 0
        self._seconds = seconds
        self._fails = fails

    def __call__(self) -> Iterator[Part]:
        self.times += 1
        yield PARTS[0]
        time.sleep(self._seconds)
        if self._fails:
            raise RuntimeError("a damaged file")
        yield PARTS[1]


@pytest.fixture
def spool(tmp_path: Path) -> DecodedSpool:
    return DecodedSpool(tmp_path / "decoded")


def test_the_second_reads_what_the_first_was_told(spool: DecodedSpool) -> None:
    decoding = Decoding()

    assert list(spool.parts("key", decoding)) == PARTS
    assert list(spool.parts("key", decoding)) == PARTS
    assert list(spool.parts("other", decoding)) == PARTS
    assert decoding.times == 2


def test_those_who_come_meanwhile_wait_for_it(spool: DecodedSpool) -> None:
    decoding = Decoding(seconds=0.2)
    told: list[list[Part]] = []
    asking = [
        threading.Thread(target=lambda: told.append(list(spool.parts("key", decoding))))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    assert told == [PARTS] * 4
    assert decoding.times == 1


def test_nobody_waits_for_long(spool: DecodedSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "_WAIT", 0.05)
    first = spool.parts("key", Decoding())
    next(first)
    own = Decoding()

    assert list(spool.parts("key", own)) == PARTS
    assert own.times == 1
    assert [*first] == PARTS[1:]


def test_what_did_not_come_to_its_end_is_not_kept(spool: DecodedSpool, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="damaged"):
        list(spool.parts("key", Decoding(fails=True)))
    left = spool.parts("key", Decoding())
    next(left)
    left.close()  # type: ignore[attr-defined]  # a generator

    assert not any((tmp_path / "decoded").iterdir())
    again = Decoding()
    assert list(spool.parts("key", again)) == PARTS
    assert again.times == 1


def test_the_room_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "decoded"
    spool = DecodedSpool(folder, bound=10_000)  # three entries of some 3,100 bytes

    for number in range(12):
        list(spool.parts(str(number), Decoding()))
        time.sleep(0.03)  # file times are coarse

    assert sorted(path.name for path in folder.iterdir()) == ["10", "11", "9"]


def test_what_nobody_uses_goes(tmp_path: Path) -> None:
    folder = tmp_path / "decoded"
    list(DecodedSpool(folder).parts("old", Decoding()))
    hour_ago = time.time() - 3600
    os.utime(folder / "old", (hour_ago, hour_ago))

    list(DecodedSpool(folder, age=600).parts("new", Decoding()))

    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_large_file_is_handed_on_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_ENTRY", 1000)
    folder = tmp_path / "decoded"

    assert list(DecodedSpool(folder).parts("key", Decoding())) == PARTS
    assert not any(folder.iterdir())


def test_the_key_tells_questions_and_files_apart() -> None:
    keys = {
        spool_key(decoder, request, data)
        for decoder in ("engine.decoders.image", "engine.decoders.audio")
        for request in ({"pixels": 0}, {"pixels": 224})
        for data in (b"one", b"two")
    }

    assert len(keys) == 8
    one, same = {"b": 1, "a": 2}, {"a": 2, "b": 1}
    assert spool_key("engine.decoders.image", one, b"") == (
        spool_key("engine.decoders.image", same, b"")
    )
