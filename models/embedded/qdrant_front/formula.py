"""Formulas that rescore: from their JSON to the engine's expressions."""

from typing import Any

from qdrant_edge import DecayKind, Expression, Formula

from models.embedded.qdrant_front.filters import Json, condition, point_of

LISTS = {
    "mult": Expression.Mult,
    "sum": Expression.Sum,
    "max": Expression.Max,
    "min": Expression.Min,
}
SINGLES = {
    "neg": Expression.Neg,
    "abs": Expression.Abs,
    "sqrt": Expression.Sqrt,
    "exp": Expression.Exp,
    "log10": Expression.Log10,
    "ln": Expression.Ln,
    "acosh": Expression.Acosh,
}
DECAYS = {
    "lin_decay": DecayKind.Lin,
    "exp_decay": DecayKind.Exp,
    "gauss_decay": DecayKind.Gauss,
}


def formula(body: Json) -> Formula:
    return Formula(expression(body["formula"]), body.get("defaults") or {})


def expression(value: Any) -> Expression:
    if isinstance(value, bool):
        raise TypeError("a truth value is no expression")
    if isinstance(value, int | float):
        return Expression.Constant(float(value))
    if isinstance(value, str):
        return Expression.Variable(value)
    if len(value) == 1:
        [(name, operand)] = value.items()
        if (known := _operation(name, operand)) is not None:
            return known
    return Expression.Condition(condition(value))


def _operation(name: str, operand: Any) -> Expression | None:
    if name in LISTS:
        return LISTS[name]([expression(one) for one in operand])
    if name in SINGLES:
        return SINGLES[name](expression(operand))
    if name in DECAYS:
        return _decay(DECAYS[name], operand)
    decode = _SPECIAL.get(name)
    return None if decode is None else decode(operand)


def _decay(kind: DecayKind, body: Json) -> Expression:
    target = body.get("target")
    return Expression.Decay(
        kind,
        expression(body["x"]),
        None if target is None else expression(target),
        body.get("midpoint"),
        body.get("scale"),
    )


def _division(body: Json) -> Expression:
    left, right = expression(body["left"]), expression(body["right"])
    return Expression.Div(left, right, body.get("by_zero_default"))


_SPECIAL: dict[str, Any] = {
    "div": _division,
    "pow": lambda body: Expression.Pow(expression(body["base"]), expression(body["exponent"])),
    "geo_distance": lambda body: Expression.GeoDistance(point_of(body["origin"]), body["to"]),
    "datetime": Expression.Datetime,
    "datetime_key": Expression.DatetimeKey,
}
