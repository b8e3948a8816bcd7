// The log: what was said is kept in memory, and the newest of it is shown.

import { makeFilter } from "./filter.js";
import { begin, clock, count, duration, escaped, pieces, stamp } from "./text.js";

const MOST_KEPT = 100_000; // entries in memory
const MOST_CHARACTERS = 40_000_000; // of text in memory
const MOST_ROWS = 5_000; // rows of the document
const MOST_ROWS_HELD = 10_000; // while the person reads further up, and nothing may be taken away
const FOLD = 500; // characters of a line that are shown at first
const BUDGET = 8; // ms of a frame for work; but where they are gone in no time, at least
const LEAST_SCANNED = 512; // entries
const LEAST_BUILT = 128; // rows
const AHEAD = 512; // entries that a filter is asked about at once
const NEAR = 24; // pixels from the end that count as at the end

// What stands for each kind in a saved log, and what it is called where marks are not seen.
const KINDS = {
  sent: { saved: "->", said: "sent" },
  got: { saved: "<-", said: "received" },
  hand: { saved: "=>", said: "an operator" },
  problem: { saved: "<-", said: "problem" },
  note: { saved: "--", said: "note" },
  trouble: { saved: "--", said: "trouble" },
};

/**
 * Entries, each `{kind, text, date, answer, number}`, bounded: the oldest go first.
 *
 * `first` is the number of the oldest that is still there.
 */
class Entries {
  all = [];
  first = 0;
  #characters = 0;

  get end() {
    return this.first + this.all.length;
  }

  at(number) {
    return this.all[number - this.first];
  }

  /** The entries from a number on. */
  from(number) {
    return this.all.slice(number - this.first, number - this.first + AHEAD);
  }

  add(entry) {
    this.all.push({ ...entry, number: this.end });
    this.#characters += entry.text.length;
    if (this.all.length > MOST_KEPT || this.#characters > MOST_CHARACTERS) this.#shorten();
  }

  // By a tenth, as to take one from the front of an array costs as much as to take many.
  #shorten() {
    const gone = this.all.splice(0, Math.ceil(this.all.length / 10));
    this.first += gone.length;
    for (const entry of gone) this.#characters -= entry.text.length;
  }
}

/**
 * The log and its view.
 *
 * @param {HTMLElement} view the element that scrolls
 * @param {HTMLElement} list its child, which the rows go into
 * @param {Function} changed called with whether all is shown, after each frame with changes
 */
export class Log {
  #entries = new Entries();
  #view;
  #list;
  #changed;
  #filter = makeFilter("");
  #asking = false; // whether the filter is finding out what passes
  #shown = []; // the entries that match the filter
  #scanned = 0; // the number of the entry to look at next
  #built = 0; // how many of #shown have rows, or had
  #seen = 0; // how many of #shown there were when the person left the end
  #frame = 0;
  #lastTop = 0;
  follows = true; // whether the view stays at the end

  constructor(view, list, changed) {
    this.#view = view;
    this.#list = list;
    this.#changed = changed;
    view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const resized = new ResizeObserver(() => this.#stay()); // rows get their height when seen
    resized.observe(view);
    resized.observe(list);
    list.addEventListener("click", (event) => this.#clicked(event));
  }

  /** How many entries there are, match, and are new since the view left the end. */
  get counts() {
    const unseen = this.follows ? 0 : this.#shown.length - this.#seen;
    return { all: this.#entries.all.length, match: this.#shown.length, unseen };
  }

  add(kind, text, answer = null, date = new Date()) {
    this.#entries.add({ kind, text, answer, date });
    this.#plan();
  }

  clear() {
    this.#entries = new Entries();
    this.#begin();
  }

  /** Show only entries that pass a filter. */
  filter(filter) {
    this.#filter.close();
    this.#filter = filter;
    this.#begin();
  }

  /** Go to the newest entry, and stay there. */
  follow() {
    this.follows = true;
    this.#plan();
  }

  scrollBy(pages) {
    this.#view.scrollBy({ top: pages * this.#view.clientHeight * 0.9 });
  }

  /** The entries that match the filter as plain text, one in each line: parts to be joined. */
  text() {
    this.#scan(Infinity);
    const lost = this.#entries.first;
    return [lost ? `# the oldest ${lost} are lost\n` : "", ...this.#shown.map(saved)];
  }

  // Work is done once in each frame, and never for longer than a part of it.

  #plan() {
    this.#frame ||= requestAnimationFrame(() => this.#work());
  }

  #begin() {
    this.#shown = [];
    this.#asking = false;
    this.#scanned = this.#entries.first;
    this.#built = 0;
    this.#list.replaceChildren();
    this.follows = true;
    this.#plan();
  }

  #work() {
    this.#frame = 0;
    const deadline = performance.now() + BUDGET;
    if (this.#scan(deadline)) this.#build(deadline);
    const done = this.#scanned === this.#entries.end && !this.#unbuilt();
    if (!done && !this.#asking) this.#plan();
    this.#stay();
    this.#changed(done);
  }

  /** Look which entries match; returns whether all were looked at. */
  #scan(deadline) {
    this.#scanned = Math.max(this.#scanned, this.#entries.first);
    while (this.#scanned < this.#entries.end) {
      const entry = this.#entries.at(this.#scanned);
      const passes = this.#filter.test(entry);
      if (passes === undefined) return this.#ask();
      this.#scanned += 1;
      if (passes) this.#shown.push(entry);
      if (this.#scanned % LEAST_SCANNED === 0 && performance.now() > deadline) return false;
    }
    this.#forget();
    return true;
  }

  /** Let the filter find out about more entries; returns that not all were looked at. */
  #ask() {
    if (this.#asking) return false;
    this.#asking = true;
    const filter = this.#filter;
    filter.ask(this.#entries.from(this.#scanned), () => {
      if (filter !== this.#filter) return;
      this.#asking = false;
      this.#plan();
    });
    return false;
  }

  // What the log has lost does not match any more either.
  #forget() {
    const { first } = this.#entries;
    if (!this.#shown.length || this.#shown[0].number >= first) return;
    const left = this.#shown.findIndex((entry) => entry.number >= first);
    const lost = left < 0 ? this.#shown.length : left;
    this.#shown.splice(0, lost);
    this.#built = Math.max(0, this.#built - lost);
    this.#seen = Math.max(0, this.#seen - lost);
  }

  #unbuilt() {
    if (!this.follows && this.#list.childElementCount >= MOST_ROWS_HELD) return 0;
    return this.#shown.length - this.#built;
  }

  #build(deadline) {
    if (this.follows && this.#unbuilt() > MOST_ROWS) {
      this.#list.replaceChildren(); // none of these rows would stay
      this.#built = this.#shown.length - MOST_ROWS;
    }
    const rows = document.createDocumentFragment();
    const end = this.#built + this.#unbuilt();
    const least = this.#built + LEAST_BUILT;
    while (this.#built < end && (this.#built < least || performance.now() < deadline)) {
      rows.append(row(this.#shown[this.#built]));
      this.#built += 1;
    }
    this.#list.append(rows);
    if (this.follows) this.#trim();
  }

  #trim() {
    const over = this.#list.childElementCount - MOST_ROWS;
    if (over <= 0) return;
    const range = document.createRange();
    range.setStart(this.#list, 0);
    range.setEnd(this.#list, over);
    range.deleteContents();
  }

  // Where the view is.

  #stay() {
    if (!this.follows) return;
    this.#view.scrollTop = this.#view.scrollHeight;
    this.#lastTop = this.#view.scrollTop;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#view;
    const left = scrollHeight - clientHeight - scrollTop;
    const up = scrollTop < this.#lastTop - 2; // rows that grow move the end, but nothing up
    this.#lastTop = scrollTop;
    if (left <= NEAR && !this.follows) this.follow();
    else if (up && left > NEAR && this.follows) this.#hold();
  }

  #hold() {
    this.follows = false;
    this.#seen = this.#shown.length;
    this.#plan();
  }

  #clicked({ target }) {
    const fold = target.closest("button.fold");
    if (fold) unfold(fold.closest(".row"));
  }
}

// Rows. What was said goes into the document as text and never as markup.

const entryOf = new WeakMap();

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function row(entry) {
  const element = make("div", `row ${entry.kind}`);
  entryOf.set(element, entry);
  const time = make("time", "", clock(entry.date));
  time.dateTime = entry.date.toISOString();
  element.append(time, mark(entry.kind), words(entry.text, FOLD));
  if (entry.answer) element.append(latency(entry.answer));
  return element;
}

function mark(kind) {
  const element = make("span", "mark");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", KINDS[kind].said);
  return element;
}

function words(text, most) {
  const element = make("div", "text");
  const isolated = make("bdi", "");
  const { pieces: found, whole } = pieces(text, most);
  isolated.append(...found.map(([piece, kind]) => (kind ? make("span", kind, piece) : piece)));
  if (!text) isolated.append(make("span", "empty", "empty line"));
  element.append(isolated);
  if (!whole) element.append(" ", foldButton(`show all ${count(text.length, "character")}`));
  else if (most > FOLD) element.append(" ", foldButton("show less"));
  return element;
}

function foldButton(label) {
  const button = make("button", "fold", label);
  button.type = "button";
  return button;
}

function unfold(element) {
  const old = element.querySelector(".text");
  const isFolded = !element.classList.contains("unfolded");
  element.classList.toggle("unfolded", isFolded);
  old.replaceWith(words(entryOf.get(element).text, isFolded ? Infinity : FOLD));
  element.querySelector("button.fold").focus({ preventScroll: true });
}

function latency({ line, took, sure }) {
  const element = make("span", "latency", (sure ? "" : "≈ ") + duration(took));
  const doubt = sure ? "" : "probably: nothing but the order tells which question it answers\n";
  element.title = `${doubt}answers “${begin(line, 60)}”`;
  return element;
}

function saved({ kind, text, date }) {
  return `${stamp(date)} ${KINDS[kind].saved} ${escaped(text)}\n`;
}
