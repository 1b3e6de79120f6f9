// The page of `leasehold serve`. Names and notes come from anybody: they are set as text, never as HTML.
"use strict";
const $ = (id) => document.getElementById(id);
const ROWS_MAX = 500, LOG_MAX = 200;
const locks = new Map();
let opened = null, mayRelease = false, isWaiting = false;

const span = (ms) => ms == null ? "-" : ms < 1000 ? `${Math.round(ms)}ms` : ms < 60e3 ? `${Math.floor(ms / 1000)}s`
  : ms < 3600e3 ? `${Math.floor(ms / 60e3)}m${Math.floor(ms / 1000) % 60}s` : `${Math.floor(ms / 3600e3)}h${Math.floor(ms / 60e3) % 60}m`;
// Control characters and those that change the direction of text are shown as codes.
const plain = (text) => String(text).replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
  (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
const who = (one) => {
  const details = [one.pid != null && `pid ${one.pid}`, one.command, one.note && `"${one.note}"`].filter(Boolean);
  return plain((one.host || "unknown host") + (details.length ? ` (${details.join(", ")})` : ""));
};
const elapsed = (lock) => performance.now() - lock.at;
const age = (lock, one) => one?.age_ms == null ? null : one.age_ms + elapsed(lock);
const left = (lock, one) => one?.left_ms == null ? null : Math.max(0, one.left_ms - elapsed(lock));

function keep(lock) {
  lock.at = performance.now();
  // The most time left that was seen: an estimate of the time to live.
  const known = locks.get(lock.lock)?.holders ?? [];
  for (const one of lock.holders) one.longest = Math.max(one.left_ms ?? 0, known.find((it) => it.tag === one.tag)?.longest ?? 0);
  locks.set(lock.lock, lock);
}

function sorted() {
  const filter = $("filter").value, sort = $("sort").value;
  const text = (lock) => lock.lock + " " + [...lock.holders, ...lock.waiters].map(who).join(" ");
  const key = {
    waiting: (lock) => -lock.waiters.length,
    age: (lock) => -Math.max(-1, ...lock.holders.map((one) => age(lock, one) ?? -1)),
    left: (lock) => Math.min(Infinity, ...lock.holders.map((one) => left(lock, one) ?? Infinity)),
  }[sort];
  const shown = [...locks.values()].filter((lock) => !filter || text(lock).includes(filter));
  shown.sort((a, b) => (key ? key(a) - key(b) || 0 : 0) || (a.lock < b.lock ? -1 : 1));
  return shown;
}

function row(lock) {
  const tr = document.createElement("tr"), first = lock.holders[0], more = lock.holders.length - 1;
  tr.tabIndex = 0;
  tr.dataset.lock = lock.lock;
  tr.classList.toggle("contended", lock.waiters.length > 0);
  const holder = first ? who(first) + (more > 0 ? ` and ${more} more` : "") : "-";
  const cells = [plain(lock.lock), first?.mode ?? "-", holder, span(age(lock, first)), span(left(lock, first)),
    first?.fencing_token ?? "-", lock.waiters.length];
  const heads = ["", "mode", "", "for", "left", "token", "waiting"];
  cells.forEach((cell, at) => {
    const td = tr.insertCell();
    if (heads[at]) td.dataset.head = heads[at];
    if (at === 4 && first?.longest) {
      const meter = document.createElement("meter");
      const share = left(lock, first) / first.longest;
      Object.assign(meter, { min: 0, max: 1, low: 0.34, high: 0.5, optimum: 1, value: share, title: "time left" });
      td.append(meter, " ");
    }
    td.append(String(cell));
  });
  return tr;
}

function list(id, lock, ones) {
  $(id).replaceChildren(...ones.map((one) => {
    const li = document.createElement("li");
    li.textContent = [who(one), one.mode, one.age_ms != null && `for ${span(age(lock, one))}`,
      one.left_ms != null && `${span(left(lock, one))} left`, one.fencing_token && `token ${one.fencing_token}`]
      .filter(Boolean).join(" · ");
    return li;
  }));
}

function draw() {
  isWaiting = false;
  const shown = sorted(), focus = document.activeElement?.dataset?.lock;
  $("locks").replaceChildren(...shown.slice(0, ROWS_MAX).map(row));
  $("more").textContent = shown.length > ROWS_MAX ? `${shown.length - ROWS_MAX} more: filter to see them`
    : locks.size ? "" : "no lock is in use";
  if (focus != null) [...$("locks").rows].find((tr) => tr.dataset.lock === focus)?.focus();
  if (opened != null) {
    const lock = locks.get(opened) ?? { holders: [], waiters: [], at: 0 };
    $("detail-name").textContent = plain(opened);
    list("holders", lock, lock.holders);
    list("waiters", lock, lock.waiters);
    $("release").hidden = !mayRelease;
  }
}
const redraw = () => { if (!isWaiting) { isWaiting = true; requestAnimationFrame(draw); } };

function log(change) {
  const li = document.createElement("li");
  li.textContent = `${new Date(change.at_ms).toLocaleTimeString()} ${change.event} ${plain(change.lock)} · ${who(change)}`;
  $("log").prepend(li);
  while ($("log").children.length > LOG_MAX) $("log").lastChild.remove();
}

function away(message) {
  $("away").hidden = !message;
  $("away").textContent = message ?? "";
}

const events = new EventSource("api/events");
events.addEventListener("all", (event) => {
  const all = JSON.parse(event.data);
  all.locks.forEach(keep);
  const names = new Set(all.locks.map((lock) => lock.lock));
  [...locks.keys()].filter((name) => !names.has(name)).forEach((name) => locks.delete(name));
  mayRelease = all.may_release;
  $("store").textContent = all.store;
  $("summary").textContent = all.summary;
  away(all.error);
  redraw();
});
events.addEventListener("changes", (event) => {
  const news = JSON.parse(event.data);
  news.gone.forEach((name) => locks.delete(name));
  news.locks.forEach(keep);
  news.changes.forEach(log);
  $("summary").textContent = news.summary;
  away(null);
  redraw();
});
events.addEventListener("away", (event) => away(`the store does not answer: ${JSON.parse(event.data).message}`));
events.onerror = () => away("the connection to leasehold serve is lost; what is shown may be old");
setInterval(redraw, 1000);

function open(name) {
  opened = name;
  $("typed").value = $("released").textContent = "";
  draw();
  if (!$("detail").open) $("detail").showModal();
}
$("locks").addEventListener("click", (event) => {
  const name = event.target.closest("tr")?.dataset.lock;
  if (name != null) open(name);
});
$("detail").addEventListener("close", () => { opened = null; $("token").value = ""; });
$("close").addEventListener("click", () => $("detail").close());
$("controls").addEventListener("input", redraw);
$("controls").addEventListener("submit", (event) => event.preventDefault());
// A name with control characters is typed as it is shown.
const isTyped = () => opened != null && [opened, plain(opened)].includes($("typed").value);
$("typed").addEventListener("input", () => { $("force").disabled = !isTyped(); });
$("release").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!isTyped()) return;
  const headers = { "authorization": `Bearer ${$("token").value}`, "content-type": "application/json" };
  const answer = await fetch("api/force-release", { method: "POST", headers, body: JSON.stringify({ lock: opened }) });
  $("released").textContent = answer.ok ? "released" : await answer.text();
});
document.addEventListener("keydown", (event) => {
  if ($("detail").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.activeElement === $("filter")) {
    if (event.key === "Escape") { $("filter").value = ""; $("filter").blur(); redraw(); }
    return;
  }
  const rows = [...$("locks").rows], at = rows.indexOf(document.activeElement);
  const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (event.key === "/") $("filter").focus();
  else if (event.key === "s") { $("sort").selectedIndex = ($("sort").selectedIndex + 1) % $("sort").options.length; redraw(); }
  else if (move) rows[Math.min(rows.length - 1, Math.max(0, at + move))]?.focus();
  else if (event.key === "Enter" && at >= 0) open(rows[at].dataset.lock);
  else return;
  event.preventDefault();
});
