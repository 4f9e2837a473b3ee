// Tiles of the board about what does the work: vendors behind the drive, its processes, workers that come and go.
import { coded, el } from "./dom.js";
import { size, span, when } from "./format.js";

const SHOWN = 14;

export function upstreamTile(told) {
  return el("div", {}, told.map((one) => el("div", { class: "vendor" },
    el("strong", {}, one.name), " ",
    el("span", { class: `state ${one.healthy ? "good" : "warn"}` }, one.healthy ? "well" : one.trouble || "not reached yet"),
    el("dl", { class: "facts" }, [
      ["Requests today", one.requests_per_day ? `${one.requests.toLocaleString("en")} of ${one.requests_per_day.toLocaleString("en")}`
        : one.requests.toLocaleString("en")],
      ["On their way there", `${one.outbox}`], ["In the queue", `${one.waiting}`], ["Parked", `${one.parked}`],
      ...one.budgets.map(([direction, used, limit]) => [`${direction === "download" ? "Downloads" : "Uploads"} today`,
        limit === null ? size(used) : `${size(used)} of ${size(limit)}`]),
    ].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])))),
  el("p", {}, el("a", { href: "#/vendors" }, "All about vendors")));
}
upstreamTile.told = ({ upstreams }) => (upstreams?.length ? upstreams : null);

export function processesTile(told) {
  const { machine } = told;
  const cpu = machine.cpu_percent === null ? "" : `CPU ${Math.round(machine.cpu_percent)}\u00a0% of ${machine.cores} cores, `;
  return el("div", {},
    el("p", { class: "soft" }, `This machine: ${cpu}memory ${Math.round(machine.memory_percent)}\u00a0% of ${size(machine.memory_total_bytes)}.`),
    el("div", { class: "wide" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Process"),
        ["CPU", "Memory", "Files", "Since"].map((name) => el("th", { scope: "col", class: "num" }, name)))),
      el("tbody", {}, told.processes.map((one) => el("tr", {},
        el("th", { scope: "row" }, one.name, one.leak ? el("span", { class: "flag", title: one.leak_why }, `${one.leak} grows`) : null),
        cell(one.cpu_percent === null ? "–" : `${one.cpu_percent.toFixed(0)} %`), cell(size(one.rss_bytes)),
        cell(one.handles ?? "–"), cell(span(one.elapsed_s))))))),
    el("p", { class: "soft" }, told.more ? `and ${told.more} more. ` : null, el("a", { href: "#/health" }, "All of them, over time")));
}
processesTile.told = ({ figures }) => figures && { machine: figures.machine,
  processes: figures.processes.slice(0, SHOWN), more: Math.max(0, figures.processes.length - SHOWN) };

export function scalingTile({ scaling, steps }) {
  const cpu = scaling.cpu_percent === null ? "" : ` CPU ${Math.round(scaling.cpu_percent)} %.`;
  const many = scaling.max_workers > scaling.min_workers;
  const most = many ? ` of at most ${scaling.max_workers}` : "";
  return el("div", {},
    el("p", {}, el("strong", {}, `${scaling.workers}${most} ${scaling.workers === 1 && !many ? "worker" : "workers"}.`), cpu),
    el("p", { class: "soft" }, coded(scaling.waiting || (many
      ? `One more above ${scaling.add_above_cpu_percent} %, one less below ${scaling.remove_below_cpu_percent} %.`
      : "Their number is fixed; `trivet up --max-workers` lets it grow."))),
    el("ul", { class: "feed", "aria-label": "Steps" }, steps.map((one) =>
      el("li", {}, `${when(one.at_s * 1000)}: ${one.what}, ${one.workers} now `, el("span", { class: "soft" }, one.why)))));
}
scalingTile.told = ({ figures }) => (figures?.scaling ? { scaling: figures.scaling, steps: figures.steps.slice(0, 5) } : null);

const cell = (text) => el("td", { class: "num" }, `${text}`);
