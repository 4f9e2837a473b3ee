// The list of files of one folder: opening, keys, drag and drop, the panel.
import * as api from "./api.js";
import { askFolder, askName, showKeys } from "./dialogs.js";
import { el, icon, toast } from "./dom.js";
import { size, when } from "./format.js";
import { panel } from "./panel.js";
import * as uploading from "./uploads.js";

const known = new Map([["root", { id: "root", name: "Files", parent: null }]]);

/** Return the way from the top to the folder `id`: [{id, name}], the top first. */
async function way(id) {
  const found = [];
  for (let at = id; at && found.length < 200;) {
    if (!known.has(at)) {
      const one = await api.file(at);
      known.set(at, { id: at, name: one.parents ? one.name : "Files", parent: one.parents?.[0] ?? null });
    }
    found.unshift(known.get(at));
    at = known.get(at).parent;
  }
  return found;
}

/** Show the folder `id` in `main`; returns what ends the view. */
export async function showFiles(main, id) {
  const view = new FilesView(main, id);
  try {
    await view.load();
  } catch (error) {
    view.end();
    throw error;
  }
  return () => view.end();
}

class FilesView {
  constructor(main, id) {
    this.main = main;
    this.id = id;
    this.files = [];
    this.ended = new AbortController();
    this.chosen = null;
    this.late = false;
    const { signal } = this.ended;
    uploading.events.addEventListener("done", (event) => event.detail === id && this.reload(), { signal });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    document.addEventListener("drive-changed", () => this.reload(), { signal });
  }

  end() { this.ended.abort(); }

  async load() {
    const [first, path] = await Promise.all([api.inFolder(this.id), way(this.id)]);
    this.files = first.files;
    this.token = first.nextPageToken;
    this.path = path;
    this.draw();
    if (this.late) await this.reload();
  }

  async reload() {
    this.late = !this.body; // something changed while the first list was on its way
    if (this.late) return;
    const page = await api.inFolder(this.id);
    while (page.nextPageToken && page.files.length < this.files.length) { // as much as was shown before
      const more = await api.inFolder(this.id, page.nextPageToken);
      page.files.push(...more.files);
      page.nextPageToken = more.nextPageToken;
    }
    if (this.ended.signal.aborted) return;
    this.files = page.files;
    this.token = page.nextPageToken;
    this.rows(document.activeElement?.closest?.("tr")?.dataset.id); // the focus stays where it is by now
    const chosen = this.chosen && this.files.find((one) => one.id === this.chosen.id);
    if (this.chosen && chosen?.headRevisionId !== this.chosen.headRevisionId) this.choose(chosen ?? null);
  }

  draw() {
    const picker = el("input", { type: "file", multiple: true, hidden: true,
      onchange: () => { for (const file of picker.files) uploading.upload(file, this.id); picker.value = ""; } });
    const tree = el("input", { type: "file", webkitdirectory: true, hidden: true,
      onchange: () => { uploading.uploadTree([...tree.files], this.id).catch(told); tree.value = ""; } });
    this.picker = picker;
    this.filter = el("input", { type: "search", placeholder: "Filter", "aria-label": "Filter this folder",
      oninput: () => this.rows() });
    const crumbs = el("ol", { class: "crumbs" }, this.path.map((one, place) => el("li", {},
      el("a", { href: `#/files/${one.id}`, "aria-current": place === this.path.length - 1 ? "page" : null },
        one.name))));
    const bar = el("div", { class: "bar" }, el("nav", { "aria-label": "Folders above" }, crumbs),
      this.filter, el("button", { onclick: () => this.newFolder() }, "New folder"),
      el("button", { onclick: () => tree.click() }, "Upload folder"),
      el("button", { class: "main", onclick: () => picker.click() }, "Upload"), picker, tree);
    this.body = el("tbody", {});
    this.table = el("table", { class: "list" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Name"),
      el("th", { scope: "col" }, "Changed"), el("th", { scope: "col", class: "num" }, "Size"),
      el("th", { class: "more" }))), this.body);
    this.empty = el("div", { class: "empty" });
    this.moreRow = el("div", { class: "empty", hidden: true },
      el("button", { onclick: () => this.more() }, "Show more"));
    this.place = el("div", { class: "place" }, this.table, this.empty, this.moreRow);
    this.droppable(this.place);
    this.columns = el("div", { class: "columns" }, this.place);
    this.main.replaceChildren(bar, this.columns,
      el("p", { class: "soft" }, "Press ", el("kbd", {}, "?"), " for keys."));
    this.rows();
  }

  rows(focused) {
    const wanted = this.filter.value.toLowerCase();
    const shown = this.files.filter((one) => one.name.toLowerCase().includes(wanted));
    this.body.replaceChildren(...shown.map((one, place) => this.row(one, place)));
    this.table.hidden = !shown.length;
    this.empty.hidden = Boolean(shown.length);
    this.empty.replaceChildren(...(wanted ? [el("strong", {}, "No name here contains that")]
      : [el("strong", {}, "Nothing here yet"), "Drop files or folders here, or press Upload."]));
    this.moreRow.hidden = !this.token;
    if (focused) this.body.querySelector(`tr[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  row(one, place) {
    const folder = one.mimeType === api.FOLDER;
    const kind = folder ? "folder" : one.mimeType.startsWith("image/") ? "image" : "file";
    const link = folder ? el("a", { href: `#/files/${one.id}`, tabindex: "-1" }, one.name)
      : el("a", { href: api.contentUrl(one.id), tabindex: "-1",
        onclick: (event) => { event.preventDefault(); this.choose(one); } }, one.name);
    const row = el("tr", { tabindex: place ? "-1" : "0", "data-id": one.id,
      class: this.chosen?.id === one.id ? "chosen" : null, ondblclick: () => this.open(one) },
    el("td", {}, el("div", { class: "name" }, icon(kind),
      el("span", {}, link, one.fault ? el("span", { class: "flag", title: one.fault }, "damaged") : null))),
    el("td", { class: "when" }, when(one.modifiedTime)),
    el("td", { class: "num" }, folder ? "" : size(one.size)),
    el("td", { class: "more" }, el("button", { class: "quiet", tabindex: "-1",
      "aria-label": `Details of ${one.name}`, onclick: () => this.choose(one) }, "⋯")));
    row.file = one;
    return row;
  }

  open(one) {
    if (one.mimeType === api.FOLDER) location.hash = `#/files/${one.id}`;
    else this.choose(one);
  }

  choose(one) {
    this.chosen = one;
    this.columns.querySelector(".panel")?.remove();
    for (const row of this.body.children) row.classList.toggle("chosen", row.file.id === one?.id);
    if (!one) return;
    this.columns.append(panel(one, { rename: () => this.rename(one), move: () => this.move(one),
      trash: () => this.trash(one), close: () => this.choose(null), reload: () => this.reload() }));
  }

  async more() {
    const page = await api.inFolder(this.id, this.token).catch(told);
    if (!page) return;
    this.files.push(...page.files);
    this.token = page.nextPageToken;
    this.rows();
  }

  async did(deed) {
    try { await deed(); await this.reload(); } catch (error) { told(error); }
  }

  async newFolder() {
    const name = await askName("New folder", "", "Make");
    if (name) await this.did(() => api.makeFolder(this.id, name));
  }

  async rename(one) {
    const name = await askName(`Rename ${one.name}`, one.name, "Rename");
    if (!name || name === one.name) return;
    await this.did(async () => {
      known.delete(one.id);
      const renamed = await api.change(one.id, { name });
      if (this.chosen?.id === one.id) this.choose(renamed);
    });
  }

  async move(one) {
    const folders = async (id) => (await api.folders(id)).filter((each) => each.id !== one.id);
    const to = await askFolder(`Move ${one.name}`, known.get("root"), folders).catch(told);
    if (!to || one.parents.includes(to.id)) return;
    await this.did(() => api.move(one, to.id));
    known.delete(one.id);
    if (this.chosen?.id === one.id) this.choose(null);
    toast(`Moved ${one.name} to ${to.name}`);
  }

  async trash(one) {
    await this.did(() => api.change(one.id, { trashed: true }));
    if (this.chosen?.id === one.id) this.choose(null);
    toast(`${one.name} is in the trash`, { action: { label: "Undo",
      run: () => this.did(() => api.change(one.id, { trashed: false })) } });
  }

  key(event) {
    if (!this.body || event.target.closest("input, dialog, details") || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = event.target.closest("tr[data-id]");
    const go = (to) => { to?.focus(); return Boolean(to); };
    const keys = {
      ArrowDown: () => go(row ? row.nextElementSibling : this.body.firstElementChild),
      ArrowUp: () => go(row?.previousElementSibling),
      Home: () => row && go(this.body.firstElementChild),
      End: () => row && go(this.body.lastElementChild),
      Enter: () => row === event.target && (this.open(row.file), true),
      " ": () => row === event.target && (this.choose(row.file), true),
      F2: () => row && (this.rename(row.file), true),
      m: () => row && (this.move(row.file), true),
      Delete: () => row && (go(row.nextElementSibling), this.trash(row.file), true),
      Escape: () => this.chosen && (this.choose(null), true),
      Backspace: () => this.path.length > 1 && (location.hash = `#/files/${this.path.at(-2).id}`, true),
      u: () => (this.picker.click(), true),
      n: () => (this.newFolder(), true),
      "/": () => go(this.filter),
      "?": () => (showKeys(), true),
    };
    if (keys[event.key]?.()) event.preventDefault();
  }

  droppable(place) {
    // the whole window takes what is dropped: a list of one row is a small target
    const { signal } = this.ended;
    const over = (on) => (event) => { event.preventDefault(); place.classList.toggle("over", on); };
    document.addEventListener("dragenter", over(true), { signal });
    document.addEventListener("dragover", over(true), { signal });
    document.addEventListener("dragleave", over(false), { signal });
    document.addEventListener("drop", (event) => {
      over(false)(event);
      uploading.drop(event.dataTransfer, this.id).then(() => this.reload()).catch(told);
    }, { signal });
  }
}

function told(error) { toast(error.message, { bad: true }); }
