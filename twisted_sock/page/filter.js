// What a filter lets through. A regular expression can take for ever on a line that the server has
// chosen, so it runs in a worker, which can be stopped; all the rest of the page goes on.

const PATIENCE = 1000; // ms that an expression may take for some entries
const LONGEST = 100_000; // characters of a text that an expression is tried on

/** Lets everything through that has a text in it, whatever its case. */
class TextFilter {
  #wanted;

  constructor(wanted) {
    this.#wanted = wanted.toLowerCase();
  }

  /** Whether an entry passes. */
  test({ text }) {
    return text.toLowerCase().includes(this.#wanted);
  }

  close() {}
}

/** Lets everything through that an expression matches. */
class ExpressionFilter {
  #expression;
  #failed;
  #known = new Map(); // by the number of the entry
  #worker = new Worker(new URL("matcher.js", import.meta.url), { type: "module" });
  #timer = 0;

  constructor(expression, failed) {
    this.#expression = expression;
    this.#failed = failed;
  }

  /** Whether an entry passes; undefined as long as that is not known: `ask`. */
  test({ number }) {
    const passes = this.#known.get(number);
    this.#known.delete(number);
    return passes;
  }

  /** Find out about some entries, and call `then`. */
  ask(entries, then) {
    const texts = entries.map(({ text }) => text.slice(0, LONGEST));
    this.#timer = setTimeout(() => {
      this.close();
      this.#failed();
    }, PATIENCE);
    this.#worker.onmessage = ({ data }) => {
      clearTimeout(this.#timer);
      entries.forEach(({ number }, index) => this.#known.set(number, data[index]));
      then();
    };
    this.#worker.postMessage({ expression: this.#expression, texts });
  }

  close() {
    clearTimeout(this.#timer);
    this.#worker.terminate();
  }
}

/**
 * The filter that a person has written: a text, or a /regular expression/.
 *
 * @param {string} written
 * @param {Function} failed called when an expression takes too long; then it is closed
 * @throws {SyntaxError} it is no regular expression
 */
export function makeFilter(written, failed) {
  const found = /^\/(.+)\/([imsu]*)$/.exec(written);
  if (!found) return new TextFilter(written);
  return new ExpressionFilter(new RegExp(found[1], found[2]), failed);
}
