"""The checks: each raises AssertionError, saying what the extractor did and what it should."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import orjson

from engine.conformance.rows import ODD_TEXTS
from engine.conformance.subject import Subject
from engine.spec import ROW, Extraction, Parameters
from models.fields import VectorKind
from models.points import SparseVector

Check = Callable[[Subject], None]
Found = dict[int, list[dict[str, Any]]]  # documents by row
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_VERSION: Final = re.compile(r"v[1-9][0-9]*", re.ASCII)
_CLOSE: Final = 1e-3  # the same row in another company: nets sum in another order


def spec_is_complete(subject: Subject) -> None:
    """Everything that a catalogue shows is there, and nothing contradicts itself."""
    spec = subject.spec
    assert _NAME.fullmatch(spec.name), f"name {spec.name!r}: lower case, digits and _ only"
    assert _VERSION.fullmatch(spec.version), f"version {spec.version!r}: v1, v2, ..."
    assert issubclass(spec.parameters, Parameters), "parameters derive from engine.spec.Parameters"
    described = [spec.description, *(one.description for one in spec.inputs)]
    described += [one.description for one in spec.outputs]
    assert all(described), "the spec, each input and each output have a description"
    vectors = subject.extractor.vectors
    made = [ROW, *(one.name for one in spec.outputs), *(one.name for one in vectors)]
    assert len(set(made)) == len(made), f"two of {made} have one name"
    assert len({one.name for one in spec.inputs}) == len(spec.inputs), "two inputs have one name"
    assert set(spec.position_fields) <= set(made), "a position field is no output"
    assert min(spec.cpus, spec.gpus) >= 0, "resources are not negative"
    assert min(spec.memory_mb, spec.block_rows) > 0, "memory and block_rows are positive"
    for vector in vectors:
        sparse = vector.kind is VectorKind.SPARSE
        assert (vector.dimension > 0) != sparse, f"{vector.name}: a dimension, or 0 if sparse"
    schema = spec.parameters.model_json_schema()
    assert schema["type"] == "object"
    again = spec.parameters.model_validate(subject.parameters.model_dump(mode="json"))
    assert again == subject.parameters, "parameters do not come back from JSON as they were"


def documents_fit_the_schema(subject: Subject) -> None:
    """Good rows become documents of the schema; progress is told, and never falls."""
    found = subject.usual
    assert subject.told == sorted(subject.told), f"progress fell: {subject.told}"
    assert subject.told, "progress was never told: a block that shows none is taken away"
    assert not found.failures, f"a good row failed: {found.failures[0]}"
    assert found.documents.num_rows, "good rows made no document at all"
    _require_sound(subject, found)


def order_does_not_matter(subject: Subject) -> None:
    """Rows in another order make the same documents."""
    found = subject.run(subject.good[::-1])
    last = len(subject.good) - 1
    turned = {last - row: documents for row, documents in _by_row(subject, found).items()}
    _require_same(_by_row(subject, subject.usual), turned, "in another order")


def company_does_not_matter(subject: Subject) -> None:
    """A row alone makes the same documents: how rows are cut into blocks is the engine's affair."""
    usual = _by_row(subject, subject.usual)
    alone = _by_row(subject, subject.run(subject.good[:1]))
    _require_same({0: usual.get(0, [])}, alone, "alone")


def again_is_the_same(subject: Subject) -> None:
    """Another process makes the same documents: a second run overwrites the first one's."""
    with subject.another() as other:
        found = _by_row(subject, subject.run(subject.good, other))
    _require_same(_by_row(subject, subject.usual), found, "in another process")


def nothing_makes_nothing(subject: Subject) -> None:
    """No rows are no documents, no failures and no exception."""
    found = subject.run([])
    assert (found.documents.num_rows, found.failures) == (0, []), "no rows made something"


def odd_rows_stay_alone(subject: Subject) -> None:
    """NUL, emoji, right to left, no text at all, no file: taken or failed, neighbours unharmed."""
    good, beside = len(subject.good), len(subject.odd) + len(subject.bad)
    places = {place if place == 0 else place + beside: place for place in range(good)}
    found = subject.mixed
    made = {
        places[row]: documents
        for row, documents in _by_row(subject, found).items()
        if row in places
    }
    for one in found.failures:
        assert one.row not in places, f"a good row failed beside others: {one}"
        assert one.message, f"a failure says what was wrong: {one}"
        assert one.hint, f"a failure says what to do: {one}"
    _require_same(_by_row(subject, subject.usual), made, "beside others")
    _require_sound(subject, found)


def bad_rows_fail(subject: Subject) -> None:
    """A bad row is a failure, and not an exception, nor silence."""
    failed = {one.row for one in subject.mixed.failures}
    for place, row in enumerate(subject.bad, start=1 + len(subject.odd)):
        assert place in failed, f"a bad row did not fail: {str(row)[:200]}"


def queries_are_encoded(subject: Subject) -> None:
    """What is searched for has the shape of what is found, however odd it is."""
    for vector in subject.extractor.vectors:
        for text in ("tides and the moon", *(one for one in ODD_TEXTS if one.strip())):
            try:
                query = subject.extractor.encode_query(text, vector.name)
            except NotImplementedError:
                break  # it is searched by vectors only
            if vector.kind is VectorKind.SPARSE:
                assert isinstance(query, SparseVector), f"{vector.name}: not a sparse query"
                assert len(query.indices) == len(query.values)
                continue
            assert isinstance(query, np.ndarray), f"{vector.name}: a query is an array"
            assert query.shape[-1] == vector.dimension, f"{vector.name}: shape {query.shape}"
            assert query.ndim == (2 if vector.kind is VectorKind.MULTI else 1)
            assert np.isfinite(query).all(), f"{vector.name}: a query of {text[:20]!r} has no value"


CHECKS: Final[tuple[Check, ...]] = (
    spec_is_complete,
    documents_fit_the_schema,
    order_does_not_matter,
    company_does_not_matter,
    again_is_the_same,
    nothing_makes_nothing,
    odd_rows_stay_alone,
    bad_rows_fail,
    queries_are_encoded,
)


def _require_sound(subject: Subject, found: Extraction) -> None:
    """Check what the engine relies on beyond the schema: text is text, and JSON is JSON."""
    found.documents.validate(full=True)
    for output in subject.spec.outputs:
        for text in found.documents.column(output.name).to_pylist() if output.json else []:
            try:
                orjson.loads("null" if text is None else text)
            except ValueError as error:
                raise AssertionError(f"{output.name} is no JSON: {text[:80]!r}") from error


def _by_row(subject: Subject, found: Extraction) -> Found:
    """Return documents by row, with JSON as what it says."""
    texts = [output.name for output in subject.spec.outputs if output.json]
    rows: Found = defaultdict(list)
    for document in found.documents.to_pylist():
        parsed = {name: orjson.loads(document[name] or "null") for name in texts}
        rows[document[ROW]].append({**document, ROW: None, **parsed})
    return rows


def _require_same(usual: Found, found: Found, how: str) -> None:
    for row in sorted({*usual, *found}):
        one, other = usual.get(row, []), found.get(row, [])
        assert len(one) == len(other), (
            f"row {row} makes {len(one)} documents, but {len(other)} {how}"
        )
        for place, (document, twin) in enumerate(zip(one, other, strict=True)):
            for name, value in document.items():
                assert _is_close(value, twin[name]), (
                    f"row {row}, document {place}, {name}: {str(value)[:80]}, "
                    f"but {str(twin[name])[:80]} {how}"
                )


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_close(one[key], other[key]) for key in one)
    return bool(one == other)
