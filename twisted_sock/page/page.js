// The page: puts the connection, the log and the line to type together.

import { Composer } from "./composer.js";
import { Connection, Questions } from "./connection.js";
import { makeFilter } from "./filter.js";
import { Log } from "./log.js";
import { keep, kept } from "./storage.js";
import { begin, count, problemCode, stamp } from "./text.js";

const $ = (id) => document.getElementById(id);
const input = $("line");
const isSmall = matchMedia("(width < 40rem)");

// Problems of the whole conversation: they answer no line.
const OF_THE_CONVERSATION = ["busy", "foreign", "idle", "partial", "shutdown", "slow"];

// Light and dark.

const LOOKS = { auto: "as the system", light: "light", dark: "dark" };

function look(name) {
  document.documentElement.dataset.look = name;
  const label = `Look: ${LOOKS[name]}`;
  $("theme").setAttribute("aria-label", label);
  $("theme").title = label;
}

function nextLook() {
  const names = Object.keys(LOOKS);
  const next = names[(names.indexOf(document.documentElement.dataset.look) + 1) % names.length];
  look(next);
  keep("localStorage", "look", next);
  announce(`Look: ${LOOKS[next]}`);
}

const wanted = kept("localStorage", "look");
look(Object.hasOwn(LOOKS, wanted) ? wanted : "auto"); // before anything is painted

// What a screen reader says: news together, and not more often than it can be listened to.

const ANNOUNCE_EVERY = 1500; // ms
let news = [];
let newsCount = 0;
let announcing = 0;

function announce(text) {
  newsCount += 1;
  news = [...news, text].slice(-3);
  announcing ||= setTimeout(say, newsCount === 1 ? 150 : ANNOUNCE_EVERY);
}

function say() {
  const before = newsCount - news.length;
  $("announcer").textContent = (before ? `${count(before, "line")}, then: ` : "") + news.join(". ");
  news = [];
  newsCount = 0;
  announcing = setTimeout(() => {
    announcing = 0;
    if (newsCount) say();
  }, ANNOUNCE_EVERY);
}

// The log.

const log = new Log($("log"), $("rows"), showCounts);

let isNewFilter = false; // whether nobody was told yet how much matches

function showCounts(done) {
  const { all, match, unseen } = log.counts;
  const isFiltered = $("filter").value !== "";
  if (!$("filter").validity.customError) {
    const words = `${match.toLocaleString("en")} of ${all.toLocaleString("en")}`;
    setText($("matches"), isFiltered ? words : "");
    if (done && isNewFilter && isFiltered) announce(`${words} match`);
    if (done) isNewFilter = false;
  }
  $("newest").hidden = log.follows;
  setText($("newest"), unseen ? `${count(unseen, "new line")} ↓` : "Newest ↓");
  $("nothing").hidden = match > 0;
  setText($("nothing"), all ? "Nothing matches the filter." : "Nothing here. Type a line below.");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function filterChanged() {
  const input = $("filter");
  input.setCustomValidity("");
  input.removeAttribute("aria-invalid");
  try {
    log.filter(makeFilter(input.value, () => filterFailed("takes too long")));
    isNewFilter = true;
  } catch {
    filterFailed("not a regular expression");
  }
}

function filterFailed(words) {
  $("filter").setCustomValidity(words);
  $("filter").setAttribute("aria-invalid", "true");
  setText($("matches"), words);
  announce(words);
}

async function copy() {
  const text = log.text().join("");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection(text)) return flash($("copy"), "Not allowed", "The browser does not allow it");
  }
  return flash($("copy"), "Done", `${count(log.counts.match, "line")} copied`);
}

// Where a page over plain http: has no clipboard: all but localhost.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}

function save() {
  const url = URL.createObjectURL(new Blob(log.text(), { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  const time = stamp(new Date()).slice(0, 19).replaceAll(":", "").replace("T", "-");
  link.download = `${location.host.replace(/[^\w.-]+/g, "_")}-${time}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  flash($("save"), "Done", `${count(log.counts.match, "line")} saved`);
}

/** Say on a button for a moment that it was done. */
function flash(button, words, announced) {
  const label = button.querySelector("span");
  button.dataset.label ??= label.textContent;
  label.textContent = words;
  button.classList.add("done");
  announce(announced);
  clearTimeout(button.flashing);
  button.flashing = setTimeout(() => {
    label.textContent = button.dataset.label;
    button.classList.remove("done");
  }, 1500);
}

function showTimes(shown) {
  $("times").setAttribute("aria-pressed", String(shown));
  $("log").classList.toggle("without-times", !shown);
}

// The connection.

const url = new URL(".", location.href);
url.username = url.password = "";
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";

const questions = new Questions();
const connection = new Connection(url.href, { changed, line, binary, ended });

const BUTTONS = { off: "Connect", connecting: "Cancel", open: "Disconnect", waiting: "Try now" };
let ticking = 0;

function changed(state) {
  clearInterval(ticking);
  $("status").dataset.state = state;
  setText($("connect"), BUTTONS[state]);
  $("stop").hidden = state !== "waiting";
  if (state === "waiting") ticking = setInterval(showState, 250);
  if (state === "open") isOfUse = setTimeout(connected, OF_USE);
  showState();
  composer.ready(state === "open");
}

// Whom a full server lets in only to turn them away again is told once, and not at each try.

const OF_USE = 300; // ms
let isOfUse = 0; // the timer until a connection seems to be of use

function connected() {
  if (!isOfUse) return;
  clearTimeout(isOfUse);
  isOfUse = 0;
  noted("note", `connected to ${url.href}`);
}

function showState() {
  setText($("status-words"), stateWords());
}

function stateWords() {
  const { state, retryAt } = connection;
  if (state === "off") return "not connected";
  if (state === "connecting") return "connecting …";
  if (state === "open") return "connected";
  return `trying again in ${Math.max(1, Math.ceil((retryAt - performance.now()) / 1000))} s`;
}

let lastEnd = "";

function ended(words, wasOpen, isNormal) {
  const wasOfUse = wasOpen && !isOfUse;
  clearTimeout(isOfUse);
  isOfUse = 0;
  const all = words + unanswered();
  if (wasOfUse || words !== lastEnd) noted(isNormal ? "note" : "trouble", all); // not each try
  lastEnd = wasOfUse ? "" : words;
}

function disconnect() {
  const words = connection.state === "open" ? "disconnected" : "stopped trying";
  connected();
  connection.disconnect();
  noted("note", words + unanswered());
}

function unanswered() {
  const number = questions.reset();
  return number ? `; ${count(number, "line")} had no answer yet` : "";
}

function noted(kind, words) {
  log.add(kind, words);
  announce(begin(words, 200));
}

function line(text) {
  const code = problemCode(text);
  if (code === "busy" && isOfUse) return; // the reason of the end tells it, too
  connected();
  const answer = OF_THE_CONVERSATION.includes(code) ? null : questions.answer();
  log.add(code ? "problem" : "got", text, answer);
  announce(begin(text, 200) || "empty line");
  if (document.hidden) showUnread(unread + 1);
}

function binary(size) {
  log.add("trouble", `a binary message of ${count(size, "byte")} came; it is not shown`);
}

// Lines that came while the person looked elsewhere.

let unread = 0;

function showUnread(number) {
  unread = number;
  document.title = (unread ? `(${unread}) ` : "") + `${location.host} – twisted_sock`;
}

// The line to type.

const composer = new Composer(
  { field: input, button: $("send"), hint: $("hint"), choice: $("remember") },
  { send, announce, scroll: (pages) => log.scrollBy(pages) },
);

/** Send lines, as long as there is a connection; returns how many were sent. */
function send(lines) {
  if (connection.state !== "open") connection.hurry();
  const failed = lines.findIndex((each) => !ask(each));
  if (failed < 0) log.follow();
  return failed < 0 ? lines.length : failed;
}

function ask(text) {
  if (!connection.send(text)) return false;
  connected();
  questions.ask(text);
  log.add("sent", text);
  return true;
}

// Keys.

function keyAnywhere(event) {
  if ($("dialog").open || event.isComposing) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "/") {
    event.preventDefault();
    $("filter").select();
  } else if (event.ctrlKey && event.key === "End" && event.target !== $("filter")) {
    event.preventDefault();
    log.follow();
  } else if (event.key === "Escape" && event.target !== input) {
    leave(event.target);
  }
}

function leave(target) {
  if (target === $("filter") && target.value) {
    target.value = "";
    filterChanged();
  }
  input.focus();
}

function help() {
  $("dialog").showModal();
  $("close").focus();
  $("dialog").scrollTop = 0;
}

// A keyboard on glass covers the page where the browser does not shrink it.
function fit() {
  const { height, offsetTop, scale } = visualViewport;
  if (scale !== 1) return; // somebody only looks closer
  const { style, classList } = document.documentElement;
  style.setProperty("--height", `${Math.round(height)}px`);
  style.setProperty("--top", `${Math.round(offsetTop)}px`);
  classList.toggle("low", height < 300);
}

// Together.

function listen() {
  $("connect").addEventListener("click", () => {
    if (["open", "connecting"].includes(connection.state)) disconnect();
    else connection.connect();
  });
  $("stop").addEventListener("click", disconnect);
  $("theme").addEventListener("click", nextLook);
  $("help").addEventListener("click", help);
  $("filter").addEventListener("input", filterChanged);
  $("times").addEventListener("click", () => {
    const shown = $("times").getAttribute("aria-pressed") !== "true";
    showTimes(shown);
    keep("localStorage", "times", shown);
  });
  $("copy").addEventListener("click", copy);
  $("save").addEventListener("click", save);
  $("clear").addEventListener("click", () => log.clear());
  $("newest").addEventListener("click", () => (log.follow(), input.focus()));
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    composer.submit();
    input.focus();
  });
  document.addEventListener("keydown", keyAnywhere);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    showUnread(0);
    connection.hurry();
  });
  addEventListener("online", () => connection.hurry());
  visualViewport?.addEventListener("resize", fit);
  visualViewport?.addEventListener("scroll", fit);
}

setText($("host"), location.host);
showTimes(kept("localStorage", "times") ?? !isSmall.matches);
showUnread(0);
listen();
connection.connect();
if (matchMedia("(pointer: fine)").matches) input.focus();
