// How GraphiQL reaches the API: POST for queries and mutations, graphql-transport-ws for subscriptions.

const ACCEPT = "application/graphql-response+json, application/json;q=0.9";
const REFUSED_CLOSE = new Set([4401, 4403]); // no credentials, wrong credentials

export function openFetcher(endpoint, key) {
  return (operation, { headers, documentAST } = {}) => {
    const authorised = key.authorise(headers);
    return isSubscription(documentAST, operation.operationName)
      ? follow(endpoint, operation, authorised, key)
      : post(endpoint, operation, authorised, key);
  };
}

function isSubscription(document, name) {
  const operation = document && GraphiQL.GraphQL.getOperationAST(document, name);
  return operation?.operation === "subscription";
}

async function post(endpoint, operation, headers, key) {
  let response;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { accept: ACCEPT, "content-type": "application/json", ...headers },
      body: JSON.stringify(operation),
    });
  } catch (reason) {
    key.unreachable();
    return failure(`The server cannot be reached: ${reason.message}`);
  }
  const result = await readResult(response);
  if (response.status === 401 || isRefusal(result.errors)) key.refused();
  else if (response.status === 403) key.forbidden();
  else key.accepted();
  return result;
}

async function readResult(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return failure(`${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

/**
 * One socket per run, because typed headers belong to one run. It is an observable, not an async
 * generator: a generator that waits for its next event cannot be stopped before that event.
 * No retries: a silent second subscription would show events twice.
 */
function follow(endpoint, operation, headers, key) {
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const client = graphqlWs.createClient({
    url: url.href,
    connectionParams: headers,
    retryAttempts: 0,
    on: { connected: key.accepted },
  });
  const subscribe = (sink) => {
    const unsubscribe = client.subscribe(operation, {
      next(event) {
        if (isRefusal(event.errors)) key.refused();
        sink.next(event);
      },
      error(reason) {
        if (REFUSED_CLOSE.has(reason?.code) || isRefusal(reason)) key.refused();
        sink.error(explain(reason));
      },
      complete: () => sink.complete(),
    });
    return { unsubscribe };
  };
  return { subscribe };
}

/** GraphiQL prints an Error with its stack, but a list of plain objects as it is. */
function explain(reason) {
  if (Array.isArray(reason)) return reason;
  if (reason instanceof CloseEvent) {
    return [{ message: `The socket was closed: ${reason.code} ${reason.reason}`.trim() }];
  }
  return [{ message: reason?.message ?? "The socket failed" }];
}

function isRefusal(errors) {
  return Array.isArray(errors) && errors.some((error) => error?.extensions?.code === "UNAUTHENTICATED");
}

function failure(message) {
  return { errors: [{ message }] };
}
