"""Evaluates aggregation expressions."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tests.simulation.errors import Unsupported
from tests.simulation.mongo.values import MISSING, equal, field_of, order_of


def evaluate(expression: Any, document: Mapping[str, Any], now: datetime) -> Any:
    """Return an expression's value for a document; MISSING is one."""
    if isinstance(expression, str) and expression.startswith("$"):
        return _variable(expression, document, now)
    if isinstance(expression, list):
        return [_or_null(evaluate(one, document, now)) for one in expression]
    if not isinstance(expression, dict):
        return expression
    operators = [name for name in expression if name.startswith("$")]
    if not operators:
        found = {name: evaluate(one, document, now) for name, one in expression.items()}
        return {name: value for name, value in found.items() if value is not MISSING}
    if len(expression) != 1:
        raise Unsupported(f"an expression with {sorted(expression)}")
    name = operators[0]
    if name == "$literal":
        return expression[name]
    if name == "$cond":
        return _cond(expression[name], document, now)
    if name == "$dateAdd":
        return _date_add(expression[name], document, now)
    if name not in _OPERATORS:
        raise Unsupported(f"the expression {name}")
    operand = expression[name]
    arguments = operand if isinstance(operand, list) else [operand]
    return _OPERATORS[name]([evaluate(one, document, now) for one in arguments])


def _variable(name: str, document: Mapping[str, Any], now: datetime) -> Any:
    if not name.startswith("$$"):
        return field_of(document, name[1:])
    if name == "$$NOW":
        return now
    raise Unsupported(f"the variable {name}")


def _or_null(value: Any) -> Any:
    return None if value is MISSING else value


def truth(value: Any) -> bool:
    """Tell whether MongoDB takes a value for true."""
    return value is not MISSING and value is not None and value is not False and value != 0


def _cond(operand: Any, document: Mapping[str, Any], now: datetime) -> Any:
    if not isinstance(operand, list) or len(operand) != 3:
        raise Unsupported("$cond other than as a list of three")
    condition, then, otherwise = operand
    chosen = then if truth(evaluate(condition, document, now)) else otherwise
    return evaluate(chosen, document, now)


def _date_add(operand: Any, document: Mapping[str, Any], now: datetime) -> Any:
    if set(operand) != {"startDate", "unit", "amount"} or operand["unit"] != "millisecond":
        raise Unsupported(f"$dateAdd with {operand}")
    start = evaluate(operand["startDate"], document, now)
    amount = evaluate(operand["amount"], document, now)
    if not isinstance(start, datetime) or not isinstance(amount, int):
        raise Unsupported(f"$dateAdd of {start!r} and {amount!r}")
    return start + timedelta(milliseconds=amount)


def _arithmetic(name: str, do: Callable[[Any, Any], Any]) -> Callable[[list[Any]], Any]:
    def apply(values: list[Any]) -> Any:
        if any(value is None or value is MISSING for value in values):
            return None
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise Unsupported(f"{name} of something other than numbers")
        found = values[0]
        for value in values[1:]:
            found = do(found, value)
        return found

    return apply


def _compare(do: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    def apply(values: list[Any]) -> bool:
        one, other = values
        return do(order_of(one), order_of(other))

    return apply


def _extreme(choose: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    def apply(values: list[Any]) -> Any:
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        known = [value for value in values if value is not None and value is not MISSING]
        return choose(known, key=order_of) if known else None

    return apply


def _if_null(values: list[Any]) -> Any:
    for value in values[:-1]:
        if value is not None and value is not MISSING:
            return value
    return values[-1]


def _set_difference(values: list[Any]) -> Any:
    one, other = values
    if not isinstance(one, list) or not isinstance(other, list):
        raise Unsupported("$setDifference of something other than arrays")
    left: list[Any] = []
    for value in one:
        if not any(equal(value, known) for known in [*other, *left]):
            left.append(value)
    return left


def _in(values: list[Any]) -> bool:
    wanted, among = values
    return any(equal(wanted, one) for one in among)


def _to_long(values: list[Any]) -> Any:
    return None if values[0] is None or values[0] is MISSING else int(values[0])


_OPERATORS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "$add": _arithmetic("$add", lambda a, b: a + b),
    "$subtract": _arithmetic("$subtract", lambda a, b: a - b),
    "$multiply": _arithmetic("$multiply", lambda a, b: a * b),
    "$pow": _arithmetic("$pow", lambda a, b: a**b),
    "$eq": _compare(lambda a, b: a == b),
    "$ne": _compare(lambda a, b: a != b),
    "$lt": _compare(lambda a, b: a < b),
    "$lte": _compare(lambda a, b: a <= b),
    "$gt": _compare(lambda a, b: a > b),
    "$gte": _compare(lambda a, b: a >= b),
    "$and": lambda values: all(truth(value) for value in values),
    "$or": lambda values: any(truth(value) for value in values),
    "$not": lambda values: not truth(values[0]),
    "$min": _extreme(min),
    "$max": _extreme(max),
    "$ifNull": _if_null,
    "$setDifference": _set_difference,
    "$in": _in,
    "$toLong": _to_long,
}
