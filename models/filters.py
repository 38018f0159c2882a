"""Filter: which rows a collection takes from its source, as a tree. `engine.filters` applies it.

One node is exactly one of: all of some filters, any of some, not another, or a condition on one
field.
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FilterOperator(StrEnum):
    """How a field is compared; an absent field and null are one thing."""

    EQ = "EQ"
    NE = "NE"
    IN = "IN"
    LT = "LT"
    LTE = "LTE"
    GT = "GT"
    GTE = "GTE"
    EXISTS = "EXISTS"


class Condition(_Part):
    """A dotted path, an operator and what to compare with."""

    path: str
    operator: FilterOperator
    value: Any = None
    moments: bool = False  # both sides are times: compared as such, whatever their offsets


class Filter(_Part):
    """One node of the tree."""

    all_of: list["Filter"] | None = None
    any_of: list["Filter"] | None = None
    negated: "Filter | None" = None
    condition: Condition | None = None

    @property
    def given(self) -> list[str]:
        """The names of the parts that are there; a sound node has one."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]
