// What is in the trash: put it back, remove it for good, empty it.
import * as api from "./api.js";
import { confirmed } from "./dialogs.js";
import { el, icon, toast } from "./dom.js";
import { size, when } from "./format.js";

/** Show the trash in `main`. */
export async function showTrash(main) {
  const page = await api.inTrash();
  const again = () => showTrash(main);
  const deed = (run) => async () => {
    try { await run(); await again(); } catch (error) { toast(error.message, { bad: true }); }
  };
  const row = (one) => el("tr", { tabindex: "0" },
    el("td", {}, el("div", { class: "name" }, icon(one.mimeType === api.FOLDER ? "folder" : "file"), one.name)),
    el("td", { class: "when" }, when(one.modifiedTime)),
    el("td", { class: "num" }, one.size ? size(one.size) : ""),
    el("td", { class: "deeds" },
      el("button", { onclick: deed(() => api.change(one.id, { trashed: false })) }, "Put back"), " ",
      el("button", { class: "danger", onclick: deed(async () => {
        if (await confirmed(`Remove ${one.name}?`, "It is gone for good, with its versions.", "Remove")) {
          await api.remove(one.id);
        }
      }) }, "Remove")));
  const empty = deed(async () => {
    if (await confirmed("Empty the trash?", "Everything in it is gone for good.", "Empty")) await api.emptyTrash();
  });
  main.replaceChildren(
    el("div", { class: "bar" }, el("h1", { class: "crumbs" }, "Trash"),
      el("button", { class: "danger", disabled: !page.files.length, onclick: empty }, "Empty trash")),
    el("div", { class: "place" }, page.files.length
      ? el("table", { class: "list" }, el("tbody", {}, page.files.map(row)))
      : el("div", { class: "empty" }, el("strong", {}, "The trash is empty"))));
}
