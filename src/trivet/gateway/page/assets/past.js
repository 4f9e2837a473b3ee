// What machine and processes of the drive used over some time: a chart to read values from, a curve for each process.
import * as api from "./api.js";
import { el, svg } from "./dom.js";
import { clock, size } from "./format.js";

const RANGES = [["5 minutes", 300], ["1 hour", 3600], ["6 hours", 21600], ["1 day", 86400], ["1 week", 604800],
  ["90 days", 7776000]];
const OFTEN_MS = 5000;
const SELDOM_MS = 60000;
const WIDE = 600;
const HIGH = 120;
const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} %`);

/** Return {element, end}: the card, asked for anew as long as it is seen; empty for who may not see processes. */
export function pastOfProcesses() {
  const body = el("div", { class: "past" });
  const words = el("p", { class: "soft", id: "past-at" });
  const choice = el("select", { "aria-label": "How far back", onchange: () => draw() },
    RANGES.map(([name, seconds]) => el("option", { value: seconds, selected: seconds === 3600 }, name)));
  const element = el("section", { class: "card", hidden: true, "aria-labelledby": "past-title" },
    el("div", { class: "bar" }, el("h2", { id: "past-title" }, "Processes over time"), choice), body, words);
  let timer = 0;
  let ended = false;
  async function draw() {
    clearTimeout(timer);
    const back = Number(choice.value);
    try {
      const told = document.hidden ? null : await api.processes(back);
      if (ended || back !== Number(choice.value)) return;
      if (told) {
        element.hidden = false;
        words.textContent = "CPU is the mean of each step (100 % is one core), memory the most.";
        body.replaceChildren(...drawn(told.series, told.at_s, back, words));
      }
    } catch (error) {
      if (error instanceof api.Refused && [403, 501].includes(error.status)) return; // not for this user; nobody looks
      words.textContent = error.message;
    }
    if (!ended) timer = setTimeout(draw, back <= 3600 ? OFTEN_MS : SELDOM_MS);
  }
  draw();
  return { element, end: () => { ended = true; clearTimeout(timer); } };
}

function drawn(series, now, back, words) {
  if (!series.at_s.length) return [el("p", { class: "soft" }, "Nothing is kept of that time yet.")];
  const from = Math.max(now - back, series.at_s[0]);
  const span = Math.max(now - from, series.step_s);
  const across = (width) => (at) => ((Math.max(at, from) - from) / span) * width;
  const row = (one) => {
    const most = Math.max(1, ...one.rss_bytes);
    const busiest = Math.max(100, ...one.cpu_percent);
    return el("tr", {}, el("th", { scope: "row" }, one.name),
      el("td", {}, curve(one.cpu_percent, busiest, `CPU of ${one.name}`)), cell(percent(one.cpu_percent.at(-1))),
      el("td", {}, curve(one.rss_bytes, most, `Memory of ${one.name}`)), cell(size(most)),
      cell(one.rss_bytes.at(-1) === null ? "ended" : size(one.rss_bytes.at(-1))), cell(one.handles.at(-1) ?? ""));
  };
  const curve = (values, top, name) => svg("svg", { class: "curve", viewBox: "0 0 120 24", preserveAspectRatio: "none",
    role: "img", "aria-label": name }, ...lines(values, series, across(120), 24, top, "line0"));
  return [machine(series, across(WIDE), from, span, words),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {},
      ["Process", "CPU", "now", "Memory", "most", "now", "Files"].map((name, place) =>
        el("th", { scope: "col", class: [2, 4, 5, 6].includes(place) ? "num" : "" }, name)))),
    el("tbody", {}, series.processes.map(row))))];
}

/** Return the chart of the whole machine; the pointer reads values off into `words`. */
function machine(series, across, from, span, words) {
  const mark = svg("line", { y1: 0, y2: HIGH, class: "pointer", x1: -9, x2: -9 });
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img",
    "aria-label": "CPU and memory of the machine, from 0 to 100 %" },
  ...[0.25, 0.5, 0.75].map((share) => svg("line", { x1: 0, x2: WIDE, y1: share * HIGH, y2: share * HIGH, class: "grid" })),
  ...lines(series.machine_memory_percent, series, across, HIGH, 100, "line1"),
  ...lines(series.machine_cpu_percent, series, across, HIGH, 100, "line0"), mark);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const at = from + (span * (event.clientX - box.left)) / box.width;
    const place = nearest(series.at_s, at);
    for (const side of ["x1", "x2"]) mark.setAttribute(side, across(series.at_s[place]));
    words.textContent = `${clock(series.at_s[place])}: CPU ${percent(series.machine_cpu_percent[place])}, ` +
      `memory ${percent(series.machine_memory_percent[place])} of the machine`;
  });
  return el("figure", {}, el("figcaption", {}, el("span", { class: "key0" }, "CPU"), " and ",
    el("span", { class: "key1" }, "memory"), " of this machine, 0 to 100 %"), chart,
  el("div", { class: "ends soft" }, el("span", {}, clock(from)), el("span", {}, clock(from + span))));
}

/** Return lines through `values`, from 0 to `top`; a line breaks where nothing was looked at. */
function lines(values, series, across, high, top, kind) {
  const pieces = [];
  let last = Number.NEGATIVE_INFINITY;
  values.forEach((value, place) => {
    const at = series.at_s[place];
    if (value === null) { last = Number.NEGATIVE_INFINITY; return; }
    if (at - last > 2.5 * series.step_s) pieces.push([]);
    pieces.at(-1).push(`${across(at).toFixed(1)},${(high - 1 - ((high - 2) * value) / top).toFixed(1)}`);
    last = at;
  });
  return pieces.map((points) => svg("polyline", { class: kind,
    points: (points.length > 1 ? points : [points[0], points[0]]).join(" ") }));
}

function nearest(times, at) {
  let best = 0;
  times.forEach((time, place) => { if (Math.abs(time - at) < Math.abs(times[best] - at)) best = place; });
  return best;
}

const cell = (text) => el("td", { class: "num" }, `${text}`);
