// Builds the digit machine: node build.mjs NETWORK.onnx PAGE.html [book]
// Scripts, styles, the runtime and the network are all inside the page. Any server can serve it,
// and a browser can open it from the disk, where pages may not load files. With the word "book" it
// is a page of the book, and leads back to it.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const [network, page, book] = process.argv.slice(2);
const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url));
const runtime = fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));

async function bundled(name) {
  const { outputFiles } = await build({
    entryPoints: [pathOf(name)],
    bundle: true,
    minify: true,
    format: name.endsWith(".js") ? "iife" : undefined,
    target: "es2022",
    define: { "import.meta.url": "self.location.href" }, // a classic script has no other address
    legalComments: "inline",
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0].text.replaceAll("</script", "<\\/script");
}

const held = (id, text) => `<script type="text/plain" id="${id}">${text}</script>`;
const packed = (path) => gzipSync(readFileSync(path), { level: 9 }).toString("base64");
const inside = {
  '<link rel="stylesheet" href="machine.css" />': `<style>${await bundled("machine.css")}</style>`,
  '<script src="machine.js"></script>': [
    held("worker", await bundled("worker.js")),
    held("runtime", packed(runtime)),
    held("network", packed(network)),
    `<script>${await bundled("machine.js")}</script>`,
  ].join("\n"),
};

let html = readFileSync(pathOf("index.html"), "utf8");
for (const [tag, content] of Object.entries(inside)) {
  if (!html.includes(tag)) throw new Error(`index.html must hold ${tag}`);
  html = html.replace(tag, () => content);
}
if (!book) html = html.replace(/ *<!-- book -->.*<!-- \/book -->\n/s, "");
writeFileSync(page, html);
