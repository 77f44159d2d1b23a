// The samplers of minddpm for a page, name for name: schedule.py, respacing.py, noising.py,
// posterior.py, sampler.py, ddim.py, guidance.py and inpainting.py have the formulas and sources.
//
// The index of an array is the paper's t: index 0 is the clean image, index T the noisiest one.
// Images are a Float32Array of all their pixels, one image after another. Coefficients are computed
// in float64 and rounded to float32, as there. `predict(x_t, t)` promises the noise in x_t, and
// `draw()` returns fresh normal noise for all images.

export function fromBetas(betas) {
  const beta = Float64Array.of(0, ...betas);
  const alphaBar = beta.slice();
  alphaBar[0] = 1;
  for (let t = 1; t < beta.length; t++) alphaBar[t] = alphaBar[t - 1] * (1 - beta[t]);
  return { T: betas.length, beta, alphaBar };
}

export function linearSchedule(T = 1000, betaStart = 1e-4, betaEnd = 0.02) {
  const rise = (betaEnd - betaStart) / Math.max(T - 1, 1);
  return fromBetas(Array.from({ length: T }, (_, step) => betaStart + step * rise));
}

// The first t steps of a schedule, for a sampler that starts at x_t.
export function until(schedule, t) {
  const { beta, alphaBar } = schedule;
  return { T: t, beta: beta.slice(0, t + 1), alphaBar: alphaBar.slice(0, t + 1) };
}

// NumPy rounds halves to even numbers, and so do the times of the library.
function rounded(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

// 0, T/steps, 2T/steps, ..., T.
export function spacedTimes(T, steps) {
  const downward = Array.from({ length: steps }, (_, step) => rounded(T - step * (T / steps)));
  return [0, ...downward.reverse()];
}

// A shorter schedule, the network called at the times of the long one, and these times.
export function respaced(predict, schedule, steps) {
  const times = spacedTimes(schedule.T, steps);
  const alphaBar = Float64Array.from(times, (t) => schedule.alphaBar[t]);
  const beta = alphaBar.map((left, t) => (t ? 1 - left / alphaBar[t - 1] : 0));
  return [(x_t, t) => predict(x_t, times[t]), { T: steps, beta, alphaBar }, times];
}

// a x + b y, the coefficients rounded to float32.
function weighted(a, x, b, y) {
  const [first, second] = [Math.fround(a), Math.fround(b)];
  return x.map((value, i) => first * value + second * y[i]);
}

export function forwardStep(x_prev, t, { beta }, noise) {
  return weighted(Math.sqrt(1 - beta[t]), x_prev, Math.sqrt(beta[t]), noise);
}

export function forwardDiffusion(x_0, t, { alphaBar }, noise) {
  return weighted(Math.sqrt(alphaBar[t]), x_0, Math.sqrt(1 - alphaBar[t]), noise);
}

export function x0FromNoise(x_t, t, noise, { alphaBar }) {
  const signal = Math.fround(Math.sqrt(alphaBar[t]));
  const spread = Math.fround(Math.sqrt(1 - alphaBar[t]));
  return x_t.map((value, i) => (value - spread * noise[i]) / signal);
}

export function posteriorVariance(t, { beta, alphaBar }) {
  return ((1 - alphaBar[t - 1]) / (1 - alphaBar[t])) * beta[t];
}

export function betaVariance(t, { beta }) {
  return beta[t];
}

export function reverseStep(x_t, t, x_0, schedule, noise, variance = betaVariance) {
  const { beta, alphaBar } = schedule;
  const ofX0 = (Math.sqrt(alphaBar[t - 1]) * beta[t]) / (1 - alphaBar[t]);
  const ofXt = (Math.sqrt(1 - beta[t]) * (1 - alphaBar[t - 1])) / (1 - alphaBar[t]);
  const mean = weighted(ofX0, x_0, ofXt, x_t);
  return t > 1 ? weighted(1, mean, Math.sqrt(variance(t, schedule)), noise) : mean;
}

export function ddimStep(x_t, t, x_0, predictedNoise, schedule, draw, eta) {
  const fresh = (eta ** 2 * schedule.beta[t]) / (1 - schedule.alphaBar[t]);
  const kept = Math.sqrt(Math.max(1 - fresh, 0));
  const noise = eta ? weighted(kept, predictedNoise, Math.sqrt(fresh), draw()) : predictedNoise;
  return forwardDiffusion(x_0, t - 1, schedule, noise);
}

// The estimate of x_0, clipped to [-1, 1] if asked, and the predicted noise.
async function estimate(predict, x_t, t, schedule, clip) {
  const predictedNoise = await predict(x_t, t);
  const x_0 = x0FromNoise(x_t, t, predictedNoise, schedule);
  return [clip ? x_0.map((value) => Math.min(1, Math.max(-1, value))) : x_0, predictedNoise];
}

// Each state on the way from x_T: t, x_t and the estimate of x_0, at t = 0 the sample itself.
async function* reverseProcess(predict, x_T, schedule, step, clip) {
  let x_t = x_T;
  for (let t = schedule.T; t > 0; t--) {
    const [x_0, predictedNoise] = await estimate(predict, x_t, t, schedule, clip);
    yield { t, x_t, x_0 };
    x_t = step(x_t, t, x_0, predictedNoise);
  }
  yield { t: 0, x_t, x_0: x_t };
}

// To start at x_t rather than at x_T, pass it and `until(schedule, t)`. So with ddimSteps.
export function sampleSteps(
  predict,
  x_T,
  schedule,
  draw,
  { variance = betaVariance, clip = true } = {},
) {
  const step = (x_t, t, x_0) => reverseStep(x_t, t, x_0, schedule, draw(), variance);
  return reverseProcess(predict, x_T, schedule, step, clip);
}

export async function* ddimSteps(predict, x_T, schedule, draw, { steps, eta = 0, clip = true }) {
  const [called, shorter, times] = respaced(predict, schedule, steps);
  const step = (x_t, t, x_0, noise) => ddimStep(x_t, t, x_0, noise, shorter, draw, eta);
  for await (const state of reverseProcess(called, x_T, shorter, step, clip)) {
    yield { ...state, t: times[state.t] };
  }
}

// Fixes the labels of network(x_t, t, labels): one for each image, or null for none.
export function guided(network, labels, scale = 1) {
  return async (x_t, t) => {
    if (labels === null || scale === 1) return network(x_t, t, labels);
    const unconditional = await network(x_t, t, null);
    const conditional = await network(x_t, t, labels);
    return weighted(1 - scale, unconditional, scale, conditional);
  };
}

// Where the mask is true, images are filled in; elsewhere they come back as they are.
export async function* inpaintSteps(
  predict,
  images,
  mask,
  schedule,
  draw,
  { resamplings = 10, variance = betaVariance, clip = true } = {},
) {
  let x_t = draw();
  for (let t = schedule.T; t > 0; t--) {
    let x_0, x_prev;
    for (let left = resamplings - 1; left >= 0; left--) {
      [x_0] = await estimate(predict, x_t, t, schedule, clip);
      const made = reverseStep(x_t, t, x_0, schedule, draw(), variance);
      const kept = forwardDiffusion(images, t - 1, schedule, draw());
      x_prev = made.map((value, i) => (mask[i] ? value : kept[i]));
      if (left) x_t = forwardStep(x_prev, t, schedule, draw());
    }
    yield { t, x_t, x_0 };
    x_t = x_prev;
  }
  yield { t: 0, x_t, x_0: x_t };
}
