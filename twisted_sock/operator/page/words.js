// What the person at the page is told.

import { count } from "./text.js";

const LONGEST = 4000; // bytes of a line; the service takes a little more, with its command

const EVENTS = {
  waiting: ({ seconds }) => `it waits ${seconds} s for an answer`,
  held: ({ seconds }) => `held: each line waits ${seconds} s for an answer`,
  closing: () => "it is closing: nothing is said there any more",
  released: ({ by }) => `released: the script answers${by === "nobody" ? ", as nobody did" : ""}`,
  answered: ({ by }) => (by === "script" ? "it waits no more: the script answers" : ""),
  closed: ({ reason }) => `ended: ${reason}`,
};

/** An event in words; empty where there is nothing to tell. */
export function eventWords(event) {
  return EVENTS[event.event]?.(event) ?? "";
}

const NOWHERE = { label: "Say", line: null };

/**
 * What Enter does.
 *
 * @param {object} talk the chosen conversation
 * @param {object} pinned what it does since somebody has begun to type; else what waits counts
 * @returns {{label: string, words: string, line: ?number, text: string, isGone: boolean}} `line` is
 *   the number of the line that is answered, 0 for none, and null when nothing can be said
 */
export function aim(talk, pinned) {
  if (!talk) return { ...NOWHERE, words: "Choose a conversation, or say it to all." };
  if (talk.state === "over") return { ...NOWHERE, words: "This one is over." };
  if (talk.state === "closing" && !talk.waiting.length) {
    return { ...NOWHERE, words: "This one is closing." };
  }
  const { line, text } = pinned ?? talk.waiting[0] ?? { line: 0 };
  if (!line) {
    const why = pinned ? "no line waited when you began to type." : "no line waits there.";
    return { label: "Say", words: `Enter says it to ${talk.id} unasked: ${why}`, line: 0 };
  }
  const waiting = talk.waiting.find((each) => each.line === line);
  const words = waiting ? more(waiting, talk.waiting) : " waits no more: nothing is sent";
  return { label: "Answer", words, line, text, isGone: !waiting };
}

function more(line, waiting) {
  const seconds = Math.max(0, Math.ceil((line.until - Date.now()) / 1000));
  const others = waiting.length > 1 ? `, one of ${waiting.length}` : "";
  return `${others}; in ${seconds} s the script does`;
}

const REFUSALS = {
  "nothing-waits": "That line waits no more",
  "line-waits": "A line has begun to wait meanwhile",
  lost: "Not connected",
};

/** Why nothing was sent. */
export function refusal({ code, words }) {
  return `${REFUSALS[code] ?? words}: it was not sent`;
}

/** Why a text cannot be sent; empty if it can. */
export function unfit(text) {
  if (!text) return "Nothing is typed: nothing was sent.";
  const size = new TextEncoder().encode(text).length;
  return size > LONGEST ? `Too long: ${size} bytes, ${LONGEST} at most.` : "";
}

/** What became of a text that was sent to one conversation, or to all. */
export function told(data, to) {
  const answers = data.filter(({ answered }) => answered).length;
  if (to !== "all") return answers ? `${to} was answered.` : `Said to ${to}.`;
  const besides = answers ? `; ${count(answers, "line")} answered` : "";
  return `Said to ${count(data.length, "conversation")}${besides}.`;
}
