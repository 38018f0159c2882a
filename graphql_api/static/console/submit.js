// The form that makes a batch out of pasted texts and dropped files.

import { make } from "./dom.js";
import { count, counted } from "./format.js";
import { readFile, readPasted } from "./intake.js";
import { PLACES } from "./operations.js";
import { NEW_BUCKET, addFile, buildForm, newBucketOption } from "./submit_form.js";
import {
  createBucket,
  createTextCollection,
  propertiesOf,
  requiredBeside,
  submitTexts,
} from "./upload.js";

export function openSubmit(place, { api, notices }) {
  const form = buildForm();
  const files = [];
  const state = { buckets: [], collections: [] };
  let open = true;

  const refresh = () => open && showPlan(form, state, textsOf(form, files).length);
  const addFiles = async (chosen) => {
    for (const file of chosen) {
      await readFile(file).then(
        (texts) => addFile(form, files, { name: file.name, texts }, refresh),
        (error) => notices.failed(error),
      );
    }
    refresh();
  };
  const load = async (chosen) => {
    Object.assign(state, await readPlaces(api));
    if (open) offerBuckets(form, state, chosen);
    refresh();
  };
  const submit = async () => {
    const texts = textsOf(form, files);
    if (!texts.length) return form.texts.focus();
    const result = await submitAll({ api, form, state, texts }).catch((failure) => {
      notices.failed(failure);
      load(form.bucket.value); // what was made before the failure is there to choose
    });
    if (result && open) finish(result, texts, notices);
  };

  place.append(form.element);
  form.onInput(refresh);
  form.onFiles(addFiles);
  form.onSubmit(submit);
  load().catch(notices.failed);
  form.texts.focus();
  return () => (open = false);
}

function finish({ batchId, refused }, texts, notices) {
  if (refused.length) {
    const [{ message, hint }] = refused;
    notices.warn(`${counted(refused.length, "text")} of ${count(texts.length)} refused: ${message}`, hint);
  }
  location.hash = `#/batches/${batchId}`;
}

function textsOf(form, files) {
  return [...readPasted(form.texts.value), ...files.flatMap(({ texts }) => texts)];
}

// --- where the texts go --------------------------------------------------------------------------

async function readPlaces(api) {
  const { buckets, collections } = await api.ask(PLACES);
  return {
    buckets: buckets.edges.map(({ node }) => node),
    collections: collections.edges.map(({ node }) => node),
  };
}

function offerBuckets(form, state, chosen = bareTextBucket(state)?.id) {
  const options = state.buckets.map(({ id, name, objectCount }) =>
    make("option", { value: id }, `${name} (${counted(objectCount, "object")})`),
  );
  form.bucket.replaceChildren(...options, newBucketOption());
  form.bucket.value = chosen ?? NEW_BUCKET;
}

function bareTextBucket(state) {
  return state.buckets.find((bucket) => !besides(bucket, state).length);
}

function chosenBucket(form, { buckets }) {
  return buckets.find(({ id }) => id === form.bucket.value);
}

function readersOf(bucket, { collections }) {
  return collections.filter(({ source }) => source.bucketId === bucket?.id);
}

function besides(bucket, state) {
  return requiredBeside(bucket, propertiesOf(bucket, readersOf(bucket, state)));
}

function showPlan(form, state, texts) {
  const bucket = chosenBucket(form, state);
  form.nameRow.hidden = Boolean(bucket);
  form.bucketName.disabled = Boolean(bucket);
  form.piecesRow.hidden = readersOf(bucket, state).length > 0;
  form.plan.textContent = `${counted(texts, "text")} ${planWords(bucket, state)}`;
}

function planWords(bucket, state) {
  if (!bucket) return "go to a new bucket, and a new text collection reads it";
  const readers = readersOf(bucket, state);
  const properties = propertiesOf(bucket, readers).join("” and “");
  const names = readers.map(({ name }) => name).join(", ");
  const more = besides(bucket, state);
  return [
    `go to ${bucket.name} as “${properties}”`,
    readers.length ? `, read by ${names}` : ", and a new text collection reads it",
    more.length ? `. Each also needs ${more.join(", ")}: give them in a .jsonl file` : "",
  ].join("");
}

async function submitAll({ api, form, state, texts }) {
  form.button.disabled = true;
  const say = (done) => (form.button.textContent = `Uploading ${count(done)} of ${count(texts.length)}`);
  say(0);
  try {
    const bucket = chosenBucket(form, state) ?? (await addBucket(api, form, state));
    const readers = readersOf(bucket, state);
    if (!readers.length) await createTextCollection(api, bucket, form.pieces.value);
    const properties = propertiesOf(bucket, readers);
    const name = form.name.value.trim() || null;
    return await submitTexts(api, { bucket, properties, name, texts }, say);
  } finally {
    form.button.disabled = false;
    form.button.textContent = "Submit";
  }
}

/** Chosen at once, so that a second try goes on from here. */
async function addBucket(api, form, state) {
  const bucket = await createBucket(api, form.bucketName.value.trim());
  state.buckets.push({ ...bucket, objectCount: 0 });
  offerBuckets(form, state, bucket.id);
  return bucket;
}
