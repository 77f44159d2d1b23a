// The network and the samplers, in a thread of their own. The page asks for one state at a time, so
// that it cancels by not asking. Each message has an `id`, which its answer repeats:
//   { load: { runtime, network } }  ONNX Runtime and the network, gzipped, in base64  ->  {}
//   { start: request }              how to draw, see `statesOf`  ->  {}
//   { next: true }                  ->  { state: { t, x_t, x_0 } }; after the last { state: null }
// What fails is answered by { error }.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";
import { seededNoise } from "./random.js";
import {
  ddimSteps,
  forwardDiffusion,
  guided,
  inpaintSteps,
  linearSchedule,
  respaced,
  sampleSteps,
  until,
} from "./samplers.js";

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const CLASSES = 10; // the label after the last one stands for none
const SCHEDULE = linearSchedule(); // of the shipped weights

let session;
let states;
let waiting = Promise.resolve();

async function unpacked(base64) {
  const { body } = await fetch(`data:application/gzip;base64,${base64}`);
  const whole = new Response(body.pipeThrough(new DecompressionStream("gzip")));
  return new Uint8Array(await whole.arrayBuffer());
}

async function load({ runtime, network }) {
  env.wasm.numThreads = 1; // more need headers that static hosts do not send
  env.wasm.wasmBinary = await unpacked(runtime);
  session = await InferenceSession.create(await unpacked(network), {
    executionProviders: ["wasm"],
  });
}

// The noise that the network predicts in images at one time t.
async function predicted(x_t, t, labels) {
  const count = x_t.length / PIXELS;
  const integers = (value) =>
    new Tensor("int64", BigInt64Array.from({ length: count }, value), [count]);
  const answer = await session.run({
    x_t: new Tensor("float32", x_t, [count, 1, SIDE, SIDE]),
    t: integers(() => BigInt(t)),
    label: integers((_, i) => BigInt(labels?.[i] ?? CLASSES)),
  });
  return answer.noise.data;
}

// The states on the way to the images that are asked for. A request has:
//   count, digit (null for any), scale, steps, seed; sampler, "ddim" with its eta or "ancestral"
//   image and t    to noise an image, 784 numbers in [-1, 1], to t, and to start there
//   image and mask to fill in the pixels where the mask is true, with `resamplings` of each step
//   noise          arrays to draw one after another, in place of a seed
function statesOf(request) {
  const { count, digit, scale, steps, sampler, eta, image, mask, resamplings } = request;
  const given = request.noise?.[Symbol.iterator]();
  const draw = given ? () => given.next().value : seededNoise(request.seed, count, PIXELS);
  const repeated = (values) => values && Array.from({ length: count }, () => [...values]).flat();
  const images = image && Float32Array.from(repeated(image));
  const predict = guided(predicted, digit === null ? null : Array(count).fill(digit), scale);
  if (mask) {
    const [few, shorter, times] = respaced(predict, SCHEDULE, steps);
    const hidden = repeated(mask);
    return timed(inpaintSteps(few, images, hidden, shorter, draw, { resamplings }), times);
  }
  const schedule = image ? until(SCHEDULE, request.t) : SCHEDULE;
  const x_t = image ? forwardDiffusion(images, request.t, SCHEDULE, draw()) : draw();
  // clipped, DDIM errs with guidance or with many steps
  if (sampler === "ddim")
    return ddimSteps(predict, x_t, schedule, draw, { steps, eta, clip: false });
  const [few, shorter, times] = respaced(predict, schedule, steps);
  return timed(sampleSteps(few, x_t, shorter, draw), times);
}

// States of a shorter schedule with their times on the long one.
async function* timed(states, times) {
  for await (const state of states) yield { ...state, t: times[state.t] };
}

async function answer({ load: files, start: request }) {
  if (files) await load(files);
  else if (request) states = statesOf(request);
  else return { state: (await states.next()).value ?? null };
  return {};
}

// one message after another: the network computes one answer at a time
self.onmessage = ({ data }) => {
  waiting = waiting.then(async () => {
    try {
      self.postMessage({ id: data.id, ...(await answer(data)) });
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error.message ?? error) });
    }
  });
};
