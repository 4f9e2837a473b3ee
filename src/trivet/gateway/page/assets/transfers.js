// Uploads of this page, with progress, and a number at the top while some run.
import { el } from "./dom.js";
import { size } from "./format.js";
import * as uploading from "./uploads.js";

const WORDS = { waiting: "waiting", running: "uploading", parked: "parked", done: "done", failed: "failed" };

/** Show the uploads in `main`; returns what ends the view. */
export function showTransfers(main) {
  const list = el("ul", { class: "feed" });
  const box = el("div", { class: "card" }, list);
  const draw = () => list.replaceChildren(...(uploading.uploads.length
    ? [...uploading.uploads].reverse().map(row)
    : [el("li", { class: "empty" }, el("strong", {}, "No transfers"), "Uploads of this page show here.")]));
  main.replaceChildren(el("div", { class: "bar" }, el("h1", { class: "crumbs" }, "Transfers"),
    el("button", { onclick: uploading.clear }, "Clear finished")), box);
  draw();
  uploading.events.addEventListener("change", draw);
  return () => uploading.events.removeEventListener("change", draw);
}

function row(one) {
  const active = ["waiting", "running"].includes(one.state);
  return el("li", { class: "transfer" }, el("strong", {}, one.file.name),
    el("div", { class: "row" },
      active ? el("button", { onclick: () => uploading.stop(one) }, "Pause") : null,
      ["parked", "failed"].includes(one.state)
        ? el("button", { onclick: () => uploading.resume(one) }, one.state === "parked" ? "Resume" : "Try again")
        : null,
      renaming(one)),
    el("span", { class: one.error ? "error" : "soft" },
      `${size(one.sent)} of ${size(one.file.size)} · ${WORDS[one.state]}${one.error ? `: ${one.error}` : ""}`),
    el("progress", { max: one.file.size || 1, value: one.state === "done" ? one.file.size || 1 : one.sent,
      "aria-label": `Progress of ${one.file.name}` }));
}

function renaming(one) {
  const better = one.refused?.facts?.suggested_name;
  if (one.state !== "failed" || !better) return null;
  const run = () => {
    uploading.upload(new File([one.file], better, { lastModified: one.file.lastModified }), one.parent);
    uploading.uploads.splice(uploading.uploads.indexOf(one), 1);
  };
  return el("button", { class: "main", onclick: run }, `Upload as ${better}`);
}

/** Keep the number of uploads that are not done in `badge`. */
export function countInto(badge) {
  uploading.events.addEventListener("change", () => {
    const open = uploading.uploads.filter((one) => ["waiting", "running", "parked"].includes(one.state)).length;
    badge.hidden = !open;
    badge.textContent = open;
    badge.setAttribute("aria-label", `${open} running`);
  });
}
