// Words and numbers for people: what cannot be seen made visible, times, what went wrong.

// What cannot be seen, but for the tab. U+200C and U+200D are left alone: Persian, Hindi and emoji
// are spelled with them.
const RANGES = [
  String.raw`\0-\x08\x0a-\x1f\x7f-\x9f`, // controls
  String.raw`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069`, // the reading direction
  String.raw`\u2028\u2029`, // ends of lines and paragraphs
  String.raw`\u034f\u115f\u1160\u3164\uffa0`, // fillers
  String.raw`\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb`, // what has no width
  String.raw`\u{e0000}-\u{e007f}`, // tags
  String.raw`\p{Cs}`, // halves of characters
];
const CONTROLS = `[${RANGES.join("")}]`;
const CONTROL = new RegExp(CONTROLS, "gu");
const UNSEEN = new RegExp(`\t+|${CONTROLS}{1,100}`, "gu"); // bounded, so that it can be cut

const escapes = new Map();

/** The escape that stands for a character that cannot be seen: ⟨U+202E⟩. */
function escapeOf(character) {
  const known = escapes.get(character);
  if (known) return known;
  const code = character.codePointAt(0).toString(16).toUpperCase();
  const made = `⟨U+${code.padStart(4, "0")}⟩`;
  escapes.set(character, made);
  return made;
}

/** A text with its unseen characters as escapes. A tab is harmless, and stays. */
export function escaped(text) {
  return text.replace(CONTROL, escapeOf);
}

/** The beginning of a text, `escaped`, for where there is little room. */
export function begin(text, most) {
  const { pieces: found, whole } = pieces(text, most);
  return found.map(([piece]) => piece).join("") + (whole ? "" : "…");
}

const MOST_MARKED = 1000; // pieces of a text; browsers are slow with many in one paragraph

/**
 * The pieces of a text, each with what it is: "" for what can be seen, "escape", or "tab".
 *
 * After very many of them the rest is one piece, in which escapes are not told from the text.
 *
 * @param {string} text
 * @param {number} most about how many characters to show
 * @returns {{pieces: [string, string][], whole: boolean}} whole: whether this is all of it
 */
export function pieces(text, most) {
  const head = text.slice(0, endOfCharacter(text, most));
  const found = [];
  let from = 0;
  let shown = 0;
  const put = (piece, kind, end) => {
    if (piece) found.push([piece, kind]);
    shown += piece.length;
    from = end;
  };
  for (const { 0: unseen, index } of head.matchAll(UNSEEN)) {
    if (shown >= most || found.length >= MOST_MARKED) break;
    put(head.slice(from, index), "", index);
    put(escaped(unseen), unseen[0] === "\t" ? "tab" : "escape", index + unseen.length);
  }
  if (shown < most) put(escaped(head.slice(from)), "", head.length);
  return { pieces: found, whole: from === text.length };
}

/** Where to cut a text near an index without halving a character. */
function endOfCharacter(text, index) {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit < 0xe000 ? index + 1 : index;
}

const two = (number) => String(number).padStart(2, "0");
const three = (number) => String(number).padStart(3, "0");

/** A time of the day here: 21:30:05.042. */
export function clock(date) {
  const day = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day}.${three(date.getMilliseconds())}`;
}

/** A date and time here with its offset, RFC 3339: 2026-01-31T21:30:05.042+01:00. */
export function stamp(date) {
  const east = -date.getTimezoneOffset();
  const offset = `${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${clock(date)}${east < 0 ? "-" : "+"}${offset}`;
}

/** A duration in milliseconds, as short as it is exact: 0.4 ms, 38 ms, 1.25 s. */
export function duration(milliseconds) {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** A count with its word: 1 line, 1,234 lines. */
export function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

/** The code of a line that reports a problem, `ERR <code> <words>`; else undefined. */
export function problemCode(line) {
  return /^ERR ([a-z][a-z0-9-]*)(?: |$)/.exec(line)?.[1];
}

// What the codes of RFC 6455 section 7.4 mean for the person at this page.
const CLOSED = {
  1000: "the server ended the conversation",
  1001: "the server went away",
  1002: "the server did not understand this browser",
  1003: "the server does not take this kind of message",
  1005: "the server ended the conversation without a reason",
  1006: "the connection broke",
  1007: "what was sent is not valid UTF-8",
  1008: "the server does not allow this",
  1009: "what was sent is too long for the server",
  1010: "the server lacks what this browser asked for",
  1011: "the server failed",
  1012: "the server restarts",
  1013: "the server has too much to do; try again later",
  1014: "a proxy could not reach the server",
  1015: "the server's certificate is not trusted",
};

/** Why a connection ended, in words, with the code and the server's own reason. */
export function closeWords(code, reason, wasOpen) {
  if (code === 1006 && !wasOpen) return "the server cannot be reached, or refuses this page";
  const words = CLOSED[code] ?? "the server ended the conversation";
  if (code === 1006) return words;
  return `${words} (${code}${reason ? `, “${reason}”` : ""})`;
}
