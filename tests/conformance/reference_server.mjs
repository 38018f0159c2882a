// The reference server of graphql-transport-ws, with what the table asks for. Prints its port.
import { createServer } from "node:http";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const schema = buildSchema(`
  type Query { ok: Boolean }
  type Bucket { name: String }
  type Made { bucket: Bucket }
  input New { name: String! }
  type Mutation { createBucket(input: New!): Made }
  type Frame { ok: Boolean }
  type Subscription { batchEvents(batchId: ID!): Frame }
`);

async function* frames() {
  yield { batchEvents: { ok: true } };
  await new Promise(() => {}); // what follows never comes
}

const server = createServer();
useServer(
  { schema, roots: { mutation: { createBucket: () => ({ bucket: null }) }, subscription: { batchEvents: frames } } },
  new WebSocketServer({ server, path: "/graphql" }),
);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
