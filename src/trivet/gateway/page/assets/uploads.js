// Uploads in chunks: progress, pause, going on after a cut or a reload of the page.
// Rule: the server says how much it holds; what it holds is never sent again.
import * as api from "./api.js";

const CHUNK = 4 << 20;
const TRIES = 8;
const KEPT = "trivet.uploads";

/** Dispatches "change" when an upload moved, "done" (detail: folder id) when one has ended well, "failed". */
export const events = new EventTarget();
/** All uploads of this page, newest last. */
export const uploads = [];

const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "{}");
const keep = (key, url) => {
  const all = kept();
  if (url) all[key] = url; else delete all[key];
  localStorage.setItem(KEPT, JSON.stringify(all));
};
const changed = () => events.dispatchEvent(new Event("change"));
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Put `file` into the folder `parent`; a file of that name there gets a new version. */
export function upload(file, parent) {
  const key = [parent, file.name, file.size, file.lastModified].join("|");
  const one = { file, parent, key, sent: 0, state: "waiting", error: "", control: null };
  uploads.push(one);
  next();
}

/** Say whether the transfer at the address `url` is one of this page's. */
export const isHere = (url) => uploads.some((one) => one.url === url);

/** Stop sending `one`; what the server holds stays there. */
export function stop(one) {
  one.state = "parked";
  one.control?.abort();
  changed();
}

/** Go on with `one` where the server stands. */
export function resume(one) {
  one.state = "waiting";
  one.error = "";
  next();
}

/** Take uploads that have ended off the list. */
export function clear() {
  const left = uploads.filter((one) => ["waiting", "running", "parked"].includes(one.state));
  uploads.splice(0, uploads.length, ...left);
  changed();
}

function next() {
  changed();
  if (uploads.filter((one) => one.state === "running").length >= 2) return;
  const one = uploads.find((each) => each.state === "waiting");
  if (one) { run(one); next(); }
}

async function run(one) {
  one.state = "running";
  one.control = new AbortController();
  try {
    await send(one);
    keep(one.key);
    one.state = "done";
    events.dispatchEvent(new CustomEvent("done", { detail: one.parent }));
  } catch (error) {
    if (one.state === "running") {
      one.state = error instanceof api.Refused ? "failed" : "parked";
      one.error = error instanceof api.Refused ? error.message : "the server can't be reached";
      one.refused = error;
      if (one.state === "failed") keep(one.key);
      if (one.state === "failed") events.dispatchEvent(new CustomEvent("failed", { detail: one }));
    }
  }
  next();
}

async function send(one) {
  let url = kept()[one.key];
  one.url = url;
  one.sent = url ? await held(url, one) : 0;
  if (one.sent === null) url = undefined;
  if (!url) {
    url = await begin(one);
    one.url = url;
    one.sent = 0;
    keep(one.key, url);
  }
  for (let tries = 0; one.sent < one.file.size || tries === 0;) {
    try {
      one.sent = await put(url, one);
      if (one.sent === one.file.size) return;
      tries = 1;
    } catch (error) {
      const worthAgain = error instanceof api.Refused ? error.status >= 500 || error.status === 429
        : error.name !== "AbortError";
      if (!worthAgain || tries >= TRIES) throw error;
      tries += 1;
      await pause(Math.min(2 ** tries * 250, 15000) * (0.5 + Math.random()));
      one.sent = await held(url, one).catch(() => one.sent) ?? 0;
    }
  }
}

async function begin(one) {
  const old = await api.named(one.parent, one.file.name);
  const place = old ? { target: old.id } : { name: one.file.name, parent: one.parent };
  const response = await api.ask("/api/v1/transfers", {
    method: "POST",
    json: { ...place, size: one.file.size, ...(one.file.type ? { mime_type: one.file.type } : {}) },
    signal: one.control.signal,
  });
  return (await response.json()).location;
}

/** Return how many bytes the server holds of `one`, null when it knows nothing of it any more. */
async function held(url, one) {
  try {
    const response = await api.ask(url, {
      method: "PUT", headers: { "content-range": `bytes */${one.file.size}` }, signal: one.control.signal,
    });
    return response.status === 308 ? end(response) : one.file.size;
  } catch (error) {
    if (error instanceof api.Refused && [404, 410].includes(error.status)) return null;
    throw error;
  }
}

const end = (response) => {
  const range = /(\d+)$/.exec(response.headers.get("range") ?? "");
  return range ? Number(range[1]) + 1 : 0;
};

function put(url, one) {
  const stopAt = Math.min(one.sent + CHUNK, one.file.size);
  const empty = one.file.size === 0;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much of a body has left
    const from = one.sent;
    request.upload.onprogress = (event) => { one.sent = from + event.loaded; changed(); };
    request.onerror = () => reject(new TypeError("network"));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    one.control.signal.addEventListener("abort", () => request.abort(), { once: true });
    request.onload = () => {
      if (request.status === 308) {
        const range = /(\d+)$/.exec(request.getResponseHeader("range") ?? "");
        resolve(range ? Number(range[1]) + 1 : 0);
      } else if (request.status < 300) resolve(one.file.size);
      else reject(new api.Refused(request.status, facts(request.responseText), request.statusText));
    };
    request.open("PUT", url);
    if (!empty) request.setRequestHeader("content-range", `bytes ${from}-${stopAt - 1}/${one.file.size}`);
    request.send(empty ? "" : one.file.slice(from, stopAt));
  });
}

function facts(text) {
  try { return JSON.parse(text); } catch { return null; }
}

/** Upload what was dropped, folders with all inside them, into the folder `parent`. */
export async function drop(transfer, parent) {
  // all at once: the browser empties `items` as soon as anything is waited for
  const dropped = [...transfer.items].map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  for (const [entry, file] of dropped) {
    if (entry) await walk(entry, parent);
    else if (file) upload(file, parent);
  }
}

async function walk(entry, parent) {
  if (entry.isFile) {
    upload(await new Promise((resolve, reject) => { entry.file(resolve, reject); }), parent);
    return;
  }
  const folder = await folderIn(parent, entry.name);
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const child of some) await walk(child, folder);
  }
}

/** Upload `files` of a chosen folder, making the folders their paths name inside `parent`. */
export async function uploadTree(files, parent) {
  const made = new Map([["", parent]]);
  for (const file of files) {
    const names = file.webkitRelativePath.split("/").slice(0, -1);
    for (let depth = 1; depth <= names.length; depth += 1) {
      const path = names.slice(0, depth).join("/");
      if (!made.has(path)) {
        made.set(path, await folderIn(made.get(names.slice(0, depth - 1).join("/")), names[depth - 1]));
      }
    }
    upload(file, made.get(names.join("/")));
  }
}

async function folderIn(parent, name) {
  const found = (await api.folders(parent)).find((one) => one.name === name);
  return (found ?? await api.makeFolder(parent, name)).id;
}
