import io
import json
from pathlib import Path

from PIL import Image

from tests.engine.extracting import extract, extractor, failures
from tests.media import picture, written


def test_reads_what_is_written(tmp_path: Path) -> None:
    ocr = extractor("ocr@v1", tmp_path, side=500)
    blank = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(blank, "PNG")

    found = extract(ocr, written("STRATA 2026"), blank.getvalue(), b"", picture()[:300])

    one, other = found.documents.to_pylist()
    assert (one["text"], one["line_count"]) == ("STRATA 2026", 1)
    (line,) = json.loads(one["lines"])
    assert line["confidence"] > 0.8
    (left, top), _, (right, bottom), _ = line["box"]
    assert (20 < left < 60, 20 < top < 60) == (True, True)  # where it was put, at full size
    assert (200 < right < 440, 60 < bottom < 110) == (True, True)
    assert (other["text"], other["line_count"], json.loads(other["lines"])) == (None, 0, [])
    assert sorted(failures(found)) == [2, 3]
    ocr.close()
