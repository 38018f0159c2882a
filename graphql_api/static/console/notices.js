// What the console says beside the room: notices that pass, and questions that wait for an answer.

import { make } from "./dom.js";

const READING_MS = 9_000;

export function watchNotices(page) {
  const place = page.getElementById("notices");
  const show = (kind, text, hint) => {
    const close = make("button", { type: "button", ariaLabel: "Dismiss" }, "×");
    const notice = make(
      "div.notice",
      { "data-kind": kind },
      make("div", {}, make("strong", {}, text), hint && make("p", {}, hint)),
      close,
    );
    close.onclick = () => notice.remove();
    place.append(notice);
    if (kind !== "bad") setTimeout(() => notice.remove(), READING_MS);
  };
  return {
    say: (text, hint) => show("good", text, hint),
    warn: (text, hint) => show("warn", text, hint),
    /** An error stays until it is dismissed. */
    failed: (failure) => show("bad", failure.message, failure.hint),
    clear: () => place.replaceChildren(),
  };
}

/** Ask for a confirmation; Escape is a no. */
export function confirmed(page, { title, text, yes }) {
  const dialog = page.getElementById("question");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
