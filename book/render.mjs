// Formulas and graphs as HTML: one request of JSON a line, one answer of JSON a line.
// {"formula": "x_0", "display": false} and {"graph": "digraph {a -> b}"} are answered by {"html": ...} or {"error": ...}.
import { createInterface } from "node:readline";
import { instance } from "@viz-js/viz";
import katex from "katex";

const viz = await instance();

function render({ formula, display, graph }) {
  if (graph !== undefined) return viz.renderString(graph, { format: "svg" });
  return katex.renderToString(formula, { displayMode: display, strict: "error" });
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { html: render(JSON.parse(line)) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
