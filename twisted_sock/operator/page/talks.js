// The conversations of the service, as the answer to `watch` and the events after it tell.

const MOST_OVER = 20; // conversations that are kept when they are over, as the service does
const MOST_OF_LINE = 200; // characters that are kept of a line

/** All conversations, by their numbers. */
export class Talks {
  #all = new Map();

  /** Forget all, and begin with a list of the service. */
  begin(list) {
    this.#all.clear();
    for (const each of list) this.#all.set(each.id, talkOf(each));
  }

  get(id) {
    return this.#all.get(id);
  }

  /** All of them, the oldest first. */
  get all() {
    return [...this.#all.values()];
  }

  /** Those that go on. */
  get open() {
    return this.all.filter((talk) => talk.state !== "over");
  }

  /** The one whose line waits longest; undefined if none does. */
  get next() {
    const waiting = this.all.filter((talk) => talk.waiting.length);
    return waiting.sort((one, other) => one.waiting[0].at - other.waiting[0].at)[0];
  }

  /** How many lines wait. */
  get waiting() {
    return this.all.reduce((sum, talk) => sum + talk.waiting.length, 0);
  }

  /** Something has happened; returns in which conversation, or undefined. */
  apply(event) {
    if (event.event === "opened") this.#open(event);
    const talk = this.get(event.id);
    if (talk) ACTS[event.event]?.(talk, event);
    if (event.event === "closed") this.#forget();
    return talk;
  }

  #open({ id, peer, who }) {
    this.#all.set(id, talkOf({ id, peer, who, state: "open", waiting: [] }));
  }

  #forget() {
    const over = this.all.filter((talk) => talk.state === "over");
    for (const talk of over.slice(0, -MOST_OVER)) this.#all.delete(talk.id);
  }
}

function talkOf({ id, peer, who, state, since, waiting }) {
  return { id, peer, who, state, since, waiting: waiting.map(lineOf), last: null, reason: "" };
}

/** A line that waits. */
function lineOf({ line, text, seconds }) {
  const at = Date.now();
  return { line, text: text.slice(0, MOST_OF_LINE), at, until: at + seconds * 1000 };
}

const ACTS = {
  line: (talk, said) => {
    talk.last = { ...said, text: said.text.slice(0, MOST_OF_LINE) };
  },
  waiting: (talk, event) => {
    talk.waiting.push(lineOf(event));
  },
  answered: (talk, { line }) => {
    talk.waiting = talk.waiting.filter((each) => each.line !== line);
  },
  held: (talk) => {
    if (talk.state !== "closing") talk.state = "held";
  },
  closing: (talk) => {
    if (talk.state !== "over") talk.state = "closing";
  },
  released: (talk) => {
    if (talk.state === "held") talk.state = "open";
  },
  closed: (talk, { reason }) => {
    Object.assign(talk, { state: "over", reason, waiting: [] });
  },
};
