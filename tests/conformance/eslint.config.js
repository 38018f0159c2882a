// What the schema and the operations of frontend_examples/ are held to.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import graphql from "@graphql-eslint/eslint-plugin";
import { buildSchema, isObjectType } from "graphql";

const root = fileURLToPath(new URL("../..", import.meta.url));
const schema = `${root}graphql_api/schema.graphql`;
const operations = `${root}frontend_examples/operations/*.graphql`;

// Counts, places and the like are values: they have no identity. What has one is a Node.
const values = Object.values(buildSchema(readFileSync(schema, "utf8")).getTypeMap())
  .filter((type) => isObjectType(type) && !type.getInterfaces().some((one) => one.name === "Node"))
  .map((type) => type.name);

const parser = { parser: graphql.parser, parserOptions: { graphQLConfig: { schema, documents: operations } } };
const plugins = { "@graphql-eslint": graphql };
const rule = (name) => `@graphql-eslint/${name}`;

export default [
  {
    files: ["**/schema.graphql"],
    languageOptions: parser,
    plugins,
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      [rule("require-nullable-result-in-root")]: "error",
      [rule("no-scalar-result-type-on-mutation")]: "error",
      [rule("require-field-of-type-query-in-mutation-result")]: "error",
      [rule("require-deprecation-date")]: "error",
      [rule("input-name")]: ["error", { checkInputType: true, caseSensitiveInputType: false }],
      [rule("strict-id-in-types")]: ["error", { exceptions: { types: values } }],
      // The one directive is GraphQL's own.
      [rule("require-description")]: [
        "error",
        { types: true, rootField: true, DirectiveDefinition: false },
      ],
      // Short lists inside an object are no pages; a run of a schedule is known by its schedule.
      [rule("relay-edge-types")]: [
        "error",
        { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false },
      ],
      // A batch's objects are walked forward only.
      [rule("relay-arguments")]: ["error", { includeBoth: false }],
    },
  },
  {
    files: ["**/operations/*.graphql"],
    languageOptions: parser,
    plugins,
    rules: {
      ...graphql.configs["flat/operations-recommended"].rules,
      // Examples are files of one operation each, and named as their file is.
      [rule("selection-set-depth")]: ["error", { maxDepth: 12 }],
      // A list of values needs no ids.
      [rule("require-selections")]: "off",
    },
  },
];
