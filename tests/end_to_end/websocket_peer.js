// Talks to a server of twisted_sock through Node's ws; says what it saw, or fails.
//
//     node websocket_peer.js ws://127.0.0.1:1234/ off
//
// The last argument is what --deflate is there. At the end it waits for the server's close.
"use strict";
const assert = require("node:assert");
const WebSocket = require("ws");
const [, , url, deflate] = process.argv;

class Talk {
  constructor(options) {
    this.messages = [];
    this.waiting = [];
    this.socket = new WebSocket(url, options);
    this.opened = new Promise((done, fail) => {
      this.socket.on("open", () => done(this));
      this.socket.on("error", fail);
    });
    this.closed = new Promise((done) =>
      this.socket.on("close", (code, reason) => done([code, reason.toString()])));
    this.pong = new Promise((done) => this.socket.on("pong", (data) => done(data.toString())));
    this.socket.on("message", (data, binary) => {
      assert(!binary);
      this.messages.push(data.toString());
      this.waiting.splice(0).forEach((look) => look());
    });
  }

  async next(count) {
    while (this.messages.length < count) {
      await new Promise((look) => this.waiting.push(look));
    }
    return this.messages.splice(0, count);
  }

  async ask(...texts) {
    texts.forEach((text) => this.socket.send(text));
    return this.next(texts.length);
  }
}

const open = (options) => new Talk(options).opened;

const checks = {
  async text() {
    const talk = await open();
    assert.deepStrictEqual(await talk.ask("héllo 世界", "", "x".repeat(60000)), [
      "héllo 世界", "", "x".repeat(60000)]);
    const many = Array.from({ length: 1000 }, (_, number) => `line ${number}`);
    assert.deepStrictEqual(await talk.ask(...many), many);
    talk.socket.close();
    assert.strictEqual((await talk.closed)[0], 1005);
  },

  async several_lines_in_one_message() {
    const talk = await open();
    talk.socket.send("one\ntwo\r\nthree\n");
    assert.deepStrictEqual(await talk.next(3), ["one", "two", "three"]);
    talk.socket.close(1000);
    assert.strictEqual((await talk.closed)[0], 1000);
  },

  async fragments() {
    const talk = await open();
    const bytes = Buffer.from("世界");
    talk.socket.send(bytes.subarray(0, 2), { binary: false, fin: false });
    talk.socket.ping("between");
    talk.socket.send(bytes.subarray(2, 3), { binary: false, fin: false });
    talk.socket.send(bytes.subarray(3), { binary: false, fin: true });
    assert.deepStrictEqual(await talk.next(1), ["世界"]);
    assert.strictEqual(await talk.pong, "between");
    talk.socket.close(3999, "mine");
    assert.strictEqual((await talk.closed)[0], 3999);
  },

  async the_server_pings() {
    const talk = await open();
    await new Promise((done) => talk.socket.on("ping", done));
    assert.deepStrictEqual(await talk.ask("still here"), ["still here"]);
    talk.socket.terminate();
  },

  async the_server_closes() {
    const talk = await open();
    talk.socket.send("bye");
    assert.deepStrictEqual(await talk.next(1), ["see you"]);
    assert.deepStrictEqual(await talk.closed, [1000, ""]);
  },

  async what_is_refused() {
    for (const [data, options, code] of [
      ["x".repeat(140000), {}, 1009],
      [Buffer.from([0]), { binary: true }, 1003],
      [Buffer.from([0xc3]), { binary: false }, 1007],
    ]) {
      const talk = await open();
      talk.socket.send(data, options);
      assert.strictEqual((await talk.closed)[0], code);
    }
  },

  async compression() {
    const talk = await open({ perMessageDeflate: { threshold: 0 } });
    const agreed = deflate === "on" ? "permessage-deflate" : "";
    assert.strictEqual(talk.socket.extensions, agreed);
    assert.deepStrictEqual(await talk.ask("x".repeat(60000), "世界"), ["x".repeat(60000), "世界"]);
    const plain = await open({ perMessageDeflate: false });
    assert.strictEqual(plain.socket.extensions, "");
    assert.deepStrictEqual(await plain.ask("x".repeat(60000)), ["x".repeat(60000)]);
    plain.socket.close();
    talk.socket.close();
    await talk.closed;
  },

  async no_such_path() {
    const socket = new WebSocket(`${url}nowhere`);
    const error = await new Promise((done) => socket.on("error", done));
    assert.match(error.message, /404/);
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    await check();
    console.log(`ok ${name}`);
  }
  const talk = await open();
  console.log("waiting");
  console.log("closed", ...(await talk.closed));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
