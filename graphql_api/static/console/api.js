// How the console reaches the server: POST to ask and to change, one websocket to follow.
// A cut socket is opened again, and each subscription goes on after the last cursor it saw.

const ACCEPT = "application/graphql-response+json, application/json;q=0.9";
const REFUSED_CLOSE = new Set([4401, 4403]); // no credentials, wrong credentials
const PING_MS = 12_000;
const PONG_MS = 6_000;
const LONGEST_WAIT_MS = 8_000;

/** What a person should read: what went wrong, and what to do about it. */
export class Failure extends Error {
  constructor({ message, hint = "", code = "" }) {
    super(message);
    this.hint = hint;
    this.code = code;
  }
}

/** `onConnection` is told: connecting, live, reconnecting, idle or refused. */
export function openApi(endpoint, key, onConnection) {
  const client = openSocket(endpoint, key, onConnection);
  const ask = async (query, variables = {}) => {
    const data = await post(endpoint, key, { query, variables });
    return refuseUserErrors(Object.values(data)) ?? data;
  };
  return {
    /** Answer a query, or a mutation without user errors; throw a Failure otherwise. */
    async ask(query, variables) {
      try {
        return await ask(query, variables);
      } catch (failure) {
        if (failure.code === "UNAUTHENTICATED") onConnection("refused");
        throw failure;
      }
    },
    follow: (query, variables, listener) => follow(client, { query, variables }, listener),
    close: () => client.dispose(),
  };
}

// --- queries and mutations -----------------------------------------------------------------------

async function post(endpoint, key, operation) {
  const { data, errors } = await readResult(await send(endpoint, key, operation));
  if (errors?.length) throw toFailure(errors);
  return data;
}

async function send(endpoint, key, operation) {
  try {
    return await fetch(endpoint, {
      method: "POST",
      headers: {
        accept: ACCEPT,
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
      },
      body: JSON.stringify(operation),
    });
  } catch {
    throw new Failure({ message: "The server cannot be reached", hint: "Is it running? Try again." });
  }
}

async function readResult(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure({ message: `The server answered ${response.status} without JSON` });
  }
}

function refuseUserErrors(answers) {
  const errors = answers.flatMap((answer) => answer?.userErrors ?? []);
  if (errors.length) throw new Failure(errors[0]);
}

function toFailure([{ message, extensions }]) {
  return new Failure({ message, hint: extensions?.hint, code: extensions?.code });
}

// --- subscriptions -------------------------------------------------------------------------------

function follow(client, { query, variables }, { next, ended = () => {}, failed }) {
  const payload = { query, variables: { ...variables } };
  return client.subscribe(payload, {
    next({ data, errors }) {
      if (errors?.length) return failed(toFailure(errors));
      const [frame] = Object.values(data);
      payload.variables.after = frame.cursor; // the payload is sent again after a reconnect
      next(frame);
    },
    error: (reason) => failed(explain(reason)),
    complete: ended,
  });
}

function explain(reason) {
  if (Array.isArray(reason)) return toFailure(reason);
  if (REFUSED_CLOSE.has(reason?.code)) {
    return new Failure({ message: "The key was refused", code: "UNAUTHENTICATED" });
  }
  const detail = [reason?.code, reason?.reason].filter(Boolean).join(" ");
  return new Failure({ message: `The live connection was closed ${detail}`.trim() });
}

function openSocket(endpoint, key, onConnection) {
  const url = new URL(endpoint, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let silence;
  const client = graphqlWs.createClient({
    url: url.href,
    connectionParams: { authorization: `Bearer ${key}` },
    connectionAckWaitTimeout: 10_000,
    lazyCloseTimeout: 2_000, // moving from room to room keeps the socket
    keepAlive: PING_MS,
    retryAttempts: Infinity,
    retryWait: waitBeforeRetry,
    shouldRetry: (reason) => !REFUSED_CLOSE.has(reason?.code),
    on: {
      connecting: (again) => onConnection(again ? "reconnecting" : "connecting"),
      connected: () => onConnection("live"),
      closed: (event) => onConnection(stateAfter(event)),
      ping: (received) => {
        if (!received) silence = setTimeout(() => client.terminate(), PONG_MS);
      },
      pong: (received) => received && clearTimeout(silence),
    },
  });
  return client;
}

function stateAfter({ code }) {
  if (REFUSED_CLOSE.has(code)) return "refused";
  return code === 1000 ? "idle" : "reconnecting";
}

async function waitBeforeRetry(retries) {
  const longest = Math.min(500 * 2 ** retries, LONGEST_WAIT_MS);
  await new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
}
