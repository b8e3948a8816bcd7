// The list of the conversations. What peers say goes into it as text and never as markup.

import { begin, count } from "./text.js";

const MOST = 300; // conversations that are shown at once
const MARKS = { in: "‹", out: "›" };

/**
 * The list.
 *
 * @param {HTMLElement} element the list
 * @param {HTMLInputElement} field narrows it down
 * @param {HTMLElement} rest where it is told how many are not shown
 * @param {{talks: object, chosen: Function, choose: Function}} page
 */
export class List {
  #element;
  #field;
  #rest;
  #page;
  #rows = new Map(); // by the number of the conversation
  #frame = 0;

  constructor(element, field, rest, page) {
    this.#element = element;
    this.#field = field;
    this.#rest = rest;
    this.#page = page;
    field.addEventListener("input", () => this.changed());
    element.addEventListener("click", ({ target }) => this.#clicked(target));
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Something is different; it is shown with the next frame. */
  changed() {
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show() {
    this.#frame = 0;
    const found = this.#found();
    const shown = narrowed(found, this.#page.chosen());
    let next = this.#element.firstElementChild;
    for (const talk of shown) {
      const row = this.#row(talk.id);
      fill(row, talk, talk.id === this.#page.chosen());
      if (row === next) next = next.nextElementSibling;
      else this.#element.insertBefore(row, next);
    }
    this.#drop(next);
    this.#tellRest(found.length - shown.length);
  }

  #found() {
    const wanted = this.#field.value.trim().toLowerCase();
    return this.#page.talks.all.filter((talk) => textOf(talk).toLowerCase().includes(wanted));
  }

  #row(id) {
    if (!this.#rows.has(id)) this.#rows.set(id, makeRow(id));
    return this.#rows.get(id);
  }

  /** Take away a row and all behind it. */
  #drop(row) {
    while (row) {
      const gone = row;
      row = row.nextElementSibling;
      this.#rows.delete(Number(gone.dataset.id));
      gone.remove();
    }
  }

  #tellRest(hidden) {
    const { talks } = this.#page;
    let words = hidden ? `${count(hidden, "older one")} not shown: find them by their words` : "";
    if (!this.#element.childElementCount) {
      words = talks.all.length ? "None has this in it." : "Nobody is connected to the service.";
    }
    this.#rest.textContent = words;
  }

  #clicked(target) {
    const row = target.closest("li");
    if (row) this.#page.choose(Number(row.dataset.id));
  }

  #key(event) {
    const row = event.target.closest("li");
    const to = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling };
    if (!(event.key in to)) return;
    event.preventDefault();
    to[event.key]?.firstElementChild.focus();
  }
}

/** So many as can be shown: where lines wait, the chosen one, and the newest. */
function narrowed(talks, chosen) {
  if (talks.length <= MOST) return talks;
  const newest = talks.length - MOST;
  let room = MOST;
  const first = talks.slice(0, newest).filter((talk) => {
    if (talk.id === chosen) return true;
    room -= talk.waiting.length ? 1 : 0;
    return talk.waiting.length && room >= 0;
  });
  return [...first, ...talks.slice(newest)];
}

function textOf({ id, peer, who, state, last }) {
  return `${id} ${peer} ${who} ${state} ${last?.text ?? ""}`;
}

function make(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

function makeRow(id) {
  const row = make("li", "");
  row.dataset.id = id;
  const button = make("button", "talk");
  button.type = "button";
  for (const part of ["number", "peer", "state", "last", "count"]) {
    button.append(make("span", part), " ");
  }
  row.append(button);
  return row;
}

function fill(row, talk, isChosen) {
  const { id, peer, who, state, last, waiting } = talk;
  const button = row.firstElementChild;
  const put = (part, text) => {
    const element = button.querySelector(`.${part}`);
    if (element.textContent !== text) element.textContent = text;
  };
  button.dataset.state = state;
  button.setAttribute("aria-current", isChosen ? "true" : "false");
  put("number", String(id));
  put("peer", begin(who ? `${peer} ${who}` : peer, 80));
  put("state", state);
  put("last", last ? `${last.by ? "»" : MARKS[last.way]} ${begin(last.text, 100)}` : "");
  put("count", waiting.length ? `${waiting.length} wait${waiting.length > 1 ? "" : "s"}` : "");
}
