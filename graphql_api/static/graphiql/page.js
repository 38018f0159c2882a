// The GraphiQL page put together: key, storage, fetcher, starters. Nothing else is decided here.

import { openFetcher } from "./fetcher.js";
import { watchKey } from "./key.js";
import { readStarters, startersPlugin, toTab, WELCOME } from "./starters.js";
import { headerlessStorage, removeStoredHeaders } from "./storage.js";

const OPENED_AT_FIRST = 4; // tabs beside the welcome; more would not fit the tab strip

const place = document.getElementById("graphiql");
const key = watchKey(document);
const fetcherOf = () => openFetcher(place.dataset.endpoint, key);

removeStoredHeaders(localStorage);
const starters = await readStarters(new URL("starters.json", import.meta.url));

const settings = {
  defaultQuery: "# Ctrl-Space completes, Ctrl-Enter runs.\n\n",
  defaultTabs: [{ query: WELCOME }, ...starters.slice(0, OPENED_AT_FIRST).map(toTab)],
  inputValueDeprecation: true,
  plugins: [
    GraphiQLPluginExplorer.explorerPlugin({ showAttribution: false }),
    ...(starters.length ? [startersPlugin(starters)] : []),
  ],
  shouldPersistHeaders: false,
  storage: headerlessStorage(GraphiQL.createLocalStorage({ namespace: "strata" })),
};

const root = ReactDOM.createRoot(place);
// A new fetcher makes GraphiQL read the schema again, as the new key may see it.
const render = () => root.render(React.createElement(GraphiQL, { ...settings, fetcher: fetcherOf() }));

key.onSettled(render);
render();
