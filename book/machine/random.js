// Normal noise from a seed. Each image has noise of its own, so the first of four pictures is the
// same as the one that is drawn alone.

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

// Threefry-2x32 with 20 rounds: two 32-bit integers from a key and a counter (Salmon et al. 2011).
export function threefry([key0, key1], [counter0, counter1]) {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda];
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;
  for (let round = 0; round < 20; round++) {
    const bits = ROTATIONS[round % 8];
    a = (a + b) | 0;
    b = ((b << bits) | (b >>> (32 - bits))) ^ a;
    if (round % 4 < 3) continue;
    const group = (round + 1) / 4;
    a = (a + keys[group % 3]) | 0;
    b = (b + keys[(group + 1) % 3] + group) | 0;
  }
  return [a >>> 0, b >>> 0];
}

// A function that returns fresh noise each time, for images with an even number of pixels.
export function seededNoise(seed, images, pixels) {
  let counter = 0;
  return () => {
    const noise = new Float32Array(images * pixels);
    for (let i = 0; i < noise.length; i += 2) {
      const [a, b] = threefry([seed, Math.floor(i / pixels)], [counter + (i % pixels), 0]);
      const radius = Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)); // Box and Muller 1958
      const angle = (2 * Math.PI * b) / 2 ** 32;
      noise[i] = radius * Math.cos(angle);
      noise[i + 1] = radius * Math.sin(angle);
    }
    counter += pixels;
    return noise;
  };
}
