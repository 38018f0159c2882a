// The failed rows of a batch, a page at a time, each with what to do about it.

import { make } from "./dom.js";
import { counted } from "./format.js";
import { ROW_ERRORS } from "./operations.js";

const PAGE = 20;

export function rowErrorList(api, notices, batchId) {
  const list = make("ul.row-errors");
  const title = make("h2");
  const more = make("button.button.quiet", { type: "button", hidden: true }, "Show more");
  const element = make("section.card", { hidden: true, id: "row-errors" }, title, list, more);
  let open = true;
  let shown = 0;

  const read = async (after) => {
    try {
      const { rowErrors } = (await api.ask(ROW_ERRORS, { batchId, first: PAGE, after })).batch;
      if (!open) return;
      const rows = rowErrors.edges.map(({ node }) => rowError(node));
      if (after) list.append(...rows);
      else list.replaceChildren(...rows);
      element.hidden = !list.children.length;
      title.textContent = counted(rowErrors.totalCount, "row error");
      more.hidden = !rowErrors.pageInfo.hasNextPage;
      more.onclick = () => read(rowErrors.pageInfo.endCursor);
    } catch (failure) {
      if (open) notices.failed(failure);
    }
  };
  return {
    element,
    /** Read the first page again when more rows failed than before. */
    show(failed) {
      if (failed === shown) return;
      shown = failed;
      read(null);
    },
    stop: () => (open = false),
  };
}

function rowError({ category, message, hint, extractor, rows, attempts, objectId }) {
  const where = [extractor, objectId, counted(rows, "row"), counted(attempts, "attempt")];
  return make(
    "li",
    {},
    make("p", {}, make("span.tag", {}, category.toLowerCase()), message),
    hint && make("p.hint", {}, hint),
    make("small", {}, where.filter(Boolean).join(" · ")),
  );
}
