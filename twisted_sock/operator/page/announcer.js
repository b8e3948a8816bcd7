// What a screen reader says: news together, and not more often than it can be listened to.

const EVERY = 1500; // ms
const MOST = 3; // news that are said together

export class Announcer {
  #element;
  #news = [];
  #more = 0;
  #timer = 0;

  constructor(element) {
    this.#element = element;
  }

  say(words) {
    this.#news.push(words);
    if (this.#news.length > MOST) {
      this.#news.shift();
      this.#more += 1;
    }
    this.#timer ||= setTimeout(() => this.#go(), 150);
  }

  #go() {
    this.#timer = 0;
    if (!this.#news.length) return;
    const before = this.#more ? `${this.#more} more, then: ` : "";
    this.#element.textContent = before + this.#news.join(". ");
    this.#news = [];
    this.#more = 0;
    this.#timer = setTimeout(() => this.#go(), EVERY);
  }
}
