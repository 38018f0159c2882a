"""Bucket: where input is kept. Its schema, when given, is what mappings are checked against."""

from typing import ClassVar

from pymongo import IndexModel

from models.fields import FieldSpec
from models.states import Lifecycle
from models.stored import Namespaced


class Bucket(Namespaced):
    """A set of objects of one shape."""

    name: str
    description: str = ""
    fields: list[FieldSpec] = []
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    deletion_task_id: str | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "buckets"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("name", 1)], unique=True, name="name")
        ]
