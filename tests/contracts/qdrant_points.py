"""The points that the Qdrant contract searches, and the names of their vectors."""

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

Floats = NDArray[np.float64]

COUNT = 400
TEXT, PLANE, PARTS, TERMS, RARE = "text", "plane", "parts", "terms", "rare"
KINDS = ["book", "film", "song"]
WORDS = ["river", "stone", "cloud", "ember", "maple"]
TAGS = ["new", "old", "red", "blue"]
NOTES: list[dict[str, Any]] = [
    {"note": None},
    {},
    {"note": []},
    {"note": "short"},
    {"note": ["a", "b"]},
]

VECTORS = {
    TEXT: models.VectorParams(size=16, distance=models.Distance.COSINE),
    PLANE: models.VectorParams(size=4, distance=models.Distance.EUCLID),
    PARTS: models.VectorParams(
        size=4,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
    ),
}
SPARSE = {
    TERMS: models.SparseVectorParams(),
    RARE: models.SparseVectorParams(modifier=models.Modifier.IDF),
}
INDEXES = {
    "kind": models.PayloadSchemaType.KEYWORD,
    "tags": models.PayloadSchemaType.KEYWORD,
    "rank": models.PayloadSchemaType.INTEGER,
    "price": models.PayloadSchemaType.FLOAT,
    "place": models.PayloadSchemaType.GEO,
    "words": models.PayloadSchemaType.TEXT,
    "flag": models.PayloadSchemaType.BOOL,
    "when": models.PayloadSchemaType.DATETIME,
}


def point_id(number: int) -> int | str:
    """Every second id is a UUID."""
    return number if number % 2 == 0 else str(uuid.uuid5(uuid.NAMESPACE_URL, f"point-{number}"))


def make_points() -> list[models.PointStruct]:
    random = np.random.default_rng(7)
    centres = random.normal(size=(8, 16))
    return [_point(number, centres, random) for number in range(COUNT)]


def _point(number: int, centres: Floats, random: np.random.Generator) -> models.PointStruct:
    vector: dict[str, Any] = {
        TEXT: (centres[number % 8] + random.normal(size=16) * 0.4).tolist(),
        PARTS: random.normal(size=(1 + number % 3, 4)).tolist(),
        TERMS: _sparse(random),
        RARE: models.SparseVector(indices=[0, 1 + number % 40], values=[1.0, 1.0]),
    }
    if number % 10 != 9:
        vector[PLANE] = random.normal(size=4).tolist()
    return models.PointStruct(id=point_id(number), vector=vector, payload=_payload(number))


def _sparse(random: np.random.Generator) -> models.SparseVector:
    indices = random.choice(60, size=6, replace=False)
    return models.SparseVector(
        indices=indices.tolist(), values=random.uniform(0.1, 2.0, size=6).tolist()
    )


def _payload(number: int) -> dict[str, Any]:
    return {
        "number": number,
        "kind": KINDS[number % 3],
        "tags": TAGS[: 1 + number % 4],
        "rank": number % 50,
        "price": round(number * 0.37 % 20, 2),
        "place": {"lon": number % 36 * 10 - 180 + 0.5, "lat": number % 17 * 10 - 80 + 0.5},
        "words": f"{WORDS[number % 5]} and {WORDS[number * 3 % 5]}",
        "flag": number % 2 == 0,
        "when": f"2024-{1 + number % 12:02}-{1 + number % 28:02}T08:00:00Z",
        "items": [
            {"name": KINDS[number % 3], "amount": number % 7},
            {"name": WORDS[number % 5], "amount": number % 4},
        ],
        **NOTES[number % 5],
    }
