// The tables of a batch: its funnel of rows, its time line, tiers and blocks, artifacts.

import { make, meter } from "./dom.js";
import { STATUS_WORDS, bytes, clock, count, counted, duration, secondsBetween } from "./format.js";

const BLOCK_STATES = ["done", "leased", "ready", "waiting", "failed", "canceled"];
const BLOCK_WORDS = { leased: "running" };
const LOST = new Set(["lost", "bad"]); // a line only if there are any

/** `now` has the newest counts; `batch` the tiers, transitions and artifacts. */
export function batchSections(now, batch) {
  return [
    make("div.pair", {}, funnel(now.counts), timeLine(batch.transitions)),
    tiers(batch.tiers),
    artifacts(batch.artifacts),
  ];
}

function section(title, ...children) {
  return make("section.card", {}, make("h2", {}, title), children);
}

// --- funnel --------------------------------------------------------------------------------------

function funnel(counts) {
  const steps = [
    ["Objects in the batch", counts.objects],
    ["Rows read", counts.rowsIn],
    ["without an input", counts.rowsMissingInput, "lost"],
    ["filtered out", counts.rowsFiltered, "lost"],
    ["skipped", counts.rowsSkipped, "lost"],
    ["failed", counts.rowsFailed, "bad"],
    ["Rows done", counts.rowsSucceeded],
    ["Documents written", counts.documentsWritten, "documents"],
  ];
  const most = Math.max(1, counts.objects, counts.rowsIn);
  const shown = steps.filter(([, value, kind]) => value || !LOST.has(kind));
  return section("Rows", make("ul.funnel", {}, shown.map((step) => funnelStep(step, most))));
}

function funnelStep([name, value, kind = "kept"], most) {
  return make(
    "li",
    { "data-kind": kind },
    make("span", {}, name),
    // Documents count something else than rows, so they have no place on the same scale.
    kind === "documents" ? make("span") : meter(name, value, most),
    make("span.number", {}, count(value)),
  );
}

// --- time line -----------------------------------------------------------------------------------

function timeLine(transitions) {
  const steps = transitions.map((step, index) => {
    const before = transitions[index - 1];
    return make(
      "li",
      { "data-status": step.status },
      make("strong", {}, STATUS_WORDS[step.status] ?? step.status),
      clock(step.at),
      before && make("small", {}, `after ${duration(secondsBetween(before.at, step.at))}`),
    );
  });
  return section("Time line", make("ol.timeline", {}, steps));
}

// --- tiers and blocks ----------------------------------------------------------------------------

function tiers(found) {
  if (!found.length) return null;
  return section(
    "Tiers",
    found.map(({ number, collections }) =>
      make("div.tier", {}, make("h3", {}, `Tier ${number}`), collections.map(tierCollection)),
    ),
  );
}

function tierCollection({ collection, counts, blocks }) {
  return make(
    "div.tier-collection",
    {},
    make(
      "p",
      {},
      make("strong", {}, collection?.name ?? "A deleted collection"),
      ` ${counted(counts.documentsWritten, "document")} from ${counted(counts.rowsIn, "row")}`,
      collection?.vectors.length > 0 && make("a", { href: `#/search/${collection.id}` }, "Search"),
    ),
    blockBar(blocks),
  );
}

function blockBar(blocks) {
  const present = BLOCK_STATES.filter((state) => blocks[state]);
  const words = present.map((state) => `${count(blocks[state])} ${BLOCK_WORDS[state] ?? state}`);
  const bar = present.map((state) => {
    const part = make("span", { "data-state": state });
    part.style.flexGrow = blocks[state];
    return part;
  });
  const text = words.length ? `Blocks: ${words.join(", ")}` : "No blocks yet";
  return [make("div.block-bar", { ariaHidden: "true" }, bar), make("small", {}, text)];
}

// --- artifacts -----------------------------------------------------------------------------------

function artifacts(found) {
  if (!found.length) return null;
  const names = ["Extractor", "Rows", "Size", "Key", "SHA-256"];
  const head = make("tr", {}, names.map((name) => make("th", { scope: "col" }, name)));
  const rows = found.map((artifact) =>
    make(
      "tr",
      {},
      make("td", {}, artifact.extractor),
      make("td.number", {}, count(artifact.rows)),
      make("td.number", {}, bytes(artifact.bytes)),
      make("td", {}, make("code", { title: artifact.key }, artifact.key)),
      make("td", {}, make("code", { title: artifact.sha256 }, artifact.sha256.slice(0, 12))),
    ),
  );
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, rows));
  return section("Artifacts", make("div.scroll", { tabIndex: 0 }, table));
}
