// The sentence on top of the board, and the tile of banks, servers and repairs.
import { coded, el } from "./dom.js";
import { size, span, when } from "./format.js";

const MARKS = { good: "✓", warn: "!", bad: "✕" };
const STATES = { up: "good", full: "warn", joining: "warn", hung: "warn", stopped: "warn" };
const BANKS = { whole: "whole", partly: "partly away", away: "away" };
const SAID = { up: "up", full: "disk full", joining: "catching up", hung: "hangs", stopped: "stopped", down: "down" };
const ITEMS = { blob: "data", page: "data", extent: "where its data lies", attributes: "size, times and rights" };
const SHOWN = 4;

/** Return the nodes of the sentence on top. */
export function verdictOf({ level, sentence, doing }) {
  return [el("span", { class: "mark", "aria-hidden": "true" }, MARKS[level]),
    el("div", {}, el("p", { id: "sentence" }, sentence),
      doing ? el("p", { class: "doing" }, coded(doing)) : null)];
}

export function banksTile(told) {
  return el("div", {}, el("ul", { class: "banks" }, told.banks.map((bank) => el("li", {},
    el("strong", {}, `Bank ${bank.base}`),
    el("span", { class: `state ${{ whole: "good", partly: "warn" }[bank.state] ?? "bad"}` }, BANKS[bank.state]),
    el("ul", { class: "servers", "aria-label": `Servers of bank ${bank.base}` }, bank.servers.map(server))))),
  told.healing ? healing(told.healing) : null);
}
banksTile.told = ({ banks, healing: told }) => (banks.length ? { banks, healing: told ? healed(told) : null } : null);

function server(one) {
  const bytes = one.bytes === null ? "" : ` · ${size(one.bytes)}`;
  const mend = one.divergent ? ` · ${one.divergent} to mend` : "";
  return el("li", {}, el("span", { class: `state ${STATES[one.state] ?? "bad"}` }, `${one.port}`),
    el("span", { class: "soft" }, ` ${SAID[one.state]}${bytes}${mend}`));
}

function healing(told) {
  const rows = [["To mend now", told.open_damage], ["Repaired so far", told.repaired_total],
    ["All copies compared", told.age], ["All bytes read again", told.scrub]];
  return el("div", {}, el("dl", { class: "facts" }, rows.map(([name, value]) => [el("dt", {}, name),
    el("dd", { class: name === "To mend now" && value ? "warn" : "" }, `${value}`)])),
  el("ul", { class: "feed", "aria-label": "Latest repairs" }, told.repairs.length ? told.repairs.map(repair)
    : el("li", { class: "soft" }, "Nothing had to be repaired today.")));
}

function healed(told) {
  const ago = (seconds) => (seconds === null ? "not yet" : `${span(seconds)} ago`);
  return { open_damage: told.open_damage, repaired_total: told.repaired_total, age: ago(told.refresh_age_s),
    scrub: reading(told.scrub) ?? ago(told.scrub.finished_age_s), repairs: together(told.repairs).slice(0, SHOWN) };
}

/** Return `repairs` with those of one file, server and minute as one; `count` says how many they are. */
function together(repairs) {
  const found = [];
  for (const one of repairs) {
    const last = found.at(-1);
    const same = last && ["path", "server", "why", "item"].every((name) => last[name] === one[name]);
    if (same && Math.abs(last.at_s - one.at_s) < 60) last.count += 1;
    else found.push({ ...one, count: 1 });
  }
  return found;
}

function reading(scrub) {
  if (scrub.state !== "running" || !scrub.total_bytes) return scrub.state === "paused" ? "paused" : null;
  return `under way, ${Math.floor((100 * scrub.done_bytes) / scrub.total_bytes)} %`;
}

function repair(one) {
  const source = one.source ? ` from the copy on ${one.source}` : "";
  const took = one.found_s ? `, ${span(Math.max(0, one.at_s - one.found_s))} after it was found` : "";
  const what = `${one.count > 1 ? `${one.count} pieces` : ITEMS[one.item] ?? one.item} on server ${one.server}`;
  return el("li", {}, el("strong", {}, one.path), el("div", { class: "soft" },
    `${what}: ${one.why}; repaired ${when(one.at_s * 1000)}${source}${took}`));
}
