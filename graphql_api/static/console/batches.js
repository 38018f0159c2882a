// The list of batches: a first page by query, older pages on demand, everything kept live by batchesChanged.

import { emptyState, make } from "./dom.js";
import { LIVE, ago, count, duration, percent, rate, secondsBetween, since, statusPill } from "./format.js";
import { BATCHES, BATCHES_CHANGED } from "./operations.js";

const PAGE = 50;
const FILTERS = {
  All: null,
  Running: LIVE,
  "With problems": ["COMPLETED_WITH_ERRORS", "FAILED"],
  Drafts: ["DRAFT"],
};

export function openBatches(place, { api, notices }) {
  const list = make("ul.batch-list");
  const nothing = make("div");
  const older = make("button.button.quiet", { type: "button", hidden: true }, "Show older batches");
  let leave = () => {};
  const choose = (filter) => {
    leave();
    leave = watchList({ api, notices, list, nothing, older, filter });
  };
  place.append(headerLine(), filterLine(choose), headings(), list, nothing, older);
  choose("All");
  return () => leave();
}

// --- what stays ----------------------------------------------------------------------------------

function headerLine() {
  return make(
    "header.title",
    {},
    make("h1", {}, "Batches"),
    make("a.button", { href: "#/new" }, "New batch"),
  );
}

function filterLine(choose) {
  const buttons = Object.keys(FILTERS).map((filter) =>
    make("button", { type: "button", ariaPressed: String(filter === "All") }, filter),
  );
  for (const button of buttons) {
    button.onclick = () => {
      for (const other of buttons) other.ariaPressed = String(other === button);
      choose(button.textContent);
    };
  }
  return make("div.filters", { role: "group", ariaLabel: "Filter by status" }, buttons);
}

function headings() {
  const names = ["Status", "Batch", "Progress", "Documents", "Rate", "Time", "Created"];
  return make("div.batch-headings", { ariaHidden: "true" }, names.map((name) => make("span", {}, name)));
}

// --- what changes --------------------------------------------------------------------------------

function watchList({ api, notices, list, nothing, older, filter }) {
  const batches = new Map();
  const variables = { status: FILTERS[filter] };
  let open = true;
  list.replaceChildren();
  nothing.replaceChildren();

  const show = () => {
    if (!open) return;
    arrange(list, [...batches.values()]);
    nothing.replaceChildren(...(batches.size ? [] : [noBatches(filter)]));
  };
  const readPage = async (after = null) => {
    try {
      const found = (await api.ask(BATCHES, { ...variables, first: PAGE, after })).batches;
      for (const { node } of found.edges) keepNewest(batches, node);
      older.hidden = !found.pageInfo.hasNextPage;
      older.onclick = () => readPage(found.pageInfo.endCursor);
      show();
    } catch (failure) {
      if (open) notices.failed(failure);
    }
  };
  const stop = api.follow(BATCHES_CHANGED, variables, {
    next({ changes }) {
      for (const change of changes) apply(batches, change);
      show();
    },
    failed: (failure) => open && notices.failed(failure),
  });
  readPage();
  return () => {
    open = false;
    stop();
  };
}

function apply(batches, { kind, batchId, batch }) {
  if (kind === "LEFT" || !batch) batches.delete(batchId);
  else keepNewest(batches, batch);
}

/** The query and the subscription race; the higher sequence is the later truth. */
function keepNewest(batches, batch) {
  const known = batches.get(batch.id);
  if (!known || known.sequence <= batch.sequence) batches.set(batch.id, batch);
}

function noBatches(filter) {
  if (filter !== "All") return emptyState("Nothing here", `No batch matches “${filter}” now.`);
  return emptyState(
    "No batches yet",
    "Paste a few texts and watch them become searchable documents.",
    make("a.button", { href: "#/new" }, "Submit the first batch"),
  );
}

// --- rows ----------------------------------------------------------------------------------------

/** Newest first. Rows that did not change stay the same elements, and so keep the focus. */
function arrange(list, batches) {
  batches.sort((a, b) => b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id));
  const known = new Map([...list.children].map((row) => [row.dataset.batch, row]));
  const rows = batches.map((batch) => fillRow(known.get(batch.id) ?? emptyRow(batch), batch));
  const same = rows.length === known.size && rows.every((row, index) => row === list.children[index]);
  if (!same) list.replaceChildren(...rows);
}

function emptyRow({ id }) {
  return make("li", { "data-batch": id }, make("a", { href: `#/batches/${id}` }));
}

function fillRow(row, batch) {
  const version = JSON.stringify(batch);
  if (row.dataset.version !== version) {
    row.dataset.version = version;
    row.firstChild.replaceChildren(...cells(batch));
  }
  return row;
}

function cells(batch) {
  const { id, name, status, counts, progress } = batch;
  return [
    make("span.cell.status", {}, statusPill(status)),
    make("span.cell.name", {}, make("strong", {}, name || "Untitled"), make("small", {}, id)),
    make(
      "span.cell.progress",
      {},
      make("progress", { max: 100, value: progress.percent, ariaLabel: "Progress", "data-status": status }),
      make("span.number", {}, percent(progress.percent)),
    ),
    make("span.cell.number", { "data-label": "documents" }, count(counts.documentsWritten)),
    make("span.cell.number", { "data-label": "" }, rateOf(batch)),
    make("span.cell.number", { "data-label": "" }, timeOf(batch)),
    make("span.cell.number.created", {}, ago(batch.createdAt)),
  ];
}

function rateOf({ status, progress, counts, startedAt, finishedAt }) {
  if (LIVE.includes(status)) return rate(progress.rowsPerSecond);
  if (!startedAt || !finishedAt) return "–";
  return rate(counts.documentsWritten / secondsBetween(startedAt, finishedAt));
}

function timeOf({ status, submittedAt, finishedAt }) {
  if (!submittedAt) return "–";
  if (LIVE.includes(status)) return since(submittedAt);
  return finishedAt ? duration(secondsBetween(submittedAt, finishedAt)) : "–";
}
