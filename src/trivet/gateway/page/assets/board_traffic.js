// Tiles of the board about what is asked of the drive: traffic by section, who asks most, transfers as bars.
import { el, svg } from "./dom.js";
import { duration, size, when } from "./format.js";

const PHASES = ["initialisation", "queue", "transfer", "verify", "publish", "repair", "*other*"];
const KINDS = { upload: "Upload", download: "Download", cached: "Download (from memory)", repair: "Repair" };
const number = (value) => value.toLocaleString("en");
const rate = (value) => (value < 10 ? value.toFixed(1) : number(Math.round(value)));

export function trafficTile(told) {
  const most = Math.max(1, ...told.per_second);
  const points = told.per_second.map((hits, place) => `${place},${(30 - (28 * hits) / most).toFixed(1)}`);
  const lately = told.per_second.slice(-10).reduce((sum, hits) => sum + hits, 0) / 10;
  const errors = told.client_errors + told.server_errors;
  return el("div", {},
    svg("svg", { class: "spark", viewBox: "0 0 119 30", preserveAspectRatio: "none", role: "img",
      "aria-label": `Requests a second in the last two minutes, at most ${most}` },
    svg("polyline", { points: points.join(" ") })),
    el("dl", { class: "facts" },
      [["Requests a second", rate(lately)], ["In the last minute", `${number(told.hits)}, ${size(told.bytes)}`],
        ["Errors", errors ? `${number(errors)}, ${told.server_errors ? number(told.server_errors) : "none"} the drive's fault` : "none"],
        ["95 % answered within", told.p95_ms === null ? "–" : `${rate(told.p95_ms)} ms`]]
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    told.sections.length ? el("table", {}, head("Section", "Requests", "Bytes", "Errors"),
      el("tbody", {}, told.sections.map((one) => el("tr", {}, el("th", { scope: "row" }, one.name),
        cell(number(one.hits)), cell(size(one.bytes)), cell(one.errors ? number(one.errors) : ""))))) : null,
    told.alerts.length ? el("ul", { class: "feed", "aria-label": "Alerts" }, told.alerts.slice(0, 3).map((one) =>
      el("li", { class: one.raised ? "warn" : "soft" },
        `${one.raised ? "Alert" : "Over"} ${when(one.at_s * 1000)}: ${one.text}`))) : null,
    told.waiting_bytes > 1 << 20 ? el("p", { class: "soft" }, `${size(told.waiting_bytes)} of the log wait to be counted.`) : null);
}
trafficTile.told = ({ traffic }) => traffic ?? null;

export function floodsTile(told) {
  return el("div", {}, told.pairs.length ? el("table", {}, head("Client and address", "In the last minute"),
    el("tbody", {}, told.pairs.map((one) => el("tr", {},
      el("th", { scope: "row" }, `${one.client} `, el("span", { class: "soft" }, one.url),
        one.loop ? el("span", { class: "flag" }, "a loop?") : null),
      cell(number(one.hits)))))) : el("p", { class: "soft" }, "Nobody asked for anything in the last minute."),
  told.findings.length ? el("ul", { class: "feed", "aria-label": "Floods" },
    told.findings.map((one) => el("li", { class: "warn" }, one.why)))
    : el("p", { class: "soft" }, "No flood: no fleet in step, no storm."));
}
floodsTile.told = ({ floods }) => (floods ? { pairs: floods.pairs.slice(0, 6), findings: floods.findings } : null);

export function motionTile(told) {
  const longest = Math.max(0.001, ...told.bars.map((one) => one.total_s));
  const used = PHASES.filter((name) => told.bars.some((one) => one.phases.some(([phase]) => phase === name)));
  return el("div", {},
    told.moving.map((one) => el("div", { class: "transfer" },
      el("strong", {}, `${one.direction === "download" ? "Download" : "Upload"} of ${one.path || "a file"}`),
      el("span", { class: one.state === "parked" ? "warn" : "soft" },
        `${one.state}, ${size(one.done)}${one.total === null ? "" : ` of ${size(one.total)}`}, ${one.user}`),
      el("progress", { max: one.total || 1, value: one.total ? Math.min(one.done, one.total) : 0,
        "aria-label": `Progress of ${one.path}` }))),
    told.more ? el("p", { class: "soft" }, `and ${number(told.more)} more`) : null,
    told.bars.length ? [el("ul", { class: "legend", "aria-hidden": "true" }, used.map((name) =>
      el("li", {}, swatch(name), name === "*other*" ? "between" : name))),
    el("ul", { class: "motion" }, told.bars.map((one) => bar(one, longest)))]
      : el("p", { class: "soft" }, "No transfer and no repair lately."));
}
motionTile.told = ({ bars, moving, moving_left_out: more }) => (bars ? { bars, moving, more } : null);

function bar(one, longest) {
  const words = one.phases.filter(([, seconds]) => seconds > 0.0005)
    .map(([name, seconds]) => `${name === "*other*" ? "between" : name} ${duration(seconds)}`).join(", ");
  let at = 0;
  const parts = one.phases.map(([name, seconds]) => {
    const width = Math.max(0.3, (100 * seconds) / longest);
    const part = svg("rect", { x: at, y: 0, width, height: 8, class: phaseClass(name) });
    at += (100 * seconds) / longest;
    return part;
  });
  const error = one.error ? ` · ${one.error.replaceAll("_", " ")}` : "";
  return el("li", { title: words },
    el("span", {}, KINDS[one.kind] ?? one.kind, " ", el("span", { class: "soft" }, one.about)),
    el("span", { class: "num soft" }, `${clock(one.begin_s)} · ${duration(one.total_s)}${one.open ? " · open" : ""}${error}`),
    svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": words || "at once" }, ...parts));
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const phaseClass = (name) => `phase${PHASES.includes(name) ? PHASES.indexOf(name) : PHASES.length - 1}`;
const swatch = (name) => svg("svg", { viewBox: "0 0 10 10" }, svg("rect", { width: 10, height: 10, class: phaseClass(name) }));
const cell = (text) => el("td", { class: "num" }, text);
const head = (...names) => el("thead", {}, el("tr", {}, names.map((name, place) =>
  el("th", { scope: "col", class: place ? "num" : "" }, name))));
