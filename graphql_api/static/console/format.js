// Numbers, sizes, durations and moments, as people read them.

import { make } from "./dom.js";

const NUMBER = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });

export const STATUS_WORDS = {
  DRAFT: "Draft",
  QUEUED: "Queued",
  PROCESSING: "Processing",
  CANCELING: "Canceling",
  CANCELED: "Canceled",
  COMPLETED: "Completed",
  COMPLETED_WITH_ERRORS: "With errors",
  FAILED: "Failed",
};
export const LIVE = ["QUEUED", "PROCESSING", "CANCELING"];
export const CANCELABLE = ["QUEUED", "PROCESSING"];
export const RETRYABLE = ["COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"];

export function statusPill(status) {
  return make("span.pill", { "data-status": status }, STATUS_WORDS[status] ?? status);
}

export function count(value) {
  return NUMBER.format(value ?? 0);
}

export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function percent(value) {
  return `${Math.floor(value ?? 0)} %`; // never 100 % before the end
}

export function rate(perSecond) {
  if (!perSecond) return "–";
  return `${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), units.length - 1);
  return `${(value / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds < 10) return `${Math.max(seconds, 0).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

export function secondsBetween(from, to = new Date()) {
  return (new Date(to) - new Date(from)) / 1000;
}

/** "3 min ago", kept up to date by tickTimes. */
export function ago(moment) {
  return time(moment, { "data-reads": "ago" }, readAgo(moment));
}

/** The seconds since a moment, kept up to date by tickTimes. */
export function since(moment) {
  return time(moment, { "data-reads": "since" }, duration(secondsBetween(moment)));
}

/** The seconds until a moment, kept up to date by tickTimes. */
export function until(moment) {
  return time(moment, { "data-reads": "until" }, readUntil(moment));
}

export function clock(moment) {
  return time(moment, {}, new Date(moment).toLocaleTimeString("en", { hour12: false }));
}

export function tickTimes(page) {
  const read = { ago: readAgo, since: (moment) => duration(secondsBetween(moment)), until: readUntil };
  setInterval(() => {
    for (const element of page.querySelectorAll("time[data-reads]")) {
      const text = read[element.dataset.reads](element.dateTime);
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1000);
}

function time(moment, properties, text) {
  return make("time", { dateTime: moment, title: MOMENT.format(new Date(moment)), ...properties }, text);
}

function readUntil(moment) {
  const seconds = -secondsBetween(moment);
  return seconds < 1 ? "any moment" : duration(seconds);
}

function readAgo(moment) {
  const seconds = secondsBetween(moment);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(moment).toLocaleDateString("en", { dateStyle: "medium" });
}
