// Says some lines through Node's ws, a message each; prints what it is told, and how it ends.
//
//     node mock_peer.js ws://127.0.0.1:1234/ LINE...
"use strict";
const WebSocket = require("ws");
const [, , url, ...lines] = process.argv;

const socket = new WebSocket(url);
socket.on("open", () => lines.forEach((line) => socket.send(line)));
socket.on("message", (data) => console.log(data.toString()));
socket.on("close", (code) => console.log(`closed with ${code}`));
