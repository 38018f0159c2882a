// One batch, live: its head by batchEvents frames, its tables by a query that follows them more slowly.

import { batchActions } from "./batch_actions.js";
import { batchSections } from "./batch_sections.js";
import { diagnosisCard } from "./diagnosis.js";
import { emptyState, make, refill } from "./dom.js";
import {
  LIVE,
  ago,
  count,
  counted,
  duration,
  percent,
  rate,
  secondsBetween,
  since,
  statusPill,
  until,
} from "./format.js";
import { BATCH, BATCH_EVENTS } from "./operations.js";
import { rowErrorList } from "./row_errors.js";

const TABLES_EVERY_MS = 1_200;
const OUTLOOK_EVERY_MS = 5_000; // of a live batch that tells nothing: what is before it goes on

export function openBatch(place, { api, notices }, id) {
  const head = make("div.batch-head");
  const tables = make("div.batch-tables");
  const health = diagnosisCard(api, notices, id);
  const rowErrors = rowErrorList(api, notices, id);
  let now = null;
  let outlook = {};
  let stop = () => {};
  const back = make("a.back", { href: "#/batches" }, "← All batches");
  place.append(back, head, health.element, tables, rowErrors.element);

  const readTables = slowly(async () => {
    const { batch } = await api.ask(BATCH, { id }).catch(failInto(notices));
    if (!batch || !now) return;
    outlook = batch;
    showHead();
    refill(tables, batchSections(now, batch));
  }, TABLES_EVERY_MS);
  const again = setInterval(() => now && LIVE.includes(now.status) && readTables.soon(), OUTLOOK_EVERY_MS);
  const showHead = () => refill(head, headOf(now, outlook, { api, notices, reopened: follow }));
  const show = (batch) => {
    now = batch;
    showHead();
    health.show(now);
    rowErrors.show(now.counts.rowsFailed);
    readTables.soon();
  };
  /** The stream of a batch ends with it, so one that goes on after its end is followed anew. */
  function follow() {
    stop();
    stop = api.follow(
      BATCH_EVENTS,
      { batchId: id },
      {
        next(frame) {
          if (frame.__typename !== "BatchDiscontinuity") show(frame.batch); // a snapshot comes next
        },
        failed(failure) {
          if (now) notices.failed(failure);
          else place.append(noBatch(failure));
        },
      },
    );
  }
  follow();
  return () => {
    stop();
    clearInterval(again);
    readTables.stop();
    health.stop();
    rowErrors.stop();
  };
}

function noBatch({ message, hint }) {
  const link = make("a.button", { href: "#/batches" }, "All batches");
  return emptyState(message, hint || "It may have been deleted, or belong to another key.", link);
}

function failInto(notices) {
  return (failure) => {
    notices.failed(failure);
    return {};
  };
}

/** Run at once, then at most once in `pause` milliseconds, and always once after the last call. */
function slowly(work, pause) {
  let timer = null;
  let wanted = false;
  const run = async () => {
    wanted = false;
    timer = setTimeout(() => {
      timer = null;
      if (wanted) run();
    }, pause);
    await work();
  };
  return {
    soon() {
      wanted = true;
      if (timer === null) run();
    },
    stop() {
      wanted = false;
      clearTimeout(timer);
    },
  };
}

// --- the head ------------------------------------------------------------------------------------

function headOf(batch, outlook, means) {
  const actions = batchActions(batch, means);
  return [
    make(
      "header.title",
      {},
      make("div", {}, make("h1", {}, batch.name || "Untitled"), make("code", {}, batch.id)),
      statusPill(batch.status),
      actions.length > 0 && make("div.actions", {}, actions),
    ),
    progressOf(batch),
    make("dl.figures", {}, figures(batch, outlook).map(figure)),
    reasonOf(batch),
  ];
}

function progressOf({ status, progress }) {
  return make(
    "div.big-progress",
    {},
    make("progress", {
      max: 100,
      value: progress.percent,
      ariaLabel: "Progress of the batch",
      "data-status": status,
    }),
    make("span.number", {}, percent(progress.percent)),
  );
}

function figures(batch, outlook) {
  const { status, counts, progress, createdAt, submittedAt, startedAt, finishedAt } = batch;
  const live = LIVE.includes(status);
  const ran = startedAt && finishedAt ? secondsBetween(startedAt, finishedAt) : 0;
  return [
    ["Documents", count(counts.documentsWritten)],
    ["Objects", count(counts.objects)],
    ["Blocks", `${count(progress.blocksDone)} of ${count(progress.blocksTotal)}`],
    ["Rate", live ? rate(progress.rowsPerSecond) : rate(ran && counts.documentsWritten / ran)],
    live && outlook.queuePosition && ["Place in the queue", count(outlook.queuePosition)],
    live && outlook.estimatedStartAt && ["Goes on in", until(outlook.estimatedStartAt)],
    live && ["Time left", outlook.estimatedFinishAt ? until(outlook.estimatedFinishAt) : "–"],
    submittedAt && ["Time", live ? since(submittedAt) : timeTaken(submittedAt, finishedAt)],
    ["Created", ago(createdAt)],
  ].filter(Boolean);
}

function timeTaken(from, to) {
  return to ? duration(secondsBetween(from, to)) : "–";
}

function figure([name, value]) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

/** Why it waits, why it failed, or how many of its rows did. */
function reasonOf({ status, reason, errorMessage, counts }) {
  const failed = counts.rowsFailed;
  if (errorMessage) return callout("bad", errorMessage);
  if (reason) return callout(LIVE.includes(status) ? "wait" : "warn", reason.message, reason.code);
  if (failed) return callout("warn", `${counted(failed, "row")} failed; the others are searchable.`);
  return null;
}

function callout(kind, text, code) {
  return make("p.callout", { "data-kind": kind }, text, code && make("code", {}, code));
}
