"""The GraphQL endpoint: HTTP POST and the websocket, both authenticated in one place."""

from datetime import timedelta
from typing import Any, Final

from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.schema import BaseSchema
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from graphql_api.context import Context, Services
from graphql_api.requests import read_json, refusal, write_json
from graphql_api.websocket import SocketHandler
from models.errors import Unauthenticated

_INIT_TIMEOUT: Final = timedelta(seconds=5)
_OPERATIONS_PER_SOCKET: Final = 50
_STREAMED: Final = f"Subscriptions need a websocket that speaks {GRAPHQL_TRANSPORT_WS_PROTOCOL}."


class GraphQLView(GraphQL[Context, None]):
    """Strawberry's view with our context, protocol and handler."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, schema: BaseSchema, services: Services) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=_INIT_TIMEOUT,
            max_subscriptions_per_connection=_OPERATIONS_PER_SOCKET,
        )
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST or serve a websocket; refusals are JSON."""
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive, send))
        elif scope["method"] != "POST":
            answer: Response = refusal(
                405, "BAD_REQUEST", "Send operations by POST.", headers={"Allow": "POST"}
            )
            await answer(scope, receive, send)
        else:
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)

    async def execute_single(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: Context,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Run a query or a mutation; what is streamed goes over the websocket."""
        try:
            return await self.schema.execute(
                request_data.query,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types={OperationType.QUERY, OperationType.MUTATION},
            )
        except CannotGetOperationTypeError as error:
            raise HTTPException(400, error.as_http_error_reason()) from error
        except InvalidOperationTypeError as error:
            raise HTTPException(400, _STREAMED) from error
        except MissingQueryError as error:
            raise HTTPException(400, "The body has no `query`.") from error

    async def _answer(self, request: Request) -> Response:
        try:
            return await self.run(request)
        except HTTPException as error:
            unresolved = isinstance(error.__cause__, CannotGetOperationTypeError)
            code = "OPERATION_RESOLUTION_FAILURE" if unresolved else "BAD_REQUEST"
            return refusal(error.status_code, code, error.reason)

    def decode_json(self, data: str | bytes) -> object:
        """Read a body or a frame."""
        return read_json(data)

    def encode_json(self, data: object) -> str:
        """Write a body or a frame."""
        return write_json(data)

    def parse_json(self, data: str | bytes) -> Any:
        """Read a body, which is an object, or an array where batching is on."""
        body = super().parse_json(data)
        if not isinstance(body, dict | list):
            raise HTTPException(400, "The body must be a JSON object.")
        return body

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> Context:
        """Return a context for an HTTP operation, or for a socket before its first message."""
        context = Context(self._services)
        if isinstance(request, Request):
            context.authorization = request.headers.get("authorization")
            context.principal = await self._services.authenticator.principal(context.authorization)
        return context

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Authenticate a socket by its connection_init payload, key names in any case."""
        params = {name.lower(): value for name, value in (context.connection_params or {}).items()}
        authorization = params.get("authorization")
        if authorization is not None and not isinstance(authorization, str):
            raise ConnectionRejectionError
        context.authorization = authorization
        try:
            context.principal = await self._services.authenticator.principal(authorization)
        except Unauthenticated as error:
            raise ConnectionRejectionError from error
        nothing: UnsetType = UNSET  # no payload in the connection_ack
        return nothing
