// Uploads of this page with their progress, and what the server knows: uploads from elsewhere, downloads.
import * as api from "./api.js";
import { el, toast } from "./dom.js";
import { size, when } from "./format.js";
import * as uploading from "./uploads.js";

const OPEN = ["waiting", "running", "parked"];
const WORDS = { committed: "done", "rolled back": "refused" };
const COLOURS = { parked: "warn", "rolled back": "error" };
const bar = (name, done, total) => el("progress", { max: total || 1, value: total ? done : done && 1,
  "aria-label": `Progress of ${name}` });

/** Show the transfers in `main`; returns what ends the view. */
export async function showTransfers(main) {
  const here = el("ul", { class: "feed" });
  const there = el("ul", { class: "feed" });
  const ended = new AbortController();
  const drawHere = () => here.replaceChildren(...(uploading.uploads.length
    ? [...uploading.uploads].reverse().map(mine)
    : [el("li", { class: "soft" }, "Nothing is being uploaded from this page.")]));
  async function drawThere() {
    const all = await api.transfers();
    const others = all.filter((one) => !uploading.isHere(one.location));
    there.replaceChildren(...(others.length ? others.map((one) => known(one, drawThere))
      : [el("li", { class: "soft" }, "None.")]));
  }
  main.replaceChildren(
    el("div", { class: "bar" }, el("h1", { class: "crumbs" }, "Transfers"),
      el("button", { onclick: uploading.clear }, "Clear finished")),
    el("div", { class: "card" }, el("h2", {}, "From this page"), here),
    el("div", { class: "cards" }, el("div", { class: "card" }, el("h2", {}, "From before and elsewhere"), there)));
  const { signal } = ended;
  uploading.events.addEventListener("change", drawHere, { signal });
  document.addEventListener("transfers-changed", () => drawThere().catch(() => null), { signal });
  drawHere();
  await drawThere().catch((error) => there.replaceChildren(el("li", { class: "error" }, error.message)));
  return () => ended.abort();
}

function mine(one) {
  const active = ["waiting", "running"].includes(one.state);
  const again = { parked: "Resume", failed: "Try again" }[one.state];
  return el("li", { class: "transfer" }, el("strong", {}, one.file.name),
    el("div", { class: "row" },
      active ? el("button", { onclick: () => uploading.stop(one) }, "Pause") : null,
      again ? el("button", { onclick: () => uploading.resume(one) }, again) : null,
      renaming(one)),
    el("span", { class: one.error ? "error" : "soft" },
      `${size(one.sent)} of ${size(one.file.size)} · ${one.state}${one.error ? `: ${one.error}` : ""}`),
    bar(one.file.name, one.state === "done" ? one.file.size || 1 : one.sent, one.file.size));
}

function known(one, drawn) {
  const cancel = async () => {
    await api.cancelTransfer(one.key).catch((error) => toast(error.message, { bad: true }));
    await drawn();
  };
  const down = one.direction === "download";
  const parked = one.resumable && one.state === "parked";
  const hint = parked && !down ? " · choose the same file again to go on" : "";
  const of = one.size === undefined ? "" : ` of ${size(one.size)}`;
  const name = one.path.split("/").at(-1);
  return el("li", { class: "transfer" },
    el("strong", {}, el("span", { class: "soft" }, down ? "Download of " : "Upload of "), one.path),
    el("div", { class: "row" },
      parked && down ? el("a", { class: "button", href: one.location, download: name }, "Download again") : null,
      one.resumable ? el("button", { onclick: cancel }, parked ? "Forget" : "Cancel") : null),
    el("span", { class: COLOURS[one.state] ?? "soft" },
      `${size(one.offset)}${of} · ${WORDS[one.state] ?? one.state}${one.error ? `: ${one.error}` : ""}${hint} · ` +
      when(one.touched_at_s * 1000)),
    one.resumable ? bar(one.path, one.offset, one.size) : null);
}

/** Tell people of a transfer that was cut or refused, unless it is one that they see on this page. */
export function tellOf(one) {
  if (!["parked", "rolled back"].includes(one.state) || uploading.isHere(one.location)) return;
  const what = one.direction === "download" ? "download" : "upload";
  toast(`The ${what} of ${one.path} was ${one.state === "parked" ? "cut" : `refused: ${one.error}`}`, {
    action: seeThem });
}

function renaming(one) {
  const better = one.refused?.facts?.suggested_name;
  if (one.state !== "failed" || !better) return null;
  const run = () => {
    uploading.uploads.splice(uploading.uploads.indexOf(one), 1);
    uploading.upload(new File([one.file], better, { lastModified: one.file.lastModified }), one.parent);
  };
  return el("button", { class: "main", onclick: run }, `Upload as ${better}`);
}

const seeThem = { label: "See transfers", run: () => { location.hash = "#/transfers"; } };

/** Keep the number of uploads that are not done in `badge`, and how far they are in `strip`; tell of failures. */
export function countInto(badge, strip) {
  const line = el("progress", { "aria-label": "Progress of all uploads" });
  const words = el("span", {});
  strip.replaceChildren(words, line);
  uploading.events.addEventListener("failed", ({ detail: one }) => {
    if (!location.hash.startsWith("#/transfers")) {
      toast(`${one.file.name} was not uploaded: ${one.error}`, { bad: true, action: seeThem });
    }
  });
  uploading.events.addEventListener("change", () => {
    const open = uploading.uploads.filter((one) => OPEN.includes(one.state)).length;
    badge.hidden = !open;
    badge.textContent = open;
    badge.setAttribute("aria-label", `${open} not done`);
    const round = uploading.uploads.filter((one) => one.state !== "failed" && one.state !== "parked");
    const sum = (values) => values.reduce((all, one) => all + one, 0);
    line.max = sum(round.map((one) => one.file.size)) || 1;
    line.value = sum(round.map((one) => (one.state === "done" ? one.file.size : one.sent)));
    const done = round.filter((one) => one.state === "done").length;
    strip.hidden = done === round.length;
    words.textContent = `Uploading ${done + 1} of ${round.length} · ${Math.floor((100 * line.value) / line.max)} %`;
  });
}
