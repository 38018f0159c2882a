// Search in one collection: what was asked, the documents that answer, their scores.

import { emptyState, fill, make, meter } from "./dom.js";
import { count, counted } from "./format.js";
import { COLLECTIONS, SEARCH } from "./operations.js";

const HITS = 10;
const SHORTEST_MARK = 3; // letters
// Marking these would hide what matters.
const UNMARKED = new Set("and are for from has have how into its not that the this was what with".split(" "));
const LONGEST_TEXT = 500; // characters; what is longer is cut until asked for
const LONGEST_TAG = 160; // characters; what is longer unfolds
const TEXT_FIELDS = ["text", "content"];
const UNSHOWN = new Set(["chunk_index", "start_char", "end_char"]);

export function openSearch(place, { api, notices }, chosen) {
  const collection = make("select", { id: "collection" });
  const query = make("input", { id: "query", type: "search", placeholder: "What are you looking for?" });
  const form = searchForm(collection, query);
  const answers = make("div.answers", { ariaLive: "polite" });
  let open = true;

  const search = async () => {
    const text = query.value.trim();
    if (!text || !collection.value) return query.focus();
    answers.ariaBusy = "true";
    try {
      const variables = { collectionId: collection.value, text, first: HITS };
      const { searchDocuments } = await api.ask(SEARCH, variables);
      if (open) answers.replaceChildren(...answersOf(searchDocuments, text));
    } catch (failure) {
      if (open) notices.failed(failure);
    } finally {
      answers.ariaBusy = "false";
    }
  };
  const load = async () => {
    const { collections } = await api.ask(COLLECTIONS);
    if (!open) return;
    const found = collections.edges.map(({ node }) => node).filter(({ vectors }) => vectors.length);
    offerCollections(collection, found, chosen);
    place.append(found.length ? form : "", answers);
    answers.append(found.length ? beforeSearch() : noCollections());
    query.focus();
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    search();
  };
  collection.onchange = () => query.value.trim() && search();
  place.append(make("header.title", {}, make("h1", {}, "Search")));
  load().catch(notices.failed);
  return () => (open = false);
}

function searchForm(collection, query) {
  return make(
    "form.search",
    { role: "search" },
    make("label.hidden", { htmlFor: "collection" }, "Collection"),
    collection,
    make("label.hidden", { htmlFor: "query" }, "Query"),
    query,
    make("button.button", {}, "Search"),
  );
}

/** Those with documents first: they can answer. */
function offerCollections(select, collections, chosen) {
  collections.sort((a, b) => b.documentCount - a.documentCount);
  const options = collections.map(({ id, name, documentCount }) =>
    make("option", { value: id }, `${name} (${counted(documentCount, "document")})`),
  );
  select.replaceChildren(...options);
  if (collections.some(({ id }) => id === chosen)) select.value = chosen;
}

// --- answers -------------------------------------------------------------------------------------

function beforeSearch() {
  return emptyState(
    "Ask in your own words",
    "Documents are found by meaning, so a question works as well as a phrase. Press / to come back here.",
  );
}

function noCollections() {
  return emptyState(
    "Nothing to search yet",
    "A collection holds the documents that a batch writes.",
    make("a.button", { href: "#/new" }, "Submit the first batch"),
  );
}

function answersOf({ hits, tookMs }, text) {
  if (!hits.length) {
    return [emptyState("No document found", "Has a batch of this collection been completed?")];
  }
  const words = markable(text);
  return [
    make("p.quiet", {}, `${counted(hits.length, "document")} in ${count(Math.round(tookMs))} ms`),
    make("ol.hits", {}, hits.map((hit) => answer(hit, words))),
  ];
}

function answer({ score, document: { id, fields } }, words) {
  const name = textField(fields);
  const rest = Object.entries(fields).filter(([key, value]) => key !== name && isShown(key, value));
  const [long, short] = [rest.filter(isLong), rest.filter((entry) => !isLong(entry))];
  return make(
    "li.card",
    {},
    make(
      "p.score",
      { title: `Score ${score}` },
      meter("Score", score, 1),
      make("span.number", {}, score.toFixed(3)),
    ),
    name ? textOf(id, fields[name], words) : make("p.text", { title: id }, "No text"),
    short.length > 0 && make("dl.tags", {}, short.map(tag)),
    long.map(longText),
  );
}

function textOf(id, text, words) {
  const shown = make("p.text", { title: id }, marked(text, words));
  if (text.length <= LONGEST_TEXT) return shown;
  shown.classList.add("cut");
  const all = () => {
    shown.classList.remove("cut");
    more.remove();
  };
  const more = make("button.more", { type: "button", onclick: all }, "Show all of it");
  return make("div", {}, shown, more);
}

function textField(fields) {
  const texts = Object.keys(fields).filter((key) => typeof fields[key] === "string");
  return TEXT_FIELDS.find((key) => texts.includes(key)) ?? texts[0];
}

function isLong([, value]) {
  return typeof value === "string" && (value.length > LONGEST_TAG || value.includes("\n"));
}

function isShown(key, value) {
  return !UNSHOWN.has(key) && value !== null && value !== "";
}

function tag([key, value]) {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return make("div", {}, make("dt", {}, key), make("dd", {}, text));
}

function longText([key, value]) {
  return make("details", {}, make("summary", {}, key), make("p.text", {}, value));
}

// --- marking what was asked ----------------------------------------------------------------------

function markable(text) {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.filter((word) => word.length >= SHORTEST_MARK && !UNMARKED.has(word));
}

function marked(text, words) {
  if (!words.length) return text;
  const anyWord = new RegExp(`(?<![\\p{L}\\p{N}])((?:${words.join("|")})[\\p{L}\\p{N}]*)`, "giu");
  const parts = text.split(anyWord); // every second part is a match
  return [fill(make("span"), parts.map((part, index) => (index % 2 ? make("mark", {}, part) : part)))];
}
