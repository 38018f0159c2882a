import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from engine.availability import require_available
from engine.media import MediaExtractor
from engine.nets.speech_net import speech_in
from models.errors import ExtractorUnavailable
from tests.engine.extracting import extract, extractor, failures
from tests.extractors import choice
from tests.media import film, picture, sound

RED = (200, 0, 0)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaExtractor]:
    made = extractor("audio@v1", tmp_path_factory.mktemp("cache"), max_seconds=20)
    yield made
    made.close()


def lying_flac() -> bytes:
    """A second of sound that says it is a quarter of an hour."""
    body = io.BytesIO()
    with av.open(io.BytesIO(sound(1)), "r") as source, av.open(body, "w", format="flac") as made:
        stream = made.add_stream("flac", rate=16_000, layout="mono")
        for frame in source.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    data = bytearray(body.getvalue())
    data[22:26] = (900 * 16_000).to_bytes(4, "big")  # samples in all, low 32 bits
    return bytes(data)


def test_a_sound_without_speech_is_one_document(sounds: MediaExtractor) -> None:
    found = extract(sounds, sound(2), film(RED, seconds=2))

    one, other = found.documents.to_pylist()
    assert (one["segment"], one["start_seconds"], one["end_seconds"]) == (0, 0.0, 2.0)
    assert (one["speech"], one["text"], one["language"]) == (False, None, None)
    assert (one["sample_rate"], one["channels"], one["codec"]) == (16_000, 1, "pcm_s16le")
    assert one["rms_dbfs"] == pytest.approx(20 * np.log10(0.25 / np.sqrt(2)), abs=0.05)
    assert one["loudness_lufs"] == pytest.approx(-15.7, abs=0.5)
    assert "encoder" in json.loads(one["tags"])
    assert other["codec"] == "aac"
    assert other["duration_seconds"] == pytest.approx(2, abs=0.2)


def test_silence_has_no_level(sounds: MediaExtractor) -> None:
    (row,) = extract(sounds, sound(1, level=0)).documents.to_pylist()

    assert (row["rms_dbfs"], row["speech"]) == (None, False)


def test_a_tone_is_no_speech() -> None:
    tone = np.sin(np.arange(32_000) / 6).astype(np.float32)

    assert speech_in(tone, threshold=0.5, pause_seconds=1) == []
    assert speech_in(tone[:0], threshold=0.5, pause_seconds=1) == []


def test_s29_a_file_that_is_no_sound_fails_its_row_only(sounds: MediaExtractor) -> None:
    empty = io.BytesIO()
    with wave.open(empty, "wb") as made:
        made.setparams((1, 2, 16_000, 0, "NONE", ""))
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n"
    found = extract(
        sounds,
        b"",
        picture(),
        film(RED, silent=True),
        film(RED)[:500],
        sound(21),
        lying_flac(),
        playlist,
        empty.getvalue(),
        (sound(1), "video/mp4"),
    )

    assert found.documents["row"].to_pylist() == [8]
    said = failures(found)
    assert said[0] == "VALIDATION: The file is empty."
    assert said[1].startswith("VALIDATION: It is no sound or film of a kind that is read")
    assert said[2] == "VALIDATION: The file has no sound."
    assert said[3].startswith("VALIDATION: It is no sound or film of a kind that is read")
    assert said[4] == "RESOURCE: The sound lasts longer than 20 s."
    assert said[5] == "VALIDATION: The file says that it lasts 900.0 s, but holds 1.0 s."
    assert said[6].startswith("VALIDATION: It is no sound or film of a kind that is read")
    assert said[7].startswith("VALIDATION: The file holds no sound")


def test_a_net_that_is_not_here_is_said_when_the_collection_is_created(tmp_path: Path) -> None:
    with pytest.raises(ExtractorUnavailable, match=r"has no model\.bin, config\.json") as caught:
        require_available(choice("audio@v1", net="tiny"), tmp_path)

    assert "download_model" in caught.value.hint
    with pytest.raises(ExtractorUnavailable, match="is not the name of a net"):
        require_available(choice("audio@v1", net="../etc"), tmp_path)


def test_a_net_that_is_damaged_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "broken"
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_bytes(b"{}")

    with pytest.raises(ExtractorUnavailable, match="cannot be run"):
        extractor("audio@v1", tmp_path, net="broken")
