// The state of the banks, what was repaired lately, what processes used; asked for anew while it is seen.
import * as api from "./api.js";
import { el } from "./dom.js";
import { size, span, when } from "./format.js";
import { pastOfProcesses } from "./past.js";

const EVERY_MS = 3000;
const DAY_S = 86400;
const STATES = { up: "good", full: "warn", joining: "warn" };

/** Show health in `main`; returns what ends the view. */
export async function showHealth(main) {
  const banks = el("div");
  const past = pastOfProcesses();
  main.replaceChildren(banks, past.element);
  let timer = 0;
  let ended = false;
  async function draw() {
    try {
      const [told, repairs] = await Promise.all([api.health(), api.repairs(DAY_S)]);
      if (!ended) banks.replaceChildren(...page(told, repairs));
    } catch (error) {
      if (!ended) banks.replaceChildren(el("h1", {}, "Health"), el("p", { class: "error" }, error.message));
    }
    if (!ended) timer = setTimeout(draw, EVERY_MS);
  }
  await draw();
  return () => { ended = true; clearTimeout(timer); past.end(); };
}

function page(told, repairs) {
  const word = told.healthy ? "Everything is whole" : "Not everything is well";
  const latest = [...repairs.repairs].reverse().slice(0, 100);
  return [
    el("div", { class: "bar" }, el("h1", { class: "crumbs" },
      el("span", { class: `state ${told.healthy ? "good" : "bad"}` }, word))),
    el("ul", { class: "feed" }, told.notes.map((note) => el("li", { class: "error" }, note))),
    el("div", { class: "cards" }, told.banks.map(bank), numbers(told)),
    el("div", { class: "card" }, el("h2", {}, "Repairs of the last day"),
      el("ul", { class: "feed" }, latest.length ? latest.map(repair)
        : el("li", { class: "soft" }, "Nothing had to be repaired."))),
  ];
}

function bank(one) {
  return el("section", { class: "card" }, el("h2", {}, `Bank ${one.base}`),
    el("table", {}, one.servers.map((server) => el("tr", {},
      el("td", {}, `${server.port}`),
      el("td", {}, el("span", { class: `state ${STATES[server.state] ?? "bad"}` }, server.state)),
      el("td", { class: "num soft" }, server.bytes === null ? "" : size(server.bytes)),
      el("td", { class: "num" }, server.divergent ? `${server.divergent} to mend` : "")))));
}

function numbers(told) {
  const age = (seconds) => (seconds === null ? "not yet" : `${span(seconds)} ago`);
  const rows = [["Open damage", told.open_damage], ["Repaired so far", told.repaired_total],
    ["Copies compared", age(told.refresh_age_s)], ["All bytes read", reading(told.scrub) ?? age(told.scrub.finished_age_s)]];
  return el("section", { class: "card" }, el("h2", {}, "Healing"), el("table", {},
    rows.map(([name, value]) => el("tr", {}, el("td", { class: "soft" }, name), el("td", { class: "num" }, `${value}`)))));
}

/** Return how far the reading of all bytes is and how long it will take, null when it is not running. */
function reading(scrub) {
  if (scrub.state !== "running" || !scrub.total_bytes) return null;
  const share = `${Math.floor((100 * scrub.done_bytes) / scrub.total_bytes)} %`;
  if (!scrub.bytes_s) return share;
  return `${share}, ${span((scrub.total_bytes - scrub.done_bytes) / scrub.bytes_s)} left`;
}

function repair(one) {
  const bytes = one.ranges.map(([from, to]) => `bytes ${from}–${to - 1}`).join(", ");
  const source = one.source ? `, from the copy on ${one.source}` : "";
  return el("li", {}, el("strong", {}, `${one.verdict}: `), one.path,
    el("div", { class: "soft" }, `${when(one.at_s * 1000)} · ${one.item} on ${one.server}: ${one.why}${source}` +
      `${bytes ? ` · ${bytes}` : ""}`));
}
