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

/** Return the small picture called `name`: folder, image or file. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill", name === "folder" ? "currentColor" : "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1.5");
  path.setAttribute("stroke-linejoin", "round");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

/** Show `text` for some seconds; `action` = {label, run} adds a button, `bad` marks a failure. */
export function toast(text, { action, bad = false } = {}) {
  const note = el("div", { class: bad ? "toast bad" : "toast" }, el("span", {}, text));
  const close = () => note.remove();
  if (action) note.append(el("button", { onclick: () => { close(); action.run(); } }, action.label));
  document.getElementById("toasts").append(note);
  setTimeout(close, action || bad ? 9000 : 4000);
}
