// The vendors behind the drive: how they are, quota and budgets, the queue, what is parked, what you were served.
import * as api from "./api.js";
import { askName, confirmed } from "./dialogs.js";
import { el, toast } from "./dom.js";
import { clock, size, span, when } from "./format.js";

const OPEN = ["waiting", "running", "parked"];
const WORDS = { waiting: "begins soon", "rolled back": "undone" };
const COLOURS = { parked: "warn", failed: "error", "rolled back": "error" };
const CIRCUITS = { open: "it does not answer, nobody calls it for a while",
  "half open": "one call at a time tries whether it is back" };
const LAYERS = { memory: "Small files in memory", volume: "Files in the banks", metadata: "Names and sizes" };
const AGAIN_MS = 15000;

/** Show the vendors in `main`; returns what ends the view. */
export async function showVendors(main) {
  const ended = new AbortController();
  let timer = 0;
  let turn = 0;
  async function draw() {
    clearTimeout(timer);
    const mine = ++turn;
    const parts = await Promise.all([api.vendors(), api.vendorTransfers(), api.history(), api.cacheRates()]);
    if (ended.signal.aborted || mine !== turn) return;
    main.replaceChildren(...page(...parts, again));
    timer = setTimeout(again, AGAIN_MS); // places and times move on without any news
  }
  const again = () => draw().catch((error) => toast(error.message, { bad: true }));
  document.addEventListener("vendors-changed", again, { signal: ended.signal });
  await draw();
  return () => { ended.abort(); clearTimeout(timer); };
}

function page(vendors, transfers, history, cache, again) {
  const open = transfers.filter((one) => OPEN.includes(one.transfer.state));
  const over = transfers.filter((one) => !OPEN.includes(one.transfer.state)).slice(0, 50);
  const notices = vendors.flatMap((one) => one.notices).sort((a, b) => b.at_s - a.at_s).slice(0, 20);
  const list = (rows, nothing) => el("ul", { class: "feed" },
    rows.length ? rows : el("li", { class: "soft" }, nothing));
  return [
    el("div", { class: "bar" }, el("h1", { class: "crumbs" }, "Vendors")),
    ...vendors.map((one) => vendor(one, again)),
    el("div", { class: "cards" }, requests(history), (cache?.caches ?? []).map((one) => rates(one, again))),
    el("section", { class: "card" }, el("h2", {}, "Queue and parked"),
      list(open.map((one) => transfer(one, again)), "Nobody waits.")),
    el("div", { class: "cards" },
      el("section", { class: "card" }, el("h2", {}, "What you should know"),
        list(notices.map((one) => el("li", {}, one.text, el("div", { class: "soft" }, when(one.at_s * 1000)))),
          "Nothing.")),
      el("section", { class: "card" }, el("h2", {}, "Done lately"),
        list(over.map((one) => transfer(one, again)), "Nothing yet.")),
      el("section", { class: "card" }, el("h2", {}, "What you were served"),
        list(history.served.slice(0, 50).map(served), "Nothing yet.")))].filter(Boolean);
}

function vendor(one, again) {
  const [colour, word] = health(one);
  const facts = [`${one.files.toLocaleString()} files and folders`,
    one.outbox ? `${one.outbox.toLocaleString()} to be sent or compared` : "nothing to be sent",
    one.polled_at_s ? `asked ${when(one.polled_at_s * 1000)}` : "not asked yet"];
  return el("section", { class: "card vendor", "aria-label": one.name },
    el("h2", {}, `${one.name} at ${one.at}`),
    el("p", {}, el("span", { class: `state ${colour}` }, word)),
    el("p", { class: "soft" }, facts.join(" · ")),
    one.held_removals ? held(one, again) : null,
    el("div", { class: "meters" }, quota(one.quota),
      one.budgets.filter((budget) => budget.limit_bytes !== null).map(budgetMeter)),
    one.left_out ? el("p", { class: "soft" },
      `${one.left_out.toLocaleString()} of its own documents are not shown: they have no bytes.`) : null,
    el("ul", { class: "feed" }, one.unsettled.filter((row) => row.error).map((row) => el("li", { class: "warn" },
      `${row.name}: tried ${row.attempts} times, ${row.error}`))));
}

function health(one) {
  if (one.quota.spent_until_s !== null) {
    const until = clock(one.quota.spent_until_s);
    return ["warn", `Its limit of today is reached: what is here is served, the rest from ${until} on`];
  }
  if (one.circuit !== "closed") {
    const again = one.again_in_s > 0 ? `; asked again in ${span(one.again_in_s)}` : "";
    return ["bad", `Away: ${CIRCUITS[one.circuit]}${again}. What is here is served`];
  }
  if (one.held_removals) return ["warn", "A great removal waits for your yes"];
  if (one.trouble) return ["bad", `Away: ${one.trouble}`];
  return one.polled_at_s === null ? ["warn", "Its files are being listed"] : ["good", "All is well"];
}

function held(one, again) {
  const order = async (wanted) => {
    const count = one.held_removals.toLocaleString();
    if (wanted === "allow" && !(await confirmed("Remove at the vendor, too?",
      `${count} files and folders go into the trash of ${one.name}.`, "Remove them"))) return;
    await api.decideRemoval(one.name, wanted).then(() => toast(wanted === "allow"
      ? `${count} files and folders are removed at ${one.name}` : `${count} files and folders come back`),
    (error) => toast(error.message, { bad: true }));
    await again();
  };
  return el("div", { class: "held", role: "alert" },
    el("p", {}, `${one.held_removals.toLocaleString()} files and folders were removed here in a short time. ` +
      "They are still at the vendor."),
    el("div", { class: "row" },
      el("button", { class: "main", onclick: () => order("undo") }, "Bring them back"),
      el("button", { class: "danger", onclick: () => order("allow") }, "Remove them there, too")));
}

function meter(name, used, limit, words) {
  const share = Math.min(1, limit ? used / limit : 1);
  return el("div", { class: "meter" },
    el("div", {}, el("span", {}, name), el("span", { class: "soft" }, words)),
    el("progress", { class: share >= 0.9 ? "high" : null, max: 1, value: share, "aria-label": name }));
}

function quota(one) {
  const rows = [["Requests of the vendor's day", one.requests, one.requests_per_day],
    ["Units of the vendor's day", one.units, one.units_per_day]];
  return rows.map(([name, used, limit]) => (limit === null
    ? el("div", { class: "meter" }, el("div", {}, el("span", {}, name),
      el("span", { class: "soft" }, `${used.toLocaleString()}, no limit set`)))
    : meter(name, used, limit, `${used.toLocaleString()} of ${limit.toLocaleString()}`)));
}

function budgetMeter(one) {
  const name = one.direction === "download" ? "Bytes from there today" : "Bytes to there today";
  const waiting = one.waiting ? `, ${one.waiting} waiting` : "";
  return meter(name, one.used_bytes, one.limit_bytes,
    `${size(one.used_bytes)} of ${size(one.limit_bytes)}${waiting}, new at ${clock(one.resets_at_s)}`);
}

function requests(one) {
  if (one.requests_per_day === null) return null;
  const left = Math.max(0, one.requests_per_day - one.requests);
  return el("section", { class: "card" }, el("h2", {}, "Your requests of today"),
    meter("Requests", one.requests, one.requests_per_day, left
      ? `${left.toLocaleString()} left, new at ${clock(one.resets_at_s)}`
      : `limit reached: what is here is served, new at ${clock(one.resets_at_s)}`));
}

/** Return how often what is kept of a vendor was what people asked for, layer by layer. */
function rates(cache, again) {
  const order = (wanted, title, label) => async () => {
    const path = await askName(title, cache.at, label, { what: "Path", longest: 4096 });
    if (!path) return;
    await api.orderCache(wanted, path).then((one) => toast(ordered(one)),
      (error) => toast(error.message, { bad: true }));
    await again();
  };
  const row = (one) => {
    const asked = one.hits + one.misses;
    const held = one.size_bytes === null ? "" : ` · ${size(one.size_bytes)} kept`;
    return el("tr", {}, el("td", { class: "soft" }, LAYERS[one.layer] ?? one.layer), el("td", { class: "num" },
      `${asked ? `${Math.floor((100 * one.hits) / asked)} % of ${asked.toLocaleString()}` : "not asked yet"}${held}`));
  };
  return el("section", { class: "card" }, el("h2", {}, `Served from here instead of ${cache.upstream}`),
    el("table", {}, cache.layers.map(row)),
    el("div", { class: "row" },
      el("button", { onclick: order("warm", "Fetch which folder or file ahead?", "Fetch it") }, "Fetch ahead"),
      el("button", { onclick: order("evict", `Keep which folder or file at ${cache.upstream} only?`, "Make room") },
        "Make room")));
}

function ordered(one) {
  if (one.state === "running") return `${one.path}: under way; you are told when it is done`;
  const did = one.do === "warm" ? "fetched" : "at the vendor only now";
  const left = one.left ? `; ${one.left.toLocaleString()} not: ${one.why}` : "";
  return `${one.files.toLocaleString()} files (${size(one.size_bytes)}) ${did}${left}`;
}

function transfer({ upstream, transfer: one, position, resets_at_s: resets }, again) {
  const down = one.direction === "download";
  const open = OPEN.includes(one.state);
  const order = (run) => async () => {
    await run(one.key).catch((error) => toast(error.message, { bad: true }));
    await again();
  };
  const place = `place ${position} in the queue${resets ? `, a new day's bytes at ${clock(resets)}` : ""}`;
  const word = position ? place : WORDS[one.state] ?? one.state;
  const why = one.error && one.state !== "running" && one.state !== "waiting" ? `: ${one.error}` : "";
  const moved = one.state === "done" ? size(one.size) : `${size(one.moved)} of ${size(one.size)}`;
  return el("li", { class: "transfer" },
    el("strong", {}, el("span", { class: "soft" }, down ? `From ${upstream}: ` : `To ${upstream}: `), one.name),
    el("div", { class: "row" },
      one.state === "parked" ? el("button", { onclick: order(api.resumeTransfer) }, "Resume") : null,
      open && (down || one.state !== "parked")
        ? el("button", { onclick: order(api.cancelTransfer) }, down ? "Cancel" : "Keep back") : null),
    el("span", { class: COLOURS[one.state] ?? "soft" },
      `${moved} · ${word}${why} · for ${one.user} · ${when(one.touched_s * 1000)}`),
    open ? el("progress", { max: one.size || 1, value: one.moved, "aria-label": `Progress of ${one.name}` }) : null);
}

function served(one) {
  const often = one.times === 1 ? "once" : `${one.times.toLocaleString()} times`;
  return el("li", {}, one.path,
    el("div", { class: "soft" }, `${size(one.size)} · ${often}, last ${when(one.last_s * 1000)}`));
}
