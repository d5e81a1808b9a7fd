// Plays a coded file on a canvas: decodes what comes next while it shows what is there.

import { Decoder } from "./decoder.js";
import { packetsOf } from "./matroska.js";

/** Timed pictures of a Matroska file in display order. */
export async function* picturesOf(decoder, bytes) {
  const waiting = [];
  for (const packet of packetsOf(bytes)) {
    waiting.push(packet.seconds);
    waiting.sort((a, b) => a - b);
    for (const picture of await decoder.decode(packet.data)) yield { picture, seconds: waiting.shift() };
  }
}

/** *picture*, BT.709 in limited range, on *canvas*. */
export function draw(picture, canvas) {
  const { width, height, luma, cb, cr } = picture;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  const half = Math.ceil(width / 2);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const chroma = (y >> 1) * half + (x >> 1);
      const [l, b, r] = [1.16438 * (luma[y * width + x] - 16), cb[chroma] - 128, cr[chroma] - 128];
      image.data[at] = l + 1.79274 * r; // Clamped by the array itself.
      image.data[at + 1] = l - 0.21325 * b - 0.53291 * r;
      image.data[at + 2] = l + 2.1124 * b;
      image.data[at + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Play *bytes*; returns how many pictures were shown and how many of them late. */
export async function play(decoder, bytes, canvas, tell = () => {}) {
  let start = null;
  let shown = 0;
  let late = 0;
  for await (const { picture, seconds } of picturesOf(decoder, bytes)) {
    start ??= performance.now() - 1000 * seconds;
    const wait = start + 1000 * seconds - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    else if (wait < 0) {
      start -= wait; // Slower than real time: the clock waits for the pictures.
      late++;
    }
    draw(picture, canvas);
    tell(`${++shown} pictures, ${late} late`);
  }
  return { shown, late };
}

export { Decoder };
