"""Which operation a request asks for: one table, by target, subresource and method.

What S3 knows and this table does not hold is refused by name, never ignored.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from models.embedded.s3_front import (
    browser_form,
    bucket_operations,
    copies,
    listing,
    multipart,
    object_reads,
    object_writes,
    upload_listing,
)
from models.embedded.s3_front.bucket_operations import configuration_operations
from models.embedded.s3_front.call import Operation, StreamingOperation
from models.embedded.s3_front.errors import S3Error


class Target(Enum):
    """What an address names."""

    SERVICE = auto()
    BUCKET = auto()
    OBJECT = auto()


OPERATIONS: Final[Mapping[tuple[Target, str], Mapping[str, Operation]]] = {
    (Target.SERVICE, ""): {"GET": bucket_operations.list_all},
    (Target.BUCKET, ""): {
        "PUT": bucket_operations.create,
        "HEAD": bucket_operations.head,
        "GET": listing.list_objects,
        "DELETE": bucket_operations.delete,
    },
    (Target.BUCKET, "location"): {"GET": bucket_operations.location},
    (Target.BUCKET, "versioning"): {"GET": bucket_operations.versioning},
    (Target.BUCKET, "cors"): configuration_operations("cors"),
    (Target.BUCKET, "lifecycle"): configuration_operations("lifecycle"),
    (Target.BUCKET, "policy"): configuration_operations("policy"),
    (Target.BUCKET, "tagging"): configuration_operations("tagging"),
    (Target.BUCKET, "delete"): {"POST": object_writes.delete_objects},
    (Target.BUCKET, "uploads"): {"GET": upload_listing.list_uploads},
    (Target.OBJECT, ""): {
        "GET": object_reads.get_object,
        "HEAD": object_reads.head_object,
        "DELETE": object_writes.delete_object,
    },
    (Target.OBJECT, "copy"): {"PUT": copies.copy_object},
    (Target.OBJECT, "uploadId copy"): {"PUT": copies.copy_part},
    (Target.OBJECT, "tagging"): {
        "GET": object_writes.get_tagging,
        "PUT": object_writes.put_tagging,
        "DELETE": object_writes.delete_tagging,
    },
    (Target.OBJECT, "uploads"): {"POST": multipart.create},
    (Target.OBJECT, "uploadId"): {
        "GET": upload_listing.list_parts,
        "POST": multipart.complete,
        "DELETE": multipart.abort,
    },
}
STREAMING: Final[Mapping[tuple[Target, str, str], StreamingOperation]] = {
    (Target.OBJECT, "", "PUT"): object_writes.put_object,
    (Target.OBJECT, "uploadId", "PUT"): multipart.put_part_body,
    (Target.BUCKET, "", "POST"): browser_form.post_object,
}
HANDLED: Final = frozenset(
    subresource for _, subresource in OPERATIONS if subresource and "copy" not in subresource
)
# The rest of S3's subresources. Any other word of a query belongs to its operation.
REFUSED: Final = frozenset(
    {
        *("accelerate", "acl", "analytics", "attributes", "encryption", "intelligent-tiering"),
        *("inventory", "legal-hold", "logging", "metadataConfiguration", "metadataTable"),
        *("metrics", "notification", "object-lock", "ownershipControls", "policyStatus"),
        *("publicAccessBlock", "renameObject", "replication", "requestPayment", "restore"),
        *("retention", "select", "session", "torrent", "versions", "website"),
    }
)


def find_target(bucket: str, key: str) -> Target:
    if key:
        return Target.OBJECT
    return Target.BUCKET if bucket else Target.SERVICE


def find_subresource(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The word of the query that names what is meant; a copy is told by its header."""
    if refused := REFUSED & query.keys():
        raise S3Error("NotImplemented", f"Not supported: {', '.join(sorted(refused))}")
    found = next((name for name in query if name in HANDLED), "")
    return f"{found} copy".strip() if "x-amz-copy-source" in headers else found


def find_streaming(target: Target, subresource: str, method: str) -> StreamingOperation | None:
    return STREAMING.get((target, subresource, method))


def find_operation(target: Target, subresource: str, method: str) -> Operation:
    operation = OPERATIONS.get((target, subresource), {}).get(method)
    if operation is None:
        raise S3Error("MethodNotAllowed")
    return operation
