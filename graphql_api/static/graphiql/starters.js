// Operations to start from: the welcome tab, and those of starters.json as tabs and as a side panel.
// An entry of the file is {"title", "description", "query", "variables"}; only "query" is required.

export const WELCOME = `# Welcome to Strata.
#
# Put your API key into the field above. It stays in
# this browser tab and goes out with every request
# and subscription as "Authorization: Bearer <key>".
#
#   Ctrl-Space   complete what you type
#   Ctrl-Enter   run, or stop a subscription
#   Ctrl-K       search the schema
#
# The icons on the left open the schema, the history,
# an explorer that builds operations by clicking, and
# operations to start from.

query Welcome {
  __typename
}
`;

/** Whatever is unreadable in the file is left out: the editor works without starters. */
export async function readStarters(url) {
  try {
    const found = await (await fetch(url)).json();
    return Array.isArray(found) ? found.filter(isStarter) : [];
  } catch {
    return [];
  }
}

function isStarter(entry) {
  return typeof entry?.query === "string" && entry.query.trim() !== "";
}

export function toTab({ query, variables }) {
  return { query, variables: writeVariables(variables) };
}

function writeVariables(variables) {
  if (variables === undefined || variables === null) return null;
  return typeof variables === "string" ? variables : JSON.stringify(variables, null, 2);
}

export function startersPlugin(starters) {
  return {
    title: "Starters",
    icon: StartersIcon,
    content: () => React.createElement(Starters, { starters }),
  };
}

function Starters({ starters }) {
  const editor = GraphiQL.React.useEditorContext({ nonNull: true });
  const [chosen, choose] = React.useState(null);

  // GraphiQL fills a new tab's editors while it renders, or in effects that run after ours: so they
  // are filled now, and once more when all of that is over.
  React.useEffect(() => {
    if (!chosen) return;
    const fill = () => {
      editor.queryEditor?.setValue(chosen.query);
      editor.variableEditor?.setValue(chosen.variables ?? "");
    };
    fill();
    setTimeout(fill);
    choose(null);
  }, [editor.activeTabIndex]);

  const open = (starter) => {
    choose(toTab(starter));
    editor.addTab();
  };
  return React.createElement(
    "section",
    { "aria-label": "Starters" },
    React.createElement("div", { className: "graphiql-doc-explorer-title" }, "Starters"),
    React.createElement(
      "ul",
      { className: "starters" },
      starters.map((starter, index) =>
        React.createElement(
          "li",
          { key: index },
          React.createElement(
            "button",
            { type: "button", onClick: () => open(starter) },
            starter.title ?? operationName(starter.query),
            starter.description && React.createElement("small", null, starter.description),
          ),
        ),
      ),
    ),
  );
}

function operationName(query) {
  return /(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1] ?? "Untitled";
}

function StartersIcon() {
  return React.createElement(
    "svg",
    { height: "1em", viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5 },
    React.createElement("path", {
      d: "M4 5h16M4 12h16M4 19h9M17 16.5v5l4-2.5z",
      strokeLinecap: "round",
      strokeLinejoin: "round",
    }),
  );
}
