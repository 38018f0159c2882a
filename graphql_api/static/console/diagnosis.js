// How a batch is doing: its health, what was found and from what, what to do, a sample of failed rows.

import { make, refill } from "./dom.js";
import { LIVE, ago, counted, duration, secondsBetween } from "./format.js";
import { DIAGNOSE_BATCH } from "./operations.js";

const EVERY_MS = 5_000; // also without news: what stands still sends none
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export function diagnosisCard(api, notices, id) {
  const element = make("section.card.diagnosis", { hidden: true, ariaLabel: "Diagnosis" });
  let open = true;
  let live = true;
  let status = null;

  const read = async () => {
    try {
      const { diagnoseBatch: found } = await api.ask(DIAGNOSE_BATCH, { id });
      if (!open || !found) return;
      element.hidden = found.health.state === "ENDED" && !found.findings.length;
      refill(element, diagnosis(found));
    } catch (failure) {
      if (open) notices.failed(failure);
      live = false; // the next change of the batch asks again
    }
  };
  const timer = setInterval(() => live && !document.hidden && read(), EVERY_MS);
  return {
    element,
    /** Read at once when the status is another; the timer does the rest. */
    show(batch) {
      live = LIVE.includes(batch.status);
      const now = `${batch.status} ${batch.pausedAt}`;
      if (now === status) return;
      status = now;
      read();
    },
    stop() {
      open = false;
      clearInterval(timer);
    },
  };
}

function diagnosis({ health, findings, failedRows }) {
  return [
    make("header", {}, make("h2", {}, "Health"), healthPill(health.state)),
    health.state !== "ENDED" && make("p.summary", {}, health.summary), // else the head says it
    findings.length > 0 && make("ul.findings", {}, findings.map(finding)),
    failedRows.length > 0 && sample(failedRows),
  ];
}

function healthPill(state) {
  return make("span.pill", { id: "health", "data-health": state }, sentence(state));
}

function finding({ category, severity, summary, recommendation, evidence }) {
  return make(
    "li",
    { "data-severity": severity },
    make("p", {}, make("span.tag", {}, severity.toLowerCase()), make("strong", {}, sentence(category))),
    make("p", {}, summary),
    make("p.todo", {}, make("strong", {}, "What to do: "), recommendation),
    make("dl.evidence", {}, evidence.map(fact)),
  );
}

function fact({ name, number, at, text }) {
  const value = at ? moment(at) : (text ?? NUMBER.format(number));
  return make("div", {}, make("dt", {}, words(name)), make("dd", {}, value));
}

function moment(at) {
  const ahead = -secondsBetween(at);
  return ahead > 0 ? `in ${duration(ahead)}` : ago(at);
}

function sample(rows) {
  const items = rows.map(({ category, message, objectId }) =>
    make(
      "li",
      {},
      make("span.tag", {}, sentence(category)),
      message,
      objectId && make("code", {}, objectId),
    ),
  );
  const title = make("h3", {}, `A sample of ${counted(rows.length, "failed row")}, of every cause`);
  return [title, make("ul.sample", {}, items)];
}

/** "blocksReady" as "blocks ready". */
function words(name) {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** "NO_CONDUCTOR" as "No conductor". */
function sentence(constant) {
  const [first, ...rest] = constant.toLowerCase().replaceAll("_", " ");
  return first.toUpperCase() + rest.join("");
}
