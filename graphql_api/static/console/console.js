// The console put together: the key, the connection, and the room that the address names.
// A room is a function of (place, { api, notices }, ...address) that returns how to leave it.

import { openApi } from "./api.js";
import { openBatch } from "./batch.js";
import { openBatches } from "./batches.js";
import { emptyState, make } from "./dom.js";
import { tickTimes } from "./format.js";
import { watchKey } from "./key.js";
import { watchNotices } from "./notices.js";
import { openSearch } from "./search.js";
import { openSubmit } from "./submit.js";

const CONNECTION_WORDS = {
  idle: "Ready",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  refused: "Key refused",
  keyless: "No key yet",
};

const page = document;
const place = page.getElementById("room");
const notices = watchNotices(page);
const key = watchKey(page, restart);
let api;
let leave = () => {};

function restart() {
  leave();
  leave = () => {};
  api?.close();
  notices.clear();
  const value = key.value();
  const report = reportOf(); // also without a key: the connection before must not speak after it
  api = value ? openApi(page.body.dataset.endpoint, value, report) : null;
  showConnection(value ? "idle" : "keyless");
  enter();
}

/** Only the newest connection reports; one that is closing has nothing to say any more. */
function reportOf() {
  const mine = (reportOf.newest = {});
  return (state) => mine === reportOf.newest && showConnection(state);
}

function showConnection(state) {
  const output = page.getElementById("connection");
  output.dataset.state = state;
  output.value = CONNECTION_WORDS[state];
}

function enter() {
  leave();
  const [room, ...address] = readAddress();
  markRoom(room);
  place.replaceChildren();
  place.className = `room ${room}`;
  leave = api ? chooseRoom(room, address)(place, { api, notices }, ...address) : welcome();
}

function readAddress() {
  const parts = location.hash.replace(/^#\//, "").split("/").filter(Boolean).map(decodeURIComponent);
  return parts.length ? parts : ["batches"];
}

function chooseRoom(room, address) {
  if (room === "batches" && address.length) return openBatch;
  return { batches: openBatches, new: openSubmit, search: openSearch }[room] ?? openNowhere;
}

function markRoom(room) {
  for (const link of page.querySelectorAll("[data-room]")) {
    if (link.dataset.room === room) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function welcome() {
  const field = page.getElementById("api-key");
  place.append(
    emptyState(
      "Paste an API key to begin",
      "strata up prints one and keeps it in .strata/demo.json. It stays in this browser tab only.",
      make("button.button", { type: "button", onclick: () => field.focus() }, "Enter the key"),
    ),
  );
  return () => {};
}

function openNowhere(place) {
  place.append(
    emptyState(
      "There is nothing here",
      "The address names no room of this console.",
      make("a.button", { href: "#/batches" }, "All batches"),
    ),
  );
  return () => {};
}

function searchOnSlash(event) {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (readAddress()[0] === "search") page.getElementById("query")?.focus();
  else location.hash = "#/search";
}

addEventListener("hashchange", () => location.hash.startsWith("#/") && enter());
addEventListener("keydown", searchOnSlash);
tickTimes(page);
restart();
