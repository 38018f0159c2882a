"""In which direction a list goes."""

from enum import StrEnum

from graphql_api.enums import show_enum


class OrderDirection(StrEnum):
    """In which direction a list goes."""

    ASC = "ASC"
    DESC = "DESC"


show_enum(
    OrderDirection,
    "In which direction a list goes.",
    {OrderDirection.ASC: "Small to large.", OrderDirection.DESC: "Large to small."},
)
