// From texts to a submitted batch: bucket and collection when they are missing, objects, batch, submit.

import {
  ADD_OBJECTS,
  CREATE_BATCH,
  CREATE_BUCKET,
  CREATE_COLLECTION,
  CREATE_OBJECTS,
  SUBMIT_BATCH,
} from "./operations.js";

const PROPERTY = "content"; // the blob property of the buckets that the console makes
const SOURCE = "source"; // where a text came from: a file's name
const OBJECTS_A_CALL = 500;
const CHARACTERS_A_CALL = 500_000; // of at most 3 bytes, perhaps in two properties; a body may have 4 MiB

export const PIECES = {
  none: { words: "Each whole text", parameters: { split_by: "none" } },
  paragraphs: { words: "Paragraphs", parameters: { split_by: "paragraphs", chunk_size: 1 } },
  sentences: { words: "Three sentences at a time", parameters: { split_by: "sentences", chunk_size: 3 } },
};

export async function createBucket(api, name) {
  const fields = [
    { name: PROPERTY, type: "TEXT", required: true },
    { name: SOURCE, type: "STRING" },
  ];
  return (await api.ask(CREATE_BUCKET, { name, fields })).createBucket.bucket;
}

export async function createTextCollection(api, bucket, pieces) {
  const input = {
    name: `${bucket.name}-${pieces}`,
    source: { bucketId: bucket.id },
    extractor: { name: "text", parameters: PIECES[pieces].parameters },
    inputMappings: [{ input: "text", path: propertiesOf(bucket, [])[0] }],
    passthrough: knowsSource(bucket) ? [{ path: SOURCE, target: SOURCE }] : [],
  };
  await api.ask(CREATE_COLLECTION, { input });
}

/** A bucket without fields takes any; one with fields refuses to pass on what it does not name. */
function knowsSource({ fields }) {
  return !fields.length || fields.some(({ name }) => name === SOURCE);
}

/** The properties that a text has to be in, so that every reader of the bucket finds it. */
export function propertiesOf({ fields }, readers) {
  const mappings = readers.flatMap(({ inputMappings }) => inputMappings);
  const mapped = mappings.filter(({ input, path }) => input === "text" && path && !path.includes("."));
  const blob = fields.find(({ type }) => type === "TEXT")?.name;
  const found = new Set([...mapped.map(({ path }) => path), ...(blob ? [blob] : [])]);
  return found.size ? [...found] : [PROPERTY];
}

/** What objects must carry besides their text; a .jsonl file can. */
export function requiredBeside({ fields }, properties) {
  const required = fields.filter((field) => field.required).map(({ name }) => name);
  return required.filter((name) => name !== SOURCE && !properties.includes(name));
}

/** `onProgress(done)` counts texts; returns { batchId, refused }, refused being [{ message, hint }]. */
export async function submitTexts(api, { bucket, properties, name, texts }, onProgress) {
  const { id: batchId } = (await api.ask(CREATE_BATCH, { bucketId: bucket.id, name })).createBatch.batch;
  const refused = [];
  let done = 0;
  for (const group of groups(texts)) {
    const objectIds = await createObjects(api, { bucket, properties }, group, refused);
    if (objectIds.length) await api.ask(ADD_OBJECTS, { batchId, objectIds });
    onProgress((done += group.length));
  }
  if (refused.length < texts.length) await api.ask(SUBMIT_BATCH, { batchId });
  return { batchId, refused };
}

async function createObjects(api, { bucket, properties }, group, refused) {
  const objects = group.map(({ text, key, metadata }) => ({
    key,
    metadata,
    blobs: properties.map((property) => ({ property, text })),
  }));
  const { results } = (await api.ask(CREATE_OBJECTS, { bucketId: bucket.id, objects })).createObjects;
  refused.push(...results.filter(({ object }) => !object).map(({ errors }) => errors[0]));
  return results.filter(({ object }) => object).map(({ object }) => object.id);
}

/** Neighbours together, as many as one call may carry. */
function* groups(texts) {
  let group = [];
  let size = 0;
  for (const text of texts) {
    const weight = text.text.length;
    if (group.length && (group.length === OBJECTS_A_CALL || size + weight > CHARACTERS_A_CALL)) {
      yield group;
      [group, size] = [[], 0];
    }
    group.push(text);
    size += weight;
  }
  if (group.length) yield group;
}
