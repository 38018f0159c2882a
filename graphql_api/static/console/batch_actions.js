// What can be done to a batch, as far as its status allows it. What cannot be undone is asked for first.

import { make } from "./dom.js";
import { CANCELABLE, RETRYABLE, counted } from "./format.js";
import { confirmed } from "./notices.js";
import {
  CANCEL_BATCH,
  PAUSE_BATCH,
  RESUME_BATCH,
  RETRY_BATCH,
  SUBMIT_BATCH,
} from "./operations.js";

/** The buttons of a batch; `reopened` is called when it goes on after its end. */
export function batchActions(batch, { api, notices, reopened }) {
  const act = (operation, variables = {}) =>
    api.ask(operation, { batchId: batch.id, ...variables }).catch(notices.failed);
  const retry = (mode) => async () => {
    const answer = await act(RETRY_BATCH, { mode });
    if (!answer) return;
    const { blocksReopened, rowsReopened } = answer.retryBatch;
    notices.say(`${counted(rowsReopened, "failed row")} in ${counted(blocksReopened, "block")} go on`);
    reopened();
  };
  const { status } = batch;
  if (status === "DRAFT") return [button("submit", "Submit", () => act(SUBMIT_BATCH), "")];
  if (RETRYABLE.includes(status)) {
    return [
      button("retry-transient", "Retry what may pass", retry("TRANSIENT_ONLY")),
      button("retry-all", "Retry all", retry("ALL")),
    ];
  }
  if (!CANCELABLE.includes(status)) return [];
  return [
    batch.pausedAt
      ? button("resume", "Resume", () => act(RESUME_BATCH))
      : button("pause", "Pause", () => act(PAUSE_BATCH)),
    button("cancel", "Cancel batch", async () => (await sure(batch)) && act(CANCEL_BATCH), ".danger"),
  ];
}

function button(id, text, onclick, kind = ".quiet") {
  return make(`button.button${kind}`, { type: "button", id, onclick: once(onclick) }, text);
}

/** One click, one request: until it is answered the button takes no other. */
function once(work) {
  return async ({ currentTarget: pressed }) => {
    pressed.disabled = true;
    try {
      await work();
    } finally {
      pressed.disabled = false;
    }
  };
}

function sure({ id, name }) {
  return confirmed(document, {
    title: `Cancel “${name || id}”?`,
    text: "Work under way is stopped. Documents that are already written stay searchable.",
    yes: "Cancel the batch",
  });
}
