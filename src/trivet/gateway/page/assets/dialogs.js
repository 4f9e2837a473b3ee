// Asks people things in dialogs; each answers with a promise, null when it was closed.
import { el } from "./dom.js";

function show(dialog) {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue || null); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const cancel = () => el("button", { type: "button", onclick: (event) => event.target.closest("dialog").close("") },
  "Cancel");

/** Ask for a name, `value` at first; its part before the extension is selected. */
export async function askName(title, value, label, { what = "Name", longest = 255 } = {}) {
  const input = el("input", { type: "text", value, required: true, maxlength: longest, "aria-label": what });
  const form = el("form", { method: "dialog" }, el("h2", {}, title), input,
    el("div", { class: "row" }, cancel(), el("button", { class: "main" }, label)));
  const dialog = el("dialog", {}, form);
  form.addEventListener("submit", () => { dialog.returnValue = input.value; });
  const answer = show(dialog);
  const dot = value.lastIndexOf(".");
  input.setSelectionRange(0, dot > 0 ? dot : value.length);
  return (await answer) && input.value.trim() ? input.value.trim() : null;
}

/** Ask whether to go on with something that can't be undone. */
export async function confirmed(title, text, label) {
  const form = el("form", { method: "dialog" }, el("h2", {}, title), el("p", {}, text),
    el("div", { class: "row" }, cancel(), el("button", { class: "danger", value: "yes" }, label)));
  return (await show(el("dialog", {}, form))) === "yes";
}

/** Let somebody choose a folder; `folders(id)` lists those inside, `top` = {id, name} is where it begins. */
export async function askFolder(title, top, folders) {
  let here = [top];
  const list = el("ul", { class: "folders" });
  const place = el("p", { class: "soft" });
  const move = el("button", { class: "main", value: "move" }, "Move here");
  const dialog = el("dialog", {}, el("form", { method: "dialog" }, el("h2", {}, title), place, list,
    el("div", { class: "row" }, cancel(), move)));
  const button = (label, run) => el("li", {}, el("button", { type: "button", onclick: run }, label));
  async function open(path) {
    const inside = await folders(path.at(-1).id);
    here = path;
    place.textContent = `Into: ${path.map((one) => one.name).join(" / ")}`;
    list.replaceChildren(
      ...(path.length > 1 ? [button("↑ Up", () => open(path.slice(0, -1)))] : []),
      ...inside.map((one) => button(one.name, () => open([...path, one]))),
    );
    list.hidden = !list.childElementCount;
  }
  await open(here);
  return (await show(dialog)) === "move" ? here.at(-1) : null;
}

/** Show the keys that work in the list of files. */
export function showKeys() {
  const keys = [["↑ ↓", "move"], ["Enter", "open"], ["Backspace", "folder above"], ["Space", "details"],
    ["F2", "rename"], ["M", "move to"], ["Delete", "to the trash"], ["U", "upload"], ["N", "new folder"],
    ["/", "filter"]];
  const rows = keys.map(([key, text]) => el("tr", {}, el("td", {}, el("kbd", {}, key)), el("td", {}, text)));
  return show(el("dialog", {}, el("form", { method: "dialog" }, el("h2", {}, "Keys"), el("table", {}, rows),
    el("div", { class: "row" }, el("button", { class: "main" }, "Close")))));
}
