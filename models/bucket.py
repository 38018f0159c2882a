"""Bucket: where input is kept. Its schema, when given, is what mappings are checked against."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pymongo import IndexModel

from models.fields import FieldSpec
from models.states import Lifecycle
from models.stored import Namespaced


class WritePolicy(StrEnum):
    """What a row with a key may be."""

    INSERT = "INSERT"  # new
    UPDATE = "UPDATE"  # known
    UPSERT = "UPSERT"  # either


class UniqueKey(BaseModel):
    """The fields of which a bucket makes its objects' keys; fixed when it is created."""

    model_config = ConfigDict(frozen=True)

    fields: list[str]
    default_policy: WritePolicy | None = None


class Bucket(Namespaced):
    """A set of objects of one shape."""

    name: str
    description: str = ""
    fields: list[FieldSpec] = []
    unique_key: UniqueKey | None = None
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    deletion_task_id: str | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "buckets"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("name", 1)], unique=True, name="name")
        ]
