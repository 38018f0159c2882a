// Clients as their users use them: urql, Apollo Client 3 and 4, graphql-ws, graphql-sse.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Client, fetchExchange, gql as urqlGql, subscriptionExchange } from "@urql/core";
import * as apollo4 from "@apollo/client";
import { GraphQLWsLink as GraphQLWsLink4 } from "@apollo/client/link/subscriptions";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket, { WebSocketServer } from "ws";

const require = createRequire(import.meta.url);
const apollo3 = require("@apollo/client-3/core");
const { GraphQLWsLink: GraphQLWsLink3 } = require("@apollo/client-3/link/subscriptions");

const endpoint = process.env.STRATA_ENDPOINT;
const socketAddress = endpoint.replace("http", "ws");
const batchId = process.env.STRATA_BATCH;
const authorization = `Bearer ${process.env.STRATA_KEY}`;
const headers = { authorization };
const gated = { ...headers, "graphql-require-preflight": "1" };

const QUERY = "query Namespace { namespace { id } }";
const MUTATION = "mutation Name($name: String!) { createBucket(input: {name: $name}) { bucket { name } userErrors { code } } }";
const FOLLOW = `subscription Follow($id: ID!, $after: String) {
  batchEvents(batchId: $id, after: $after) { __typename cursor fromSequence sequence }
}`;
const WRONG = "{ nothing }";
const BROKEN = "{ namespace { ";
const WAIT = 15_000;

let buckets = 0;
const freshName = () => `bucket-${process.pid}-${buckets++}`;

async function post(query, variables) {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined);
  return data;
}

// Makes something happen to the batch.
async function addObject() {
  const made = await post(
    `mutation($id: ID!) { createObjects(input: {bucketId: $id, objects: [{}]}) { results { object { id } } } }`,
    { id: process.env.STRATA_BUCKET },
  );
  const objectIds = made.createObjects.results.map((result) => result.object.id);
  await post(
    `mutation($id: ID!, $objectIds: [ID!]!) {
      addObjectsToBatch(input: {batchId: $id, objectIds: $objectIds}) { userErrors { code } } }`,
    { id: batchId, objectIds },
  );
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${WAIT} ms`)), WAIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Subscribes in the way of one client; wants a snapshot, then the event that joins it.
async function follows(subscribe) {
  const frames = [];
  let stop;
  const two = new Promise((resolve, reject) => {
    stop = subscribe((result) => {
      try {
        assert.equal(result.errors, undefined);
        frames.push(result.data.batchEvents);
        if (frames.length === 1) addObject().catch(reject);
        if (frames.length === 2) resolve();
      } catch (error) {
        reject(error);
      }
    }, reject);
  });
  try {
    await within(two, "second frame");
  } finally {
    stop();
  }
  assert.equal(frames[0].__typename, "BatchSnapshot");
  assert.equal(frames[1].__typename, "BatchEvents");
  assert.equal(frames[1].fromSequence, frames[0].sequence + 1);
}

function urql(options = {}) {
  return new Client({
    url: endpoint,
    exchanges: [fetchExchange],
    preferGetMethod: false,
    fetchOptions: () => ({ headers }),
    ...options,
  });
}

function apollo(library, WsLink) {
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = library;
  const make = (link) => new ApolloClient({ link, cache: new InMemoryCache() });
  const http = () => make(new HttpLink({ uri: endpoint, headers }));
  const subscribe = (client) => (next, fail) => {
    const running = client
      .subscribe({ query: gql(FOLLOW), variables: { id: batchId } })
      .subscribe({ next, error: fail });
    return () => running.unsubscribe();
  };
  return {
    query: async () => {
      const { data } = await http().query({ query: gql(QUERY) });
      assert.match(data.namespace.id, /^ns_/);
    },
    mutation: async () => {
      const name = freshName();
      const { data } = await http().mutate({ mutation: gql(MUTATION), variables: { name } });
      assert.equal(data.createBucket.bucket.name, name);
    },
    "validation error": async () => {
      await assert.rejects(http().query({ query: gql(WRONG) }), /nothing/);
    },
    "multipart subscription": () => follows(subscribe(http())),
    "websocket subscription": async () => {
      const socket = ws();
      await follows(subscribe(make(new WsLink(socket))));
      await socket.dispose();
    },
  };
}

function ws(options = {}) {
  return createWs({
    url: socketAddress,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 5,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    ...options,
  });
}

const sse = (options = {}) => createSse({ url: endpoint, headers, retryAttempts: 0, ...options });

// The one result of an operation of graphql-ws or graphql-sse; rejects with request errors.
function once(client, payload) {
  return new Promise((resolve, reject) => {
    let found;
    client.subscribe(payload, { next: (result) => (found = result), error: reject, complete: () => resolve(found) });
  });
}

// A proxy in front of the server's websockets that can cut them with a code.
async function proxy() {
  const server = new WebSocketServer({ port: 0, handleProtocols: () => "graphql-transport-ws" });
  const open = new Set();
  server.on("connection", (near) => {
    const far = new WebSocket(socketAddress, "graphql-transport-ws");
    const waiting = [];
    near.on("message", (data) => (far.readyState === 1 ? far.send(String(data)) : waiting.push(String(data))));
    far.on("open", () => waiting.forEach((data) => far.send(data)));
    far.on("message", (data) => near.readyState === 1 && near.send(String(data)));
    near.on("close", () => far.terminate());
    far.on("close", (code) => near.readyState === 1 && near.close(code === 1006 ? 1011 : code));
    far.on("error", () => {});
    open.add(near);
  });
  await new Promise((resolve) => server.on("listening", resolve));
  return {
    url: `ws://127.0.0.1:${server.address().port}`,
    cut: (code) => open.forEach((near) => near.close(code)) ?? open.clear(),
    stop: () => server.close(),
  };
}

const checks = {
  urql: {
    "query by POST": async () => {
      const { data, error } = await urql().query(urqlGql(QUERY), {}).toPromise();
      assert.equal(error, undefined);
      assert.match(data.namespace.id, /^ns_/);
    },
    "query by forced GET": async () => {
      const client = urql({ preferGetMethod: "force", fetchOptions: () => ({ headers: gated }) });
      const { data, error } = await client.query(urqlGql(QUERY), {}).toPromise();
      assert.equal(error, undefined);
      assert.match(data.namespace.id, /^ns_/);
    },
    "fetchSubscriptions": () => {
      const client = urql({ fetchSubscriptions: true });
      return follows((next, fail) => {
        const running = client
          .subscription(urqlGql(FOLLOW), { id: batchId })
          .subscribe((result) => (result.error ? fail(result.error) : next({ data: result.data })));
        return () => running.unsubscribe();
      });
    },
    "websocket subscription": async () => {
      const socket = ws();
      const client = urql({
        exchanges: [
          subscriptionExchange({
            forwardSubscription: (request) => ({
              subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }),
            }),
          }),
        ],
      });
      await follows((next, fail) => {
        const running = client
          .subscription(urqlGql(FOLLOW), { id: batchId })
          .subscribe((result) => (result.error ? fail(result.error) : next({ data: result.data })));
        return () => running.unsubscribe();
      });
      await socket.dispose();
    },
  },
  "apollo 3": apollo(apollo3, GraphQLWsLink3),
  "apollo 4": apollo(apollo4, GraphQLWsLink4),
  "graphql-ws": {
    query: async () => {
      const client = ws();
      assert.match((await once(client, { query: QUERY })).data.namespace.id, /^ns_/);
      await client.dispose();
    },
    subscription: async () => {
      const client = ws();
      await follows((next, fail) =>
        client.subscribe({ query: FOLLOW, variables: { id: batchId } }, { next, error: fail, complete: () => {} }),
      );
      await client.dispose();
    },
    "errors beside a living sibling": async () => {
      const client = ws({ lazy: false, retryAttempts: 0 });
      await follows((next, fail) => {
        const failing = Promise.all(
          [WRONG, BROKEN].map((query) =>
            assert.rejects(once(client, { query }), (errors) => Array.isArray(errors) && errors.length > 0),
          ),
        );
        failing.catch(fail);
        return client.subscribe(
          { query: FOLLOW, variables: { id: batchId } },
          { next, error: fail, complete: () => {} },
        );
      });
      await client.dispose();
    },
    "reconnects after 1012 from its cursor": async () => {
      const between = await proxy();
      const variables = { id: batchId };
      const client = ws({ url: between.url });
      const frames = [];
      const done = new Promise((resolve, reject) => {
        client.subscribe(
          { query: FOLLOW, variables },
          {
            next: ({ data }) => {
              frames.push(data.batchEvents);
              variables.after = data.batchEvents.cursor; // sent with the next subscribe message
              if (frames.length === 3) resolve();
              else if (frames.length === 2) between.cut(1012);
              addObject().catch(reject);
            },
            error: reject,
            complete: () => reject(new Error("completed")),
          },
        );
      });
      await within(done, "third frame");
      assert.equal(frames[0].__typename, "BatchSnapshot");
      for (const [index, frame] of frames.slice(1).entries()) {
        assert.equal(frame.__typename, "BatchEvents");
        assert.equal(frame.fromSequence, frames[index].sequence + 1);
      }
      await client.dispose();
      between.stop();
    },
  },
  "graphql-sse": {
    query: async () => assert.match((await once(sse(), { query: QUERY })).data.namespace.id, /^ns_/),
    subscription: () =>
      follows((next, fail) =>
        sse().subscribe(
          { query: FOLLOW, variables: { id: batchId } },
          { next, error: fail, complete: () => {} },
        ),
      ),
    "validation and syntax error": async () => {
      for (const query of [WRONG, BROKEN]) {
        const { errors } = await once(sse(), { query });
        assert.equal(errors.length, 1);
      }
    },
    "cancel and resume": async () => {
      const first = await new Promise((resolve, reject) => {
        const stop = sse().subscribe(
          { query: FOLLOW, variables: { id: batchId } },
          { next: (result) => (stop(), resolve(result.data.batchEvents)), error: reject, complete: () => {} },
        );
      });
      await addObject();
      const variables = { id: batchId, after: first.cursor };
      const second = await new Promise((resolve, reject) => {
        const stop = sse().subscribe(
          { query: FOLLOW, variables },
          { next: (result) => (stop(), resolve(result.data.batchEvents)), error: reject, complete: () => {} },
        );
      });
      assert.equal(second.__typename, "BatchEvents");
      assert.equal(second.fromSequence, first.sequence + 1);
    },
  },
};

let passed = 0;
let failed = 0;
for (const [client, cases] of Object.entries(checks)) {
  for (const [name, check] of Object.entries(cases)) {
    try {
      await within(check(), "end");
      passed += 1;
    } catch (error) {
      failed += 1;
      console.log(`${client}: ${name}:`, error);
    }
  }
}
console.log(JSON.stringify({ gate: "clients", passed, of: passed + failed }));
process.exit(failed === 0 ? 0 : 1);
