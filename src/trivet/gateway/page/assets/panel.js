// The panel beside the list: preview, facts, deeds and versions of one file.
import * as api from "./api.js";
import { el, toast } from "./dom.js";
import { clock, size, when } from "./format.js";

const TEXT = /^(text\/|application\/(json|xml|x-sh|x-yaml|javascript|toml))/;
const IMAGE = /^image\/(png|jpeg|gif|webp|svg\+xml|bmp|avif)$/;
const BEGINNING = 64 * 1024;
const SUMMED = 1e9;

/** Return what shows `file` in the panel; `deeds` = {rename, move, trash, close, reload} are asked for. */
export function panel(file, deeds) {
  const folder = file.mimeType === api.FOLDER;
  const actions = el("div", { class: "actions" },
    folder ? null : download(file, deeds.reload),
    el("button", { onclick: deeds.rename }, "Rename"),
    el("button", { onclick: deeds.move }, "Move"),
    el("button", { class: "danger", onclick: deeds.trash }, "To trash"));
  const box = el("aside", { class: "panel", "aria-label": `Details of ${file.name}` },
    el("header", {}, el("h2", {}, file.name),
      el("button", { class: "quiet", onclick: deeds.close, "aria-label": "Close details" }, "✕")),
    folder ? null : damage(file), folder ? null : preview(file), actions, facts(file, folder));
  if (!folder) box.append(versions(file, deeds.reload));
  return box;
}

/** Return the link that downloads `file`; what the drive refuses to send is told, with the name that would do. */
function download(file, reload) {
  const link = el("a", { class: "button", href: api.contentUrl(file.id), download: file.name }, "Download");
  let allowed = false;
  link.addEventListener("click", async (event) => {
    if (allowed) return;
    event.preventDefault();
    const error = await api.refusal(file.id);
    if (error) {
      if (error.facts?.key) {
        toast(waiting(file, error.facts), {
          action: { label: "See vendors", run: () => { location.hash = "#/vendors"; } } });
        return;
      }
      const better = error.facts?.suggested_name;
      const right = { name: better, mimeType: error.facts?.detected };
      const rename = () => api.change(file.id, right).then(reload, (late) => toast(late.message, { bad: true }));
      toast(error.message, { bad: true, action: better ? { label: `Rename to ${better}`, run: rename } : undefined });
      return;
    }
    allowed = true;
    link.click();
    allowed = false;
  });
  return link;
}

/** Say where a file of a vendor is that comes later: in the queue, or parked. */
function waiting(file, facts) {
  if (facts.code !== "queued") return `${file.name} comes when the vendor answers again: ${facts.detail}`;
  return `${file.name} waits at place ${facts.position} in the queue, and comes by itself at ${clock(facts.resets_at_s)}`;
}

function damage(file) {
  const note = el("p", { class: "error", role: "alert", hidden: true });
  api.fault(file.id).then((text) => { note.hidden = !text; note.textContent = text ?? ""; }, () => null);
  return note;
}

function facts(file, folder) {
  const rows = [["Kind", folder ? "Folder" : file.mimeType], ["Changed", when(file.modifiedTime)]];
  if (!folder) rows.push(["Size", `${size(file.size)} (${Number(file.size).toLocaleString()} bytes)`]);
  const sum = el("dd", {}, "…");
  if (!folder && Number(file.size) < SUMMED) {
    rows.push(["MD5", sum]);
    api.checksum(file.id).then((text) => { sum.textContent = text; }, (error) => { sum.textContent = error.message; });
  }
  return el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), value === sum ? sum : el("dd", {}, value)]));
}

function preview(file) {
  const box = el("div", { class: "preview", hidden: true });
  const show = (child) => { box.replaceChildren(child); box.hidden = false; };
  if (IMAGE.test(file.mimeType) && Number(file.size) < 50e6) {
    const image = el("img", { src: api.contentUrl(file.id), alt: `Preview of ${file.name}`,
      onerror: () => show(el("p", { class: "empty error" }, "This image does not open: is it damaged?")) });
    show(image);
  } else if (TEXT.test(file.mimeType) && Number(file.size)) {
    api.beginning(file.id, BEGINNING).then((text) => {
      const more = Number(file.size) > BEGINNING ? "\n…" : "";
      show(el("pre", { tabindex: "0", "aria-label": "Beginning of the file" }, text + more));
    }).catch((error) => show(el("p", { class: "empty error" }, error.message)));
  }
  return box;
}

function versions(file, reload) {
  const list = el("ul", { class: "versions" });
  const box = el("details", {}, el("summary", {}, "Versions"), list);
  box.addEventListener("toggle", () => box.open && fill(), { once: true });
  async function fill() {
    try {
      const all = (await api.versions(file.id)).reverse();
      list.replaceChildren(...all.map((one, place) => row(one, place === 0)));
    } catch (error) { list.replaceChildren(el("li", { class: "error" }, error.message)); }
  }
  function row(one, current) {
    return el("li", {}, el("span", {}, when(one.modifiedTime), " · ", size(one.size), current ? " · now" : ""),
      el("a", { class: "button", href: api.versionUrl(file.id, one.id), download: file.name }, "Download"),
      current ? null : el("button", { onclick: () => restore(one) }, "Restore"));
  }
  async function restore(one) {
    try {
      await api.restoreVersion(file.id, one.id);
      toast(`${file.name} is again as it was ${when(one.modifiedTime)}`);
      reload();
    } catch (error) { toast(error.message, { bad: true }); }
  }
  return box;
}
