// Sizes, times and names as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Return `bytes` (a number or its text) like "4.2 MiB". */
export function size(bytes) {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Return the ISO time `text` like "today 14:03", in the reader's own zone. */
export function when(text) {
  const at = new Date(text);
  const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (at.toDateString() === new Date().toDateString()) return `today ${clock}`;
  return `${at.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" })} ${clock}`;
}

/** Return the clock time of `atS` (Unix time) like "02:00", with its day when that is not today. */
export function clock(atS) {
  const at = new Date(atS * 1000);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const days = Math.round((new Date(at).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 864e5);
  return days === 0 ? time : days === 1 ? `${time} tomorrow` : when(at);
}

/** Return how long `seconds` is, roughly, like "3 min". */
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** Return how long `seconds` is, exactly enough to compare: "12 ms", "3.4 s", "2 min". */
export function duration(seconds) {
  if (seconds < 1) return `${seconds < 0.01 ? (1000 * seconds).toFixed(1) : Math.round(1000 * seconds)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : span(seconds);
}
