// What the person chose and typed, as far as the browser lets us keep it.

/** What was kept under a key in "localStorage" or "sessionStorage"; null if there is nothing. */
export function kept(store, key) {
  try {
    return JSON.parse(globalThis[store].getItem(`twisted_sock.${key}`));
  } catch {
    return null; // storage is off, or holds what is not ours
  }
}

/** Keep a value under a key; null keeps nothing. */
export function keep(store, key, value) {
  try {
    if (value === null) globalThis[store].removeItem(`twisted_sock.${key}`);
    else globalThis[store].setItem(`twisted_sock.${key}`, JSON.stringify(value));
  } catch {
    // storage is off or full: it holds until the page is left
  }
}
