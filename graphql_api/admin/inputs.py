"""Inputs of namespaces."""

import strawberry

from graphql_api.idempotency import key_field


@strawberry.input(description="A namespace to be created.")
class CreateNamespaceInput:
    """Input of createNamespace."""

    name: str = strawberry.field(description="1 to 100 characters, unique in the deployment.")
    description: str = strawberry.field(default="", description="Free text.")
    idempotency_key: str | None = key_field()
