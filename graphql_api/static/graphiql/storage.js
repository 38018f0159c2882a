// GraphiQL's local storage without headers. shouldPersistHeaders=false covers its tabs, but not its
// history, which keeps the headers of every run; and another page on this origin may have stored some.

const HEADERS_KEY = /graphiql:headers$/;
const HEADER_CARRIERS = /graphiql:(tabState|queries|favorites)$/;

/** The same storage, except that no header ever enters it. */
export function headerlessStorage(storage) {
  return {
    getItem: (name) => storage.getItem(name),
    setItem(name, value) {
      if (!HEADERS_KEY.test(name)) storage.setItem(name, withoutHeaders(name, value));
    },
    removeItem: (name) => storage.removeItem(name),
    clear: () => storage.clear(),
    get length() {
      return storage.length;
    },
  };
}

/** Remove what was stored before this page looked after it, under any namespace of GraphiQL. */
export function removeStoredHeaders(storage) {
  for (const name of Object.keys(storage)) {
    if (HEADERS_KEY.test(name)) storage.removeItem(name);
    else if (HEADER_CARRIERS.test(name)) storage.setItem(name, withoutHeaders(name, storage[name]));
  }
}

function withoutHeaders(name, value) {
  if (!HEADER_CARRIERS.test(name)) return value;
  try {
    return JSON.stringify(JSON.parse(value), (field, kept) => (field === "headers" ? null : kept));
  } catch {
    return ""; // unreadable for GraphiQL too
  }
}
