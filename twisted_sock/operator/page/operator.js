// The operator's page: the token, the conversations, the chosen one, and what can be done there.

import { Announcer } from "./announcer.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { List } from "./list.js";
import { Log } from "./log.js";
import { keep, kept } from "./storage.js";
import { Talks } from "./talks.js";
import { begin, count } from "./text.js";
import { aim, eventWords, refusal, told, unfit } from "./words.js";

const LAST_OF = 20; // conversations whose last line is asked for at the beginning
const KINDS = { in: "got", out: "sent" };

const $ = (id) => document.getElementById(id);
const isFine = matchMedia("(pointer: fine)").matches; // where no keyboard on glass comes up
const announcer = new Announcer($("announcer"));
const talks = new Talks();
const list = new List($("talks"), $("filter"), $("rest"), { talks, chosen: () => chosen, choose });
const log = new Log($("log"), $("rows"), logChanged);

let token = "";
let isInside = false;
let chosen = null; // the number of a conversation
let pinned = null; // what Enter does, since something is typed
let isSaying = false; // whether something is on its way that was said
let refused = null; // a text that was not sent, and the name of what it was for
let known = new Set(); // the lines of its history, which events may tell again; null: on its way

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The connection.

const url = new URL("./", location.href);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const connection = new Connection(url.href, { changed, line: heard, binary() {}, ended });
const control = new Control((command) => connection.send(command), { event, trouble });

function changed(state) {
  $("status").dataset.state = state === "open" && !isInside ? "connecting" : state;
  if (state === "open") knock();
  showState();
}

function heard(text) {
  control.line(text);
}

function trouble(words) {
  hint(words, true);
}

function ended(words, _, isNormal) {
  const wasInside = isInside;
  isInside = false;
  control.reset();
  if (wasInside) {
    note("trouble", `${words}; what was held is released, unless another operator is there`);
    announcer.say(`not connected: ${words}`);
  } else if ($("bench").hidden) {
    refuse(isNormal ? words : `${words}; it is tried again`);
  }
  showAll();
}

function stateWords() {
  const { state, retryAt } = connection;
  if (state === "off") return "not connected";
  if (state === "connecting" || (state === "open" && !isInside)) return "connecting …";
  if (state === "waiting") {
    const seconds = Math.max(1, Math.ceil((retryAt - performance.now()) / 1000));
    return `not connected, trying again in ${seconds} s`;
  }
  const waiting = talks.waiting;
  const told = waiting ? `, ${waiting} to answer` : "";
  return count(talks.open.length, "conversation") + told;
}

// Getting in.

async function knock() {
  const { code, words } = await control.ask(`token ${token}`);
  if (code === "lost") return;
  if (code) {
    leave();
    refuse(code === "denied" || code === "token" ? "This is not the token." : words);
    return;
  }
  isInside = true;
  keep("sessionStorage", "token", $("keep").checked ? token : null);
  $("token").value = "";
  $("status").dataset.state = "open";
  refuse("");
  await ask("the connection was lost, and is there again");
}

/**
 * Ask who is there, and to be told what happens from now on.
 *
 * @param {string} why it is not the first time, to be told below the history
 */
async function ask(why) {
  const before = talks.get(chosen);
  const { data, code } = await control.ask("watch");
  if (code) return;
  talks.begin(data);
  hint("");
  const isFirst = $("bench").hidden;
  show("bench");
  if (isFirst && isFine) $("filter").focus();
  const after = talks.get(chosen);
  if (before && before.peer !== after?.peer) {
    note("trouble", `conversation ${chosen} is not there any more`);
    chosen = null;
  } else if (after) {
    await history();
    note("trouble", why);
  } else if (!isFirst) {
    hint(why, true);
  }
  showAll();
  announcer.say(stateWords());
  for (const { id } of talks.open.slice(-LAST_OF)) lastOf(id);
}

async function lastOf(id) {
  const { data } = await control.ask(`history ${id}`);
  const talk = talks.get(id);
  if (!talk || talk.last || !data.length) return;
  talk.last = data.at(-1);
  list.changed();
}

function refuse(words) {
  setText($("refused"), words);
  if (words && $("bench").hidden) $("token").select();
}

/** Forget the token, and go back to the door. */
function leave() {
  isInside = false;
  token = "";
  chosen = null;
  keep("sessionStorage", "token", null);
  connection.disconnect();
  control.reset();
  talks.begin([]);
  log.clear();
  show("door");
  refuse("");
  $("token").focus();
}

function show(which) {
  for (const id of ["door", "bench"]) $(id).hidden = id !== which;
  $("leave").hidden = $("save").hidden = which === "door";
  showAll();
}

// What happens.

function event(happened) {
  if (happened.missed) return missed(happened.missed);
  const talk = talks.apply(happened);
  if (happened.event === "line" && happened.id === chosen) said(happened);
  else if (talk) tell(talk, happened);
  return planned();
}

/** The service does not wait for who is slow: ask anew how things are. */
async function missed(number) {
  const words = `${count(number, "event")} missed: there was more than could be read in time`;
  announcer.say(words);
  await control.ask("unwatch"); // so that the answer to `watch` is not followed by what it tells
  await ask(words);
}

function tell(talk, happened) {
  const words = eventWords(happened);
  if (words && talk.id === chosen) note("note", words);
  if (happened.event === "waiting") {
    announcer.say(`${talk.id} waits for an answer: ${begin(happened.text, 100)}`);
  }
}

function said({ way, text, at, by }) {
  if (known === null || known.delete(`${at} ${way} ${text}`)) return; // it is in the history
  put({ way, text, at, by });
  announcer.say(begin(text, 200) || "empty line");
}

function put({ way, text, at, by }) {
  log.add(by ? "hand" : KINDS[way], text, null, new Date(at * 1000));
}

function note(kind, words) {
  log.add(kind, words);
}

// The chosen conversation.

async function choose(id) {
  chosen = id;
  pin(true);
  $("bench").dataset.view = "talk";
  hint("");
  showAll();
  await history();
  if (chosen === id && isFine) $("line").focus();
}

async function history() {
  const id = chosen;
  log.clear();
  known = null;
  const { data, code, words } = await control.ask(`history ${id}`);
  if (chosen !== id || (code === "lost" && log.counts.all)) return; // why is told already
  log.clear();
  data.forEach(put);
  known = new Set(data.map(({ at, way, text }) => `${at} ${way} ${text}`));
  const talk = talks.get(id);
  if (code) note("trouble", words);
  else if (talk?.state === "held") note("note", "held: each line waits for an answer");
  log.follow();
}

/** Do something to the chosen conversation. */
async function act(command, done) {
  const { code, words } = await control.ask(command);
  hint(code ? words : done, Boolean(code));
}

// Saying something.

/** Somebody types: what Enter does now is what they mean, until it is done or given up. */
function pin(isAnew = false) {
  const { line, text } = aim(talks.get(chosen));
  if (!$("line").value || line === null) pinned = null;
  else if (isAnew || !pinned) pinned = { line, text };
  showAim();
}

const FOR_ANOTHER = "That was typed for something else: not sent. Once more sends it here.";

async function submit() {
  const { line, words } = aim(talks.get(chosen), pinned);
  if (line === null) return hint(words, true);
  return say(chosen, `${chosen}.${line}`);
}

async function say(to, name) {
  const { value } = $("line");
  const bad = unfit(value);
  if (isSaying) return undefined; // Enter was pressed twice
  if (bad) return hint(bad, true);
  if (isForAnother(value, name)) return hint(FOR_ANOTHER, true);
  isSaying = true;
  const answer = await control.ask(`say ${name} ${value}`);
  isSaying = false;
  refused = answer.code && answer.code !== "lost" ? { value, name } : null;
  if (!answer.code && $("line").value === value) $("line").value = "";
  pin(true);
  return answer.code ? hint(refusal(answer), true) : hint(told(answer.data, to));
}

/** Whether a text was refused for something else, and nobody was told yet where it goes now. */
function isForAnother(value, name) {
  if (!refused || refused.value !== value || refused.name === name) return false;
  refused.name = name;
  return true;
}

function hint(words, isBad = false) {
  setText($("hint"), words);
  $("hint").classList.toggle("bad", isBad);
}

// Saving.

async function save() {
  const force = $("force").checked ? " force" : "";
  const { data, code, words } = await control.ask(`save ${$("file").value}${force}`);
  $("saved").classList.toggle("bad", Boolean(code));
  const [done] = data;
  const told = code === "exists" ? "It is there already." : begin(words, 300);
  setText($("saved"), code ? told : `${count(done.rules, "rule")} in ${begin(done.file, 200)}`);
}

// What is shown; once in each frame.

let frame = 0;

function planned() {
  frame ||= requestAnimationFrame(showAll);
}

function showAll() {
  cancelAnimationFrame(frame);
  frame = 0;
  list.changed();
  showState();
  showTalk();
  showAim();
}

function showState() {
  const { state } = connection;
  setText($("status-words"), stateWords());
  $("connect").hidden = !token || state === "open" || state === "connecting";
  const waiting = talks.waiting;
  document.title = (waiting ? `(${waiting}) ` : "") + `${location.host} – operator`;
  const other = talks.next;
  $("next").hidden = !other || other.id === chosen;
  setText($("next"), other ? `Answer ${other.id}` : "");
}

function showTalk() {
  const talk = talks.get(chosen);
  const words = talk && `${talk.id} · ${begin(talk.who ? `${talk.peer} ${talk.who}` : talk.peer, 80)}`;
  const state = talk && talk.state !== "open" ? ` · ${talk.state}` : "";
  setText($("title"), talk ? words + state : "No conversation is chosen");
  $("hold").hidden = !talk;
  $("release").disabled = talk?.state !== "held";
  for (const button of $("hold").querySelectorAll('[type="submit"], #close')) {
    button.disabled = !talk || talk.state === "over" || talk.state === "closing";
  }
}

const OFFLINE = { label: "Say", line: null, words: "Not connected: nothing can be said now." };

function showAim() {
  const now = isInside ? aim(talks.get(chosen), pinned) : OFFLINE;
  const { label, line, text, words, isGone } = now;
  const target = $("target");
  target.classList.toggle("answers", Boolean(line));
  target.classList.toggle("gone", Boolean(isGone));
  const shown = JSON.stringify([label, line, text, words]);
  if (target.dataset.shown !== shown) {
    target.dataset.shown = shown;
    target.replaceChildren(...(line ? answerWords(now) : [words]));
  }
  setText($("send"), label);
  $("send").classList.toggle("idle", line === null);
  setText($("all"), `To all ${talks.open.length}`);
  const held = talks.open.filter((talk) => talk.waiting.length).length;
  $("all").title = held ? `Answers where lines wait: in ${held} of them` : "Says it to everybody";
  $("all").disabled = !talks.open.length;
}

function answerWords({ text, words, isGone }) {
  const quoted = document.createElement("bdi");
  quoted.textContent = begin(text, 60) || "an empty line";
  return isGone ? [quoted, words] : ["Enter answers ", quoted, words];
}

function logChanged() {
  const { all, unseen } = log.counts;
  $("newest").hidden = log.follows;
  setText($("newest"), unseen ? `${count(unseen, "new line")} ↓` : "Newest ↓");
  $("nothing").hidden = all > 0;
  const isNone = chosen === null;
  setText($("nothing"), `${isNone ? "Choose a conversation to see what is said" : "Nothing was said yet"}.`);
}

// A keyboard on glass covers the page where the browser does not shrink it.
function fit() {
  const { height, offsetTop, scale } = visualViewport;
  if (scale !== 1) return; // somebody only looks closer
  document.documentElement.style.setProperty("--height", `${Math.round(height)}px`);
  document.documentElement.style.setProperty("--top", `${Math.round(offsetTop)}px`);
}

// Together.

function on(id, type, act) {
  $(id).addEventListener(type, (event) => {
    event.preventDefault();
    act();
  });
}

function enter(words, isKept) {
  token = words;
  $("keep").checked = isKept;
  refuse("");
  if (connection.state === "open") knock();
  else connection.connect();
}

function listen() {
  on("knock", "submit", () => {
    const words = $("token").value.trim();
    if (words) enter(words, $("keep").checked);
    else refuse("Type the token.");
  });
  on("composer", "submit", submit);
  on("all", "click", () => say("all", "all"));
  $("line").addEventListener("input", () => pin());
  on("hold", "submit", () => {
    act(`hold ${chosen} ${$("seconds").value}`, "Held: its lines wait for you.");
  });
  on("release", "click", () => act(`release ${chosen}`, "Released."));
  on("close", "click", () => act(`close ${chosen}`, "Closed."));
  on("next", "click", () => choose(talks.next.id));
  on("newest", "click", () => log.follow());
  on("back", "click", () => {
    $("bench").dataset.view = "list";
    $("talks").querySelector('[aria-current="true"]')?.focus();
  });
  on("connect", "click", () => connection.connect());
  on("leave", "click", leave);
  on("save", "click", () => (setText($("saved"), ""), $("dialog").showModal()));
  on("saving", "submit", save);
  on("done", "click", () => $("dialog").close());
  addEventListener("online", () => connection.hurry());
  document.addEventListener("visibilitychange", () => document.hidden || connection.hurry());
  visualViewport?.addEventListener("resize", fit);
  visualViewport?.addEventListener("scroll", fit);
  setInterval(() => (showState(), showAim()), 1000); // there are seconds in it
}

setText($("host"), location.host);
listen();
logChanged();
const found = kept("sessionStorage", "token");
if (typeof found === "string") enter(found, true);
else $("token").focus();
