import io
from collections.abc import Iterator

import av
import numpy as np
import pytest
from PIL import Image

from engine.media import MediaExtractor
from tests.engine.extracting import extract, extractor, failures
from tests.media import film, picture, sound

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaExtractor]:
    made = extractor("video@v1", tmp_path_factory.mktemp("cache"), max_seconds=10, longest=2)
    yield made
    made.close()


def test_a_film_is_cut_where_the_picture_changes(films: MediaExtractor) -> None:
    found = extract(films, film(RED, BLUE, GREEN, seconds=1.5))

    rows = found.documents.to_pylist()
    assert [(row["scene"], row["start_seconds"], row["end_seconds"]) for row in rows] == [
        (0, 0.0, 1.5), (1, 1.5, 3.0), (2, 3.0, 4.5),
    ]  # fmt: skip
    for row, colour in zip(rows, (RED, BLUE, GREEN), strict=True):
        frame = Image.open(io.BytesIO(row["frame"]))
        assert (frame.format, frame.size) == ("JPEG", (row["width"], row["height"]))
        assert np.asarray(frame).mean(axis=(0, 1)) == pytest.approx(colour, abs=12)
        with av.open(io.BytesIO(row["audio"]), "r") as heard:
            samples = sum(one.samples for one in heard.decode(audio=0))
        assert samples == 24_000


def test_a_long_scene_is_cut_and_a_film_may_be_silent(films: MediaExtractor) -> None:
    rows = extract(films, film(RED, seconds=4.5, silent=True)).documents.to_pylist()

    assert [row["start_seconds"] for row in rows] == [0.0, 2.0, 4.0]
    assert [row["audio"] for row in rows] == [None] * 3


def test_s29_a_file_that_is_no_film_fails_its_row_only(films: MediaExtractor) -> None:
    found = extract(
        films,
        b"",
        sound(1),
        picture(),
        film(RED)[:700],
        film(RED, seconds=11, silent=True),
        (film(RED), "image/png"),
    )

    assert found.documents["row"].to_pylist() == [5]
    said = failures(found)
    assert said[0] == "VALIDATION: The file is empty."
    assert said[1] == "VALIDATION: The file has no picture."
    assert said[2].startswith("VALIDATION: It is no sound or film of a kind that is read")
    assert said[3].startswith("VALIDATION: It is no sound or film of a kind that is read")
    assert said[4] == "RESOURCE: The film lasts longer than 10 s."
