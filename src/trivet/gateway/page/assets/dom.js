// Makes elements without markup in strings, so that no name of a file is ever taken for markup.

/** Return an element `tag` with `properties` (class, on..., attributes) and `children` (nodes, text). */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  folder: "M3 6a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  image: "M4 4h16v16H4zM4 16l5-5 4 4 3-3 4 4M9 8.5a1 1 0 1 1-2 0 1 1 0 0 1 2 0z",
};

/** Return the nodes of `text`, in which commands stand between backticks. */
export const coded = (text) => text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));

/** Return an element `tag` of a drawing with `attributes` and `children`. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return the small picture called `name`: folder, image or file. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: `icon ${name}`, "aria-hidden": "true" },
    svg("path", { d: PATHS[name], fill: name === "folder" ? "currentColor" : "none", stroke: "currentColor",
      "stroke-width": "1.5", "stroke-linejoin": "round" }));
}

/** Show `text` for some seconds; `action` = {label, run} adds a button, `bad` marks a failure. */
export function toast(text, { action, bad = false } = {}) {
  const note = el("div", { class: bad ? "toast bad" : "toast" }, el("span", {}, text));
  const close = () => note.remove();
  if (action) note.append(el("button", { onclick: () => { close(); action.run(); } }, action.label));
  document.getElementById("toasts").append(note);
  setTimeout(close, action || bad ? 9000 : 4000);
}
