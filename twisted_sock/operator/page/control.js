// The operator's protocol: commands with their answers, and the events between them.

// Problems of the whole connection: they answer no command.
const OF_THE_CONNECTION = ["busy", "foreign", "idle", "partial", "shutdown", "slow"];

/**
 * Pairs answers with commands. An answer is some JSON objects, and then OK or ERR.
 *
 * @param {Function} send sends a line; returns whether it could
 * @param {{event: Function, trouble: Function}} listener
 */
export class Control {
  #send;
  #listener;
  #asked = []; // what to call with the answers that are to come
  #data = []; // of the answer that comes now

  constructor(send, listener) {
    this.#send = send;
    this.#listener = listener;
  }

  /** Say a command; gives `{data, code, words}`, where a code tells that it was not done. */
  ask(command) {
    return new Promise((answered) => {
      if (this.#send(command)) this.#asked.push(answered);
      else answered(lost());
    });
  }

  /** A line came. */
  line(text) {
    if (text.startsWith("EVENT ")) this.#listener.event(JSON.parse(text.slice(6)));
    else if (text.startsWith("{")) this.#data.push(JSON.parse(text));
    else this.#finish(/^(OK|ERR)(?: (\S*) ?(.*))?$/s.exec(text));
  }

  /** The connection is gone: nothing is answered any more. */
  reset() {
    const asked = this.#asked;
    this.#asked = [];
    this.#data = [];
    for (const answered of asked) answered(lost());
  }

  #finish(found) {
    if (!found) return;
    const [, word, code = "", words = ""] = found;
    if (word === "ERR" && (OF_THE_CONNECTION.includes(code) || !this.#asked.length)) {
      this.#listener.trouble(words || code);
      return;
    }
    const data = this.#data;
    this.#data = [];
    this.#asked.shift()?.(word === "OK" ? { data, code: "", words: "" } : { data, code, words });
  }
}

function lost() {
  return { data: [], code: "lost", words: "not connected" };
}
