// The API key: its field, its place in sessionStorage, and the address it may arrive in (#key=…).
// It never reaches localStorage, and leaves the address bar at once.

const STORED_AS = "strata:api-key"; // the GraphiQL page reads the same one

export function watchKey(page, onChange) {
  const field = page.getElementById("api-key");
  const reveal = page.getElementById("reveal-key");
  takeFromAddress();
  field.value = sessionStorage.getItem(STORED_AS) ?? "";

  const settle = () => {
    if (store(field.value.trim())) onChange();
  };
  field.addEventListener("change", settle);
  page.getElementById("forget-key").addEventListener("click", () => {
    field.value = "";
    settle();
    field.focus();
  });
  reveal.addEventListener("click", () => {
    const concealed = field.classList.toggle("concealed");
    reveal.textContent = concealed ? "Show" : "Hide";
    reveal.setAttribute("aria-pressed", String(!concealed));
  });
  addEventListener("hashchange", () => {
    if (!takeFromAddress()) return;
    field.value = sessionStorage.getItem(STORED_AS);
    onChange();
  });
  return { value: () => field.value.trim() };
}

function takeFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key")?.trim();
  if (!key) return false;
  history.replaceState(null, "", location.pathname + location.search);
  store(key);
  return true;
}

/** True if that changed the key. */
function store(key) {
  if (key === (sessionStorage.getItem(STORED_AS) ?? "")) return false;
  if (key) sessionStorage.setItem(STORED_AS, key);
  else sessionStorage.removeItem(STORED_AS);
  return true;
}
