// The API key: its field in the bar, its place in sessionStorage, and what the server thought of it.
// It never reaches localStorage, the address bar or GraphiQL's history.

const STORED_AS = "strata:api-key"; // the status page reads the same one
const AT_REST = "Kept in this tab only";

export function watchKey(page) {
  const field = page.getElementById("api-key");
  const reveal = page.getElementById("reveal-key");
  const connection = page.getElementById("connection");
  const settled = [];

  const report = (state, text) => {
    connection.dataset.state = state;
    connection.value = text;
  };
  const store = () => {
    const value = field.value.trim();
    if (value) sessionStorage.setItem(STORED_AS, value);
    else sessionStorage.removeItem(STORED_AS);
    report("idle", AT_REST);
  };
  const settle = () => settled.forEach((listener) => listener());

  field.value = sessionStorage.getItem(STORED_AS) ?? "";
  field.addEventListener("input", store);
  field.addEventListener("change", settle);
  page.getElementById("forget-key").addEventListener("click", () => {
    field.value = "";
    store();
    settle();
    field.focus();
  });
  reveal.addEventListener("click", () => {
    const concealed = field.classList.toggle("concealed");
    reveal.textContent = concealed ? "Show" : "Hide";
    reveal.setAttribute("aria-pressed", String(!concealed));
  });

  return {
    /** The headers of one request: the key first, so that a header typed in the editor wins. */
    authorise(typed = {}) {
      const named = Object.keys(typed).some((name) => name.toLowerCase() === "authorization");
      const value = field.value.trim();
      return value && !named ? { authorization: `Bearer ${value}`, ...typed } : { ...typed };
    },
    accepted: () => report("good", "Connected"),
    /** A good key without the right to this one operation is good all the same. */
    forbidden: () => (field.value ? report("good", "Connected") : report("bad", "Key needed")),
    refused: () => report("bad", field.value ? "Key refused" : "Key needed"),
    unreachable: () => report("bad", "Server unreachable"),
    onSettled: (listener) => settled.push(listener),
  };
}
