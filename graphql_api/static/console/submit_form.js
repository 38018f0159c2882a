// The elements of the form for a new batch; what they mean is in submit.js.

import { make } from "./dom.js";
import { counted } from "./format.js";
import { PIECES } from "./upload.js";

export const NEW_BUCKET = ""; // the value of the option that makes one
const ACCEPTED = ".txt,.md,.jsonl,.ndjson";

export function buildForm() {
  const texts = make("textarea", {
    id: "texts",
    rows: 10,
    placeholder: "Paste texts here, an empty line between them.",
  });
  const picker = make("input", { id: "files", type: "file", multiple: true, accept: ACCEPTED });
  const chips = make("ul.chips", { ariaLabel: "Files" });
  const bucket = make("select", { id: "bucket" }, newBucketOption());
  const bucketName = make("input", { id: "bucket-name", value: "my-texts", required: true });
  const pieces = make("select", { id: "pieces" }, Object.entries(PIECES).map(pieceOption));
  const name = make("input", { id: "batch-name", placeholder: "Optional" });
  const plan = make("p.plan", { id: "plan" });
  const button = make("button.button", { id: "submit-texts" }, "Submit");
  const nameRow = field("Name of the bucket", bucketName);
  const piecesRow = field("One document for", pieces);
  const element = make(
    "form.card",
    {},
    make("h1", {}, "New batch"),
    field("Texts", texts),
    make(
      "div.drop",
      {},
      make("label", { htmlFor: "files" }, "Or drop .txt and .jsonl files here"),
      picker,
      chips,
    ),
    make("div.fields", {}, field("Bucket", bucket), nameRow, piecesRow, field("Name of the batch", name)),
    make("footer", {}, plan, button),
  );
  const parts = { element, texts, picker, chips, bucket, bucketName, pieces, name, plan, button };
  return { ...parts, nameRow, piecesRow, ...listeners(parts) };
}

function listeners({ element, picker }) {
  return {
    onInput: (listener) => element.addEventListener("input", listener),
    onSubmit(listener) {
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        listener();
      });
    },
    onFiles(listener) {
      picker.onchange = () => {
        listener([...picker.files]);
        picker.value = ""; // the same file may be chosen again
      };
      element.ondragover = (event) => {
        event.preventDefault();
        element.dataset.dragged = "";
      };
      element.ondragleave = () => delete element.dataset.dragged;
      element.ondrop = (event) => {
        event.preventDefault();
        delete element.dataset.dragged;
        listener([...event.dataTransfer.files]);
      };
    },
  };
}

function field(name, control) {
  return make("div.field", {}, make("label", { htmlFor: control.id }, name), control);
}

export function newBucketOption() {
  return make("option", { value: NEW_BUCKET }, "New bucket…");
}

function pieceOption([value, { words }]) {
  return make("option", { value }, words);
}

export function addFile(form, files, entry, refresh) {
  files.push(entry);
  const remove = make("button", { type: "button", ariaLabel: `Remove ${entry.name}` }, "×");
  const chip = make("li", {}, `${entry.name} · ${counted(entry.texts.length, "text")}`, remove);
  remove.onclick = () => {
    files.splice(files.indexOf(entry), 1);
    chip.remove();
    refresh();
  };
  form.chips.append(chip);
}
