// The connection: it comes back by itself, and pairs answers with questions.

import { closeWords } from "./text.js";

const FIRST_DELAY = 500; // ms before the first retry; doubled for each further one
const LONGEST_DELAY = 15_000; // ms
const HEALTHY = 5_000; // ms that a connection must live before delays begin anew
const PATIENCE = 10_000; // ms for a connection to open
const FORGET = 60_000; // ms after which nobody waits for an answer

const NORMAL = 1000; // RFC 6455 section 7.4.1

/**
 * A WebSocket that carries lines.
 *
 * Its state is one of: "off" (until the person connects), "connecting", "open", and "waiting"
 * (for the next try, at `retryAt` by `performance.now()`). A server that says that this was all
 * (1000) is taken at its word: then it is "off", too.
 *
 * @param {string} url
 * @param {{changed: Function, line: Function, binary: Function, ended: Function}} listener
 */
export class Connection {
  state = "off";
  retryAt = 0;
  #url;
  #listener;
  #socket = null;
  #timer = 0;
  #tries = 0;

  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
  }

  /** Connect now, unless that is so or on its way. */
  connect() {
    if (this.state === "open" || this.state === "connecting") return;
    clearTimeout(this.#timer);
    this.#become("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.close(), PATIENCE);
    this.#listen(socket);
  }

  /** Try again now, if a try is waited for. */
  hurry() {
    if (this.state === "waiting") this.connect();
  }

  /** End it, and do not come back. */
  disconnect() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null; // what it still says is not heard
    socket?.close(NORMAL);
    this.#tries = 0;
    this.#become("off");
  }

  /** Send a line; returns whether there was a connection to send it to. */
  send(line) {
    if (this.state !== "open" || this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(line);
    return true;
  }

  #listen(socket) {
    let openedAt = 0;
    socket.binaryType = "arraybuffer";
    const heard = (act) => (event) => socket === this.#socket && act(event);
    socket.onopen = heard(() => {
      clearTimeout(this.#timer);
      openedAt = performance.now();
      this.#become("open");
    });
    socket.onmessage = heard(({ data }) => {
      if (typeof data === "string") this.#listener.line(data);
      else this.#listener.binary(data.byteLength);
    });
    socket.onclose = heard((event) => this.#ended(event, openedAt));
  }

  #ended(event, openedAt) {
    clearTimeout(this.#timer);
    this.#socket = null;
    if (openedAt && performance.now() - openedAt > HEALTHY) this.#tries = 0;
    const words = closeWords(event.code, event.reason, Boolean(openedAt));
    if (event.code === NORMAL) this.#become("off");
    else this.#wait();
    this.#listener.ended(words, Boolean(openedAt), event.code === NORMAL);
  }

  #wait() {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries);
    const delay = longest * (0.5 + Math.random() / 2); // so that not all come back at once
    this.#tries = Math.min(this.#tries + 1, 10);
    this.retryAt = performance.now() + delay;
    this.#timer = setTimeout(() => this.connect(), delay);
    this.#become("waiting");
  }

  #become(state) {
    this.state = state;
    this.#listener.changed(state);
  }
}

/**
 * The lines that wait for an answer.
 *
 * Answers come in the order of the questions, but nothing tells an answer from a line that the
 * server sends by itself, or one line of a long answer from the next. So an answer is "sure" only
 * if one question waited, and the server has said nothing unasked on this connection but for one
 * line before the first question, which is taken for a greeting.
 */
export class Questions {
  #waiting = [];
  #asked = false;
  #greeted = false;
  #unasked = false;

  /** How many wait. */
  get size() {
    return this.#waiting.length;
  }

  /** A line was sent. */
  ask(line) {
    this.#asked = true;
    this.#waiting.push({ line, at: performance.now() });
  }

  /** A line came; returns what it answers and after how long, or null if nothing was asked. */
  answer() {
    const now = performance.now();
    while (this.#waiting.length && now - this.#waiting[0].at > FORGET) this.#waiting.shift();
    const sure = this.#waiting.length === 1 && !this.#unasked;
    const question = this.#waiting.shift();
    if (!question) {
      this.#unasked ||= this.#asked || this.#greeted;
      this.#greeted = true;
      return null;
    }
    return { line: question.line, took: now - question.at, sure };
  }

  /** A new connection: nobody waits any more. Returns how many did. */
  reset() {
    const { size } = this;
    this.#waiting = [];
    this.#asked = this.#greeted = this.#unasked = false;
    return size;
  }
}
