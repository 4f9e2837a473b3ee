// Starts the page: who is here, which view the address names, what changes meanwhile.
import * as api from "./api.js";
import { showBoard } from "./board.js";
import { showFiles } from "./files.js";
import { showHealth } from "./health.js";
import { el, toast } from "./dom.js";
import { showLogin } from "./login.js";
import { countInto, showTransfers, tellOf } from "./transfers.js";
import { showTrash } from "./trash.js";
import { uploads } from "./uploads.js";
import { showVendors } from "./vendors.js";

const RETRY_MS = 2000;
const LOOK_MS = 100;
const HEALTH_MS = 5000;
const VENDORS_MS = 500;
const seeVendors = { label: "See vendors", run: () => { location.hash = "#/vendors"; } };
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const byId = (id) => document.getElementById(id);
const main = byId("main");
let leave = null;
let turn = 0;
let inside = false;
let watching = null;

async function route() {
  if (!inside) return;
  const [, view = "files", id = "root"] = location.hash.split("/").map(decodeURIComponent);
  const mine = ++turn;
  leave?.();
  leave = null;
  for (const link of byId("nav").children) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = el("div"); // seen only once it is ready, and only if nobody has gone elsewhere meanwhile
  const views = { files: () => showFiles(place, id), trash: () => showTrash(place),
    transfers: () => showTransfers(place), health: () => showHealth(place),
    vendors: () => showVendors(place), board: () => showBoard(place) };
  let end = null;
  try {
    end = await (views[view] ?? views.files)();
  } catch (error) {
    place.replaceChildren(el("div", { class: "empty" }, el("strong", {}, "This can't be shown"), error.message));
  }
  if (mine === turn) {
    leave = end;
    main.replaceChildren(place);
  } else end?.();
}

async function enter(note) {
  try {
    const me = await api.me();
    inside = true;
    byId("user").textContent = me.user;
    byId("logout").hidden = !me.logins;
    if (me.admin) byId("nav").prepend(byId("board-link"));
    byId("nav").hidden = byId("who").hidden = false;
    lookAtVendors();
    if (new URLSearchParams(location.search).has("login")) history.replaceState(null, "", "/");
    await route();
  } catch (error) {
    if (!(error instanceof api.Refused) || error.status !== 401) toast(error.message, { bad: true });
    out(note);
  }
}

function out(note = "") {
  inside = false;
  turn += 1;
  watching?.close();
  leave?.();
  leave = null;
  byId("nav").hidden = byId("who").hidden = true;
  if (!main.querySelector(".login")) showLogin(main, () => enter(), note);
}

/** Tell the views when something in the drive changed, whoever did it; goes on where it was cut. */
async function watch() {
  let seen = null;
  for (;; await pause(inside ? RETRY_MS : LOOK_MS)) {
    if (!inside) continue;
    const socket = api.eventSocket(seen);
    watching = socket;
    const soon = {};
    const tellLater = (name, ms) => {
      soon[name] ||= setTimeout(() => { soon[name] = 0; document.dispatchEvent(new Event(name)); }, ms);
    };
    const tell = (name) => tellLater(name, 150);
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "hello" && seen === null) tell("drive-changed");
      if (event.type === "changed" || event.type === "removed") tell("drive-changed");
      if (event.type === "transfer") {
        tellOf(event.transfer);
        document.dispatchEvent(new Event("transfers-changed"));
      }
      if (event.type === "upstream") tellLater("vendors-changed", VENDORS_MS);
      if (event.type === "notice") toast(event.text, { action: seeVendors });
      seen = event.seq;
    };
    const closed = await new Promise((resolve) => { socket.onclose = resolve; });
    if (closed.code === 4410) seen = null;
  }
}

async function watchHealth() {
  for (;; await pause(HEALTH_MS)) {
    if (!inside || document.hidden) continue;
    const told = await api.health().catch(() => ({ healthy: false }));
    byId("health-dot").hidden = told.healthy;
    await lookAtVendors();
  }
}

/** Show the way to the vendors if there are any, and whether one is not well. */
async function lookAtVendors() {
  const vendors = await api.vendors().catch(() => []);
  byId("vendors").hidden = !vendors.length;
  byId("vendors-dot").hidden = vendors.every((one) => one.healthy);
}

byId("logout").addEventListener("click", async () => { await api.logout().catch(() => null); out(); });
document.addEventListener("logged-out", () => inside && out("You were logged out."));
window.addEventListener("hashchange", route);
window.addEventListener("beforeunload", (event) => {
  if (uploads.some((one) => ["waiting", "running"].includes(one.state))) event.preventDefault();
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => event.preventDefault());
countInto(byId("running"), byId("strip"));
enter(new URLSearchParams(location.search).get("login") === "used"
  ? "This login link was used or has run out." : "");
watch();
watchHealth();
