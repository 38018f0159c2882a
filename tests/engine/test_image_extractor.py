import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from engine.availability import require_available
from engine.media import MediaExtractor
from models.errors import ExtractorUnavailable
from tests.engine.extracting import extract, extractor, failures
from tests.engine.nets.tiny import write_tokenizer
from tests.extractors import choice
from tests.media import picture


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaExtractor]:
    made = extractor("image@v1", tmp_path_factory.mktemp("cache"), thumbnail=32)
    yield made
    made.close()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00" * 1024)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_says_what_a_picture_is(images: MediaExtractor) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Strata Optics"
    exif[0x0112] = 6  # lies on its side
    found = extract(images, picture(120, 80, exif=exif), picture(30, 60, kind="PNG"))

    first, second = found.documents.to_pylist()
    assert (first["width"], first["height"], first["format"]) == (80, 120, "JPEG")
    assert json.loads(first["exif"])["Make"] == "Strata Optics"
    assert (second["width"], second["height"], second["format"]) == (30, 60, "PNG")
    assert json.loads(second["exif"]) == {}
    small = Image.open(io.BytesIO(first["thumbnail"]))
    assert (small.format, small.size) == ("JPEG", (21, 32))
    colours = json.loads(first["colours"])
    assert sum(one["share"] for one in colours) == pytest.approx(1, abs=0.01)
    assert all(one["hex"][1:3] > one["hex"][3:5] for one in colours)  # red it is


def test_similar_pictures_have_similar_hashes(images: MediaExtractor) -> None:
    fractal = Image.effect_mandelbrot((300, 300), (-2, -0.4, 0.7, 1.5), 100)
    large, small = io.BytesIO(), io.BytesIO()
    fractal.save(large, "PNG")
    fractal.resize((90, 90)).save(small, "WEBP")
    found = extract(images, large.getvalue(), small.getvalue(), picture(300, 300))

    one, same, different = (int(h, 16) for h in found.documents["perceptual_hash"].to_pylist())
    assert (one ^ same).bit_count() <= 6
    assert (one ^ different).bit_count() >= 16


def test_s29_a_file_that_is_no_sound_picture_fails_its_row_only(images: MediaExtractor) -> None:
    frames = [Image.new("P", (8, 8), number) for number in range(300)]
    animation = io.BytesIO()
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    found = extract(
        images,
        b"",
        picture()[:400],
        png_of(65_000, 65_000),
        postscript,
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/jpeg"),
        (picture(kind="PNG"), "image/jpeg"),  # a wrong name does no harm
        animation.getvalue(),
        png_of(7_000, 7_000),
    )

    assert found.documents["row"].to_pylist() == [5, 6]
    said = failures(found)
    assert said[0] == "VALIDATION: The file is empty."
    assert said[1].startswith("VALIDATION: The picture is damaged")
    assert said[2] == "RESOURCE: The picture has more than 50,000,000 pixels."
    assert said[3].startswith("VALIDATION: It is no picture of a kind that is read: JPEG, PNG")
    assert said[4].startswith("VALIDATION: It is no picture of a kind that is read")
    assert said[7].startswith("VALIDATION: The picture is damaged")


def write_net(folder: Path, *, crop: int = 4, width: int = 6) -> None:
    """A net of the CLIP family: a matrix behind the pixels, a table behind the words."""
    chance = np.random.default_rng(3)
    folder.mkdir(parents=True)
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, crop, crop])
    matrix = chance.normal(size=(3 * crop * crop, width)).astype(np.float32)
    seen = helper.make_graph(
        [
            helper.make_node("Flatten", ["pixel_values"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "matrix"], ["image_embeds"]),
        ],
        "vision", [pixels],
        [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", width])],
        [onnx.numpy_helper.from_array(matrix, "matrix")],
    )  # fmt: skip
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "tokens"])
    table = chance.normal(size=(11, width)).astype(np.float32)
    read = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["words"]),
            helper.make_node("ReduceSum", ["words", "axis"], ["text_embeds"], keepdims=0),
        ],
        "text", [ids],
        [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", width])],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )  # fmt: skip
    for name, graph in (("vision_model", seen), ("text_model", read)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(model, folder / f"{name}.onnx")
    how = {"size": {"shortest_edge": crop}, "crop_size": crop}
    how |= {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(how))
    write_tokenizer(folder)


def test_pictures_and_texts_are_embedded_by_a_net_in_a_folder(tmp_path: Path) -> None:
    write_net(tmp_path / "nets" / "tiny")
    images = extractor("image@v1", tmp_path, net="tiny")
    plain = [picture(8, 8, kind="PNG"), picture(16, 16, colour=(0, 0, 250), kind="PNG")]

    found = extract(images, *plain, b"x")

    assert [(one.name, one.dimension) for one in images.vectors] == [("embedding", 6)]
    one, other = np.array(found.documents["embedding"].to_pylist())
    assert np.linalg.norm([one, other], axis=1) == pytest.approx([1, 1])
    small = np.asarray(Image.open(io.BytesIO(plain[0])).resize((4, 4), Image.Resampling.BICUBIC))
    values = (small.astype(np.float32) / 255 - 0.5) / 0.5
    matrix = onnx.numpy_helper.to_array(
        onnx.load(tmp_path / "nets/tiny/vision_model.onnx").graph.initializer[0]
    )
    wanted = values.transpose(2, 0, 1).reshape(-1) @ matrix
    assert one == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)
    assert abs(one - other).max() > 0.1
    said = images.encode_query("one two", "embedding")
    assert np.linalg.norm(np.asarray(said)) == pytest.approx(1)
    images.close()


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ("nowhere/net", "nor in the list of fastembed"),
        ("../etc", "is not the name of a net"),
        ("empty", "has no vision_model.onnx"),
    ],
)
def test_a_net_that_is_not_here_is_said_when_the_collection_is_created(
    tmp_path: Path, net: str, said: str
) -> None:
    (tmp_path / "nets" / "empty").mkdir(parents=True)

    with pytest.raises(ExtractorUnavailable, match=said):
        require_available(choice("image@v1", net=net), tmp_path)


def test_a_net_of_fastembed_whose_files_are_not_here_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ExtractorUnavailable, match="are not here") as caught:
        extractor("image@v1", tmp_path, net="Qdrant/clip-ViT-B-32-vision")

    assert "where there is a network: python -c" in caught.value.hint
