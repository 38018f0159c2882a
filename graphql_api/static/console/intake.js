// What a person pastes or drops, turned into texts: { text, key?, metadata }.
// Paste: texts apart by an empty line. File.txt: one text. File.jsonl: one text a line, either a JSON
// string or an object with "text", perhaps "key", and anything else as metadata.

export const TEXT_LIMIT = 1024 * 1024; // bytes of one inline text, as the server has it

export function readPasted(value) {
  const parts = value.split(/\n[ \t]*\n/).map((part) => part.trim());
  return parts.filter(Boolean).map((text) => ({ text, metadata: { source: "pasted" } }));
}

/** Throw an Error that names file and line. */
export async function readFile(file) {
  const content = await file.text();
  if (/\.(jsonl|ndjson)$/i.test(file.name)) return readLines(content, file.name);
  checkText(content, file.name);
  return [{ text: content, metadata: { source: file.name } }];
}

function readLines(content, name) {
  return content
    .split("\n")
    .map((line, index) => [line, `${name}, line ${index + 1}`])
    .filter(([line]) => line.trim())
    .map(([line, where]) => readLine(line, where, name));
}

function readLine(line, where, source) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`${where}: not JSON`);
  }
  const { text, key, ...metadata } = typeof value === "string" ? { text: value } : (value ?? {});
  checkText(text, where);
  return { text, key, metadata: { source, ...metadata } };
}

function checkText(text, where) {
  if (typeof text !== "string") throw new Error(`${where}: no "text"`);
  if (!text.trim()) throw new Error(`${where}: the text is empty`);
  if (new Blob([text]).size > TEXT_LIMIT) throw new Error(`${where}: the text is over 1 MiB`);
}
