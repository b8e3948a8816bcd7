// A worker that tries a regular expression on some texts; see filter.js.

onmessage = ({ data: { expression, texts } }) => {
  postMessage(texts.map((text) => expression.test(text)));
};
