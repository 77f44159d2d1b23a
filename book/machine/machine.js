// The page: it reads the settings, asks the worker for one state after another, and shows them.

import { sketchpad } from "../../minddpm_course/sketchpad.js";

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const GAP = 2; // pixels between four pictures
const VERBS = { noise: "Draw", drawing: "Denoise", filling: "Fill in" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const at = (id) => document.getElementById(id);
const form = at("ask");
const scrub = at("scrub");

// ---- the worker

const answers = new Map(); // what waits for the worker's answer, by the message's id
const source = new Blob([at("worker").textContent], { type: "text/javascript" });
const worker = new Worker(URL.createObjectURL(source));
let messages = 0;

function told(message) {
  return new Promise((resolve, reject) => {
    answers.set(++messages, { resolve, reject });
    worker.postMessage({ id: messages, ...message });
  });
}

worker.onmessage = ({ data: { id, error, ...answer } }) => {
  const { resolve, reject } = answers.get(id);
  answers.delete(id);
  if (error) reject(new Error(error));
  else resolve(answer);
};
worker.onerror = ({ message }) => say(`This browser cannot run the machine: ${message}`);

// ---- what is shown

let states = []; // of the drawing that is shown, the first one first
let current = null; // the drawing in progress

function draw(canvas, images) {
  const count = images.length / PIXELS;
  const across = Math.sqrt(count);
  const pitch = SIDE + GAP;
  canvas.width = canvas.height = across * pitch - GAP;
  const context = canvas.getContext("2d");
  for (let picture = 0; picture < count; picture++) {
    const data = new ImageData(SIDE, SIDE);
    for (let i = 0; i < PIXELS; i++) {
      const grey = 127.5 * (images[picture * PIXELS + i] + 1); // what is beyond 0..255 is cut off
      data.data.set([grey, grey, grey, 255], 4 * i);
    }
    context.putImageData(data, (picture % across) * pitch, Math.floor(picture / across) * pitch);
  }
}

function show(index) {
  const { t, x_t, x_0 } = states[index];
  const pictures = x_t.length === PIXELS ? "picture" : "pictures";
  draw(at("x_t"), x_t);
  draw(at("x_0"), x_0);
  at("x_t").ariaLabel = t ? `the noisy ${pictures} at t = ${t}` : `the finished ${pictures}`;
  at("x_0").ariaLabel = t
    ? `the network's estimate of the finished ${pictures} at t = ${t}`
    : `the finished ${pictures}`;
  scrub.value = index;
  scrub.ariaValueText = at("time").value = t ? `t = ${t}` : "t = 0, finished";
}

function say(words) {
  at("status").textContent = words;
}

// ---- what is asked for

let drawing = new Uint8Array(PIXELS); // ink, 0..255
let hidden = new Uint8Array(PIXELS);

function showMarks() {
  at("hidden").replaceChildren();
  sketchpad(at("hidden"), {
    ink: hidden.slice(),
    picture: drawing,
    label: "The part to hide",
    onChange: (ink) => (hidden = ink),
  });
}

function redrawn(ink) {
  drawing = ink;
  showMarks();
}

function request() {
  const { mode, digit, sampler, ...numbers } = Object.fromEntries(new FormData(form));
  const asked = {};
  for (const [name, value] of Object.entries(numbers)) asked[name] = Number(value);
  asked.digit = digit === "" ? null : Number(digit);
  asked.sampler = sampler;
  if (mode === "noise") return asked;
  asked.image = Array.from(drawing, (value) => value / 127.5 - 1);
  if (mode === "drawing") asked.steps = Math.min(asked.steps, asked.t);
  else asked.mask = Array.from(hidden, (value) => value > 0);
  return asked;
}

// What is missing for this request, in words; nothing if it is whole.
function missing({ image, mask }) {
  if (image && !drawing.some(Boolean)) return "Draw a digit on the pad first.";
  if (mask && !mask.some(Boolean)) return "Mark the part to hide on the second pad first.";
  return "";
}

async function run() {
  const asked = request();
  if (missing(asked)) return say(missing(asked));
  const mine = (current = {});
  states = [];
  scrub.max = 0;
  scrub.disabled = true;
  at("take").disabled = true;
  at("cancel").disabled = false;
  at("progress").value = 0;
  say("Drawing.");
  try {
    await ready;
    const began = performance.now();
    await told({ start: asked });
    for (;;) {
      const { state } = await told({ next: true });
      if (current !== mine) return; // cancelled, or another drawing has begun
      if (!state) break;
      add(state);
      at("progress").value = (states.length - 1) / asked.steps;
    }
    show(states.length - 1);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const steps = asked.steps === 1 ? "1 step" : `${asked.steps} steps`;
    finish(`Done: ${steps} in ${seconds} s. Move the slider to go back in time.`);
  } catch (error) {
    if (current === mine) finish(`The machine stopped: ${error.message}`);
  }
}

// The pictures follow the newest state, unless the visitor looks at another or wants no motion.
function add(state) {
  const newest = scrub.valueAsNumber >= states.length - 1;
  states.push(state);
  scrub.max = states.length - 1;
  scrub.disabled = false;
  if (states.length === 1 || (newest && !calm.matches)) show(states.length - 1);
}

function finish(words) {
  current = null;
  at("cancel").disabled = true;
  at("take").disabled = !states.length;
  say(words);
}

function follow() {
  const { mode } = Object.fromEntries(new FormData(form));
  const ancestral = mode === "filling" || at("sampler").value === "ancestral";
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = !part.dataset.for.includes(mode);
  }
  at("sampler").disabled = mode === "filling";
  at("eta").disabled = ancestral;
  at("go").textContent = VERBS[mode];
  for (const output of document.querySelectorAll("output[for]:not(#time)")) {
    output.value = at(output.htmlFor.value).value;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
document.addEventListener("input", follow);
form.elements.mode.forEach((choice) => {
  choice.addEventListener("change", () => (form.elements.digit.value = "")); // the drawing says it
});
at("cancel").addEventListener("click", () => {
  finish("Cancelled. The slider goes back over the steps so far.");
});
at("another").addEventListener("click", () => {
  at("seed").value = Math.floor(Math.random() * 2 ** 32);
});
at("take").addEventListener("click", () => {
  const last = states[states.length - 1].x_0.subarray(0, PIXELS);
  const ink = new Uint8Array(Uint8ClampedArray.from(last, (value) => 127.5 * (value + 1)));
  setDrawing(ink.slice());
  redrawn(ink);
});
scrub.addEventListener("input", () => show(scrub.valueAsNumber));

const setDrawing = sketchpad(at("drawing"), {
  ink: drawing.slice(),
  label: "Your drawing",
  onChange: redrawn,
});
showMarks();
at("take").disabled = true;
follow();
const [runtime, network] = [at("runtime").textContent, at("network").textContent];
const ready = told({ load: { runtime, network } });
ready.then(
  () => current || say("Ready."),
  (error) => say(`The network could not be loaded: ${error.message}`),
);
