// The line to type: one or more lines, sent with Enter, and those that were sent before.

import { keep, kept } from "./storage.js";
import { count } from "./text.js";

const MOST = 200; // texts in the history
const LONGEST = 2000; // characters of a text that is kept
const NOTHING_SENT = "Not connected: nothing was sent.";

/** The lines that a text is; a newline at its end begins none. */
function linesOf(text) {
  const lines = text.split("\n");
  if (lines.length > 1 && lines.at(-1) === "") lines.pop();
  return lines;
}

/** What was typed before, kept until the tab is closed unless the person does not want that. */
class History {
  #texts = [];
  #at = null; // the index of the one that is shown
  #draft = "";

  constructor() {
    const found = kept("sessionStorage", "typed"); // or another page's at this address
    if (Array.isArray(found)) this.#texts = found.filter((each) => typeof each === "string");
  }

  get shown() {
    return this.#at !== null;
  }

  add(text) {
    this.#at = null;
    if (text && text !== this.#texts.at(-1)) this.#texts = [...this.#texts, text].slice(-MOST);
  }

  keep(wanted) {
    const short = this.#texts.filter((each) => each.length <= LONGEST);
    keep("sessionStorage", "typed", wanted ? short : null);
  }

  /** The text so many steps from the one that is shown, or undefined. */
  step(steps, draft) {
    const end = this.#texts.length;
    const at = (this.#at ?? end) + steps;
    if (at < 0 || at > end) return undefined;
    if (this.#at === null) this.#draft = draft;
    this.#at = at === end ? null : at;
    return this.#at === null ? this.#draft : this.#texts[at];
  }

  /** Back to what was typed last. */
  leave() {
    return this.step(this.#texts.length - this.#at);
  }

  /** What is shown was changed: it is a draft now. */
  changed() {
    this.#at = null;
  }
}

/**
 * Where lines are typed.
 *
 * @param {object} elements `field`, `button`, `hint`, and `choice`: whether to keep what is typed
 * @param {object} page `send(lines)` returns how many were sent; `announce(words)`; `scroll(pages)`
 */
export class Composer {
  #elements;
  #page;
  #history = new History();
  #complaint = "";

  constructor(elements, page) {
    this.#elements = elements;
    this.#page = page;
    const { field, choice } = elements;
    choice.checked = !kept("sessionStorage", "forget");
    choice.addEventListener("change", () => this.#chosen());
    field.addEventListener("keydown", (event) => this.#key(event));
    field.addEventListener("input", () => {
      this.#history.changed();
      this.#changed();
    });
  }

  /** Whether lines can be sent now. */
  ready(isReady) {
    this.#elements.button.classList.toggle("idle", !isReady);
    if (isReady) this.#changed();
  }

  /** Send what was typed; what cannot be sent stays. */
  submit() {
    const { value } = this.#elements.field;
    const lines = linesOf(value);
    const sent = this.#page.send(lines);
    if (sent === lines.length) {
      this.#history.add(value);
      this.#history.keep(this.#elements.choice.checked);
      this.#put("");
    } else {
      if (sent) this.#put(lines.slice(sent).join("\n"));
      this.#complain(sent ? "The connection is gone: this was not sent." : NOTHING_SENT);
    }
  }

  #put(text) {
    const { field } = this.#elements;
    field.value = text;
    field.setSelectionRange(text.length, text.length);
    this.#changed();
  }

  #changed() {
    this.#complaint = "";
    this.#grow();
    this.#show();
  }

  #complain(words) {
    this.#complaint = words;
    this.#page.announce(words);
    this.#show();
  }

  // Where the browser cannot do so by itself.
  #grow() {
    const { field } = this.#elements;
    if (!CSS.supports("field-sizing", "content")) {
      field.rows = Math.min(6, field.value.split("\n").length);
    }
  }

  #show() {
    const { field, button, hint } = this.#elements;
    const { length } = linesOf(field.value);
    const several = length > 1;
    hint.textContent = this.#complaint || (several ? "Each line is sent as a message." : "");
    hint.classList.toggle("bad", this.#complaint !== "");
    button.textContent = several ? `Send ${count(length, "line")}` : "Send";
  }

  #chosen() {
    const { checked } = this.#elements.choice;
    keep("sessionStorage", "forget", checked ? null : true);
    this.#history.keep(checked);
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return; // it belongs to the input method
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (this.#act(event)) event.preventDefault();
  }

  /** Do what a key stands for; returns whether it stands for anything here. */
  #act({ key, shiftKey }) {
    if (key === "Enter" && !shiftKey) this.submit();
    else if (key === "ArrowUp" && this.#leavesText(-1)) this.#recall(-1);
    else if (key === "ArrowDown" && this.#leavesText(1)) this.#recall(1);
    else if (key === "PageUp") this.#page.scroll(-1);
    else if (key === "PageDown") this.#page.scroll(1);
    else if (key === "Escape" && this.#history.shown) this.#put(this.#history.leave());
    else return false;
    return true;
  }

  #recall(step) {
    const { field } = this.#elements;
    const text = this.#history.step(step, field.value);
    if (text === undefined) return;
    this.#put(text);
    const end = `${text}\n`.indexOf("\n"); // of its first line, so that the key leads on up
    if (step < 0) field.setSelectionRange(end, end);
  }

  /** Whether an arrow key leads out of the text: up from its first line, down from its last. */
  #leavesText(step) {
    const { value, selectionStart, selectionEnd } = this.#elements.field;
    if (selectionStart !== selectionEnd) return false;
    const beyond = step < 0 ? value.slice(0, selectionStart) : value.slice(selectionStart);
    return !beyond.includes("\n");
  }
}
