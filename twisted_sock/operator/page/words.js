// What the person at the page is told.

import { count } from "./text.js";

const LONGEST = 4000; // bytes of a line; the service takes a little more, with its command

const EVENTS = {
  waiting: ({ seconds }) => `it waits ${seconds} s for an answer`,
  held: ({ seconds }) => `held: each line waits ${seconds} s for an answer`,
  released: ({ by }) => `released: the script answers${by === "nobody" ? ", as nobody did" : ""}`,
  answered: ({ by }) => (by === "script" ? "it waits no more: the script answers" : ""),
  closed: ({ reason }) => `ended: ${reason}`,
};

/** An event in words; empty where there is nothing to tell. */
export function eventWords(event) {
  return EVENTS[event.event]?.(event) ?? "";
}

/** What Enter does now: whether it answers, and what it says to whom. */
export function aim(talk) {
  if (!talk) return { command: "", label: "Say", words: "Choose a conversation, or say it to all." };
  if (talk.state === "over") return { command: "", label: "Say", words: "This one is over." };
  const [first] = talk.waiting;
  if (!first) {
    const words = `Enter says it to ${talk.id} unasked: no line waits there.`;
    return { command: "say", label: "Say", words };
  }
  return { command: "answer", label: "Answer", line: first.text, words: more(talk.waiting) };
}

function more(waiting) {
  const [{ until }] = waiting;
  const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  const others = waiting.length > 1 ? `, the oldest of ${waiting.length}` : "";
  return `${others}${until ? `; in ${seconds} s the script does` : ""}`;
}

const REFUSALS = { "nothing-waits": "No line waits any more", lost: "Not connected" };

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
