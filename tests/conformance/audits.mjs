// The audits of graphql-http. Prints what fails; ends with 1 unless all of them pass.
import { auditServer } from "graphql-http";

const headers = {
  authorization: `Bearer ${process.env.STRATA_KEY}`,
  "graphql-require-preflight": "1",
};
const fetchFn = (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, ...headers } });
const results = await auditServer({ url: process.env.STRATA_ENDPOINT, fetchFn });
const failed = results.filter((result) => result.status !== "ok");
for (const { id, name, status, reason } of failed) console.log(status, id, name, reason);
console.log(JSON.stringify({ gate: "audits", passed: results.length - failed.length, of: results.length }));
process.exit(results.length >= 61 && failed.length === 0 ? 0 : 1);
