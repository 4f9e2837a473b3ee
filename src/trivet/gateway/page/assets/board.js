// The live board: one sentence that says whether all is well, then tiles; a frame is asked for when one is drawn.
import * as api from "./api.js";
import { banksTile, verdictOf } from "./board_health.js";
import { floodsTile, motionTile, trafficTile } from "./board_traffic.js";
import { processesTile, scalingTile, upstreamTile } from "./board_machine.js";
import { el } from "./dom.js";
import { span } from "./format.js";

const STALE_MS = 3000;
const AGAIN_MS = 1000;
const AGAIN_MOST_MS = 10000;
const AT_ONCE = [4408, 1012]; // its time is over, or its worker ends: another one is waiting
const LOGGED_OUT = 4401;

const TILES = [
  ["banks", "Banks and repairs", banksTile], ["traffic", "Traffic", trafficTile],
  ["floods", "Who asks most", floodsTile],
  ["motion", "Transfers and repairs, newest first", motionTile], ["upstream", "Vendors", upstreamTile],
  ["processes", "Processes", processesTile], ["scaling", "Workers of the door", scalingTile],
];

/** Return what draws frames into `main`: {draw(frame), stale(words)}. */
export function boardIn(main) {
  const verdict = el("div", { class: "verdict", id: "verdict" });
  const spoken = el("div", { class: "unseen", role: "status" });
  const age = el("p", { class: "soft age", id: "board-age" });
  const look = el("ul", { class: "look", "aria-label": "Worth a look" });
  const grid = el("div", { class: "tiles" });
  const seen = new Map(); // what a tile shows, so that only what changed is drawn again
  let shorts = 0;
  main.replaceChildren(el("h1", { class: "unseen" }, "Board"), verdict, spoken, look, grid, age);

  function changed(name, told) {
    const text = JSON.stringify(told);
    if (seen.get(name) === text) return false;
    seen.set(name, text);
    return true;
  }
  function tile(name, title, make, frame) {
    const told = make.told(frame);
    const old = grid.querySelector(`#tile-${name}`);
    if (told === null || told === undefined) { old?.remove(); seen.delete(name); return; }
    if (old && !changed(name, told)) return;
    seen.set(name, JSON.stringify(told));
    const heading = el("h2", { id: `title-${name}` }, title);
    const made = el("section", { class: "card tile", id: `tile-${name}`, "aria-labelledby": `title-${name}` },
      heading, make(told, frame));
    if (old) old.replaceChildren(...made.childNodes);
    else place(made, name);
  }
  function place(made, name) {
    const order = TILES.map(([one]) => `tile-${one}`);
    const next = [...grid.children].find((one) => order.indexOf(one.id) > order.indexOf(`tile-${name}`));
    grid.insertBefore(made, next ?? null);
  }
  return {
    draw(frame) {
      if (changed("verdict", frame.verdict)) verdict.replaceChildren(...verdictOf(frame.verdict));
      verdict.className = `verdict ${frame.verdict.level}`;
      // the age of the last check changes all the time and is not worth interrupting anybody
      const words = `${frame.verdict.sentence.replace(/, last check .* ago/, "")} ${frame.verdict.doing}`;
      if (spoken.textContent !== words) spoken.textContent = words;
      if (frame.look && changed("look", frame.look)) look.replaceChildren(...frame.look.map((one) => el("li", {}, one)));
      look.hidden = !look.children.length;
      // a new connection begins with a short frame: what the one before has shown stays until the next
      shorts = frame.kind === "short" ? shorts + 1 : 0;
      if (shorts !== 1 || !grid.children.length) for (const [name, title, make] of TILES) tile(name, title, make, frame);
      main.classList.remove("stale");
    },
    age(words) { if (age.textContent !== words) age.textContent = words; },
    stale() { main.classList.add("stale"); },
  };
}

/** Show the board in `main`; returns what ends the view. */
export async function showBoard(main) {
  const board = boardIn(main);
  let socket = null;
  let ended = false;
  let again = 0;
  let wait = AGAIN_MS;
  let cameAt = 0;
  let cut = "";
  let first = null;
  const begun = new Promise((resolve) => { first = resolve; });

  function connect() {
    socket = api.boardSocket();
    const mine = socket;
    mine.onmessage = (message) => requestAnimationFrame(() => {
      if (ended || mine !== socket) return;
      board.draw(JSON.parse(message.data));
      first();
      [cameAt, cut, wait] = [performance.now(), "", AGAIN_MS];
      if (mine.readyState === WebSocket.OPEN) mine.send("next"); // a page that sleeps asks for nothing
    });
    mine.onclose = (event) => {
      if (ended) return;
      if (event.code === LOGGED_OUT) { document.dispatchEvent(new Event("logged-out")); return; }
      if (AT_ONCE.includes(event.code)) { connect(); return; }
      cut = "The connection to the drive is lost; trying again.";
      again = setTimeout(connect, wait);
      wait = Math.min(2 * wait, AGAIN_MOST_MS);
      first();
    };
  }
  function tick() {
    const old = performance.now() - cameAt;
    if (old > STALE_MS) board.stale();
    const ago = cameAt ? `What is shown is ${span(old / 1000)} old.` : "";
    board.age(cut ? `${cut} ${ago}` : old > STALE_MS ? ago : "Live: drawn anew several times a second.");
  }
  connect();
  const ticking = setInterval(tick, 1000);
  await Promise.race([begun, new Promise((resolve) => { setTimeout(resolve, 400); })]);
  return () => { ended = true; clearTimeout(again); clearInterval(ticking); socket.close(); };
}
