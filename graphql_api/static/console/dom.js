// Elements from JavaScript. Text is always a text node, so nothing that a server sends becomes markup.

/** make("div.card", { title: "…", onclick: f, "data-state": "good" }, child, "text", [more]) */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [property, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (property in element) element[property] = value;
    else element.setAttribute(property, value);
  }
  return fill(element, ...children);
}

/** Add the children that are there; null, undefined and false are not. */
export function fill(element, ...children) {
  element.append(...children.flat(2).filter((child) => (child ?? false) !== false));
  return element;
}

/**
 * Turn what an element holds into the children given, touching only what differs: focus, selection
 * and running transitions stay. An element with a listener needs an id, by which it is told apart.
 */
export function refill(element, ...children) {
  const fresh = [...fill(make("div"), ...children).childNodes];
  const old = [...element.childNodes];
  fresh.forEach((child, index) => (index < old.length ? morph(old[index], child) : element.append(child)));
  old.slice(fresh.length).forEach((child) => child.remove());
}

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) old.replaceWith(fresh);
  else if (old.nodeType === Node.TEXT_NODE) old.data = fresh.data;
  else {
    morphAttributes(old, fresh);
    refill(old, ...fresh.childNodes);
  }
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name === "style") old.style.cssText = value; // the security policy forbids the attribute
    else if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

/** How much of the most. Not <meter>, which browsers draw at heights of their own. */
export function meter(label, value, most) {
  const filled = make("span");
  filled.style.width = `${(100 * Math.max(value, 0)) / most}%`;
  const figures = { "aria-valuemin": 0, "aria-valuemax": most, "aria-valuenow": value };
  return make("span.meter", { role: "meter", ariaLabel: label, ...figures }, filled);
}

export function emptyState(title, text, ...actions) {
  return make("div.empty", {}, make("h2", {}, title), make("p", {}, text), actions);
}
