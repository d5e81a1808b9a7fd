// Packets to pictures: the pieces of the decoder (`narrows export onnx`) put together as bitstream.md says.

import { parsePacket } from "./packet.js";
import { SymbolReader } from "./range_decoder.js";

const CUMULATIVE_TOTAL = 1 << 24;

/** To the nearest integer, halves to even ones, as the reference decoder rounds. */
function rounded(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** Where each symbol of a table begins among 2²⁴, and where the last one ends. */
function cumulative(frequencies, total) {
  const starts = [];
  let sum = 0;
  frequencies.forEach((frequency, index) => {
    // Every symbol has one of the 2²⁴ for itself; the rest is shared. 44 bits: exact in a double.
    starts.push(Math.floor((sum * (CUMULATIVE_TOTAL - frequencies.length)) / total) + index);
    sum += frequency;
  });
  return [...starts, CUMULATIVE_TOTAL];
}

export class Decoder {
  /** @param ort onnxruntime-web @param {string} models the address of what `narrows export onnx` wrote */
  static async load(ort, models) {
    const response = await fetch(`${models}/narrows.json`);
    if (!response.ok) throw new Error(`no decoder at ${models}`);
    const decoder = new Decoder();
    decoder.ort = ort;
    decoder.manifest = await response.json();
    decoder.tables = decoder.manifest.tables.map((table) => cumulative(table, decoder.manifest.table_total));
    decoder.sessions = {};
    for (const name of Object.keys(decoder.manifest.pieces)) {
      decoder.sessions[name] = await ort.InferenceSession.create(`${models}/${name}.onnx`, {
        executionProviders: ["wasm"],
      });
    }
    return decoder;
  }

  constructor() {
    this.kept = new Map();
    this.hidden = new Map();
    this.masks = new Map();
    this.shown = 0;
    this.order = 0;
  }

  /** Decode one packet; the pictures that can be shown now. */
  async decode(bytes) {
    const packet = parsePacket(bytes, (position) => {
      if (!this.kept.has(position)) throw new Error("an inter frame without the frames it predicts from");
      return this.kept.get(position).crc;
    });
    if (packet.isKey) {
      if (packet.header.modelId !== this.manifest.model_id)
        throw new Error(`the stream was made with weights ${packet.header.modelId}, not these`);
      this.header = packet.header;
      this.kept.clear();
      this.shown = 0;
    } else if (packet.references[0] === packet.references[1]) {
      for (const position of [...this.kept.keys()]) if (position < packet.references[0]) this.kept.delete(position);
    }
    const frame = packet.isKey ? await this.intra(packet) : await this.inter(packet);
    Object.assign(frame, { position: packet.position, order: this.order++, crc: packet.crc, quality: packet.quality });
    this.kept.set(packet.position, frame);
    this.hidden.set(packet.position, this.picture(frame));
    const pictures = [];
    while (this.hidden.has(this.shown)) {
      pictures.push(this.hidden.get(this.shown));
      this.hidden.delete(this.shown++);
    }
    return pictures;
  }

  get size() {
    const { picture_multiple: multiple } = this.manifest;
    return [Math.ceil(this.header.height / multiple), Math.ceil(this.header.width / multiple)];
  }

  tensor(data, dims) {
    return new this.ort.Tensor("float32", data, dims);
  }

  async run(piece, inputs) {
    const session = this.sessions[piece];
    const feeds = Object.fromEntries(Object.entries(inputs).filter(([name]) => session.inputNames.includes(name)));
    const outputs = await session.run(feeds);
    return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name.slice(0, -"_out".length), value]));
  }

  async intra(packet) {
    const condition = this.tensor(Float32Array.of(packet.quality, packet.visual, 0, 0, 0), [1, 5, 1, 1]);
    const [height, width] = this.size;
    const size = this.tensor(new Float32Array(height * width), [1, 1, height, width]);
    const { values, symbols } = await this.latents("intra", packet.streams[0], condition, { size });
    const { luma, chroma } = await this.run("intra_synthesis", { values, condition });
    const { features } = await this.run("adoption", { luma, chroma, condition });
    const kin = symbols.slice(0, this.manifest.kin_latents * height * width);
    return { luma, chroma, features, velocity: null, symbols: kin, motionSymbols: null };
  }

  async inter(packet) {
    const [first, second] = packet.references.map((position) => this.kept.get(position));
    const kin = second.order > first.order ? second : first;
    const offsets = packet.references.map((position) => position - packet.position);
    const told = [
      packet.quality,
      packet.visual,
      Math.min(...offsets.map(Math.abs)),
      first === second ? 0 : 1,
      kin.quality,
    ];
    const condition = this.tensor(Float32Array.from(told), [1, 5, 1, 1]);
    const [height, width] = this.size;

    const channels = this.manifest.pieces.motion_second.inputs.symbols.width;
    const before = kin.motionSymbols ?? new Float32Array(channels * height * width);
    const moved = await this.latents("motion", packet.streams[0], condition, {
      kin: this.tensor(before, [1, channels, height, width]),
    });
    const references = first === second ? [first] : [first, second];
    const motion = await this.run("motion_synthesis", {
      values: moved.values,
      forecast: this.forecast(references, offsets[0]),
      other_forecast: this.forecast(references, offsets[1]),
      condition,
    });
    const fetched = [];
    for (const [reference, flow] of [
      [first, motion.flow],
      [second, motion.other_flow],
    ]) {
      const { luma, chroma, features } = reference;
      fetched.push(await this.run("fetch", { luma, chroma, features, flow, condition }));
    }
    const [one, other] = fetched;
    const { planes, context, context16 } = await this.run("blend", {
      luma: one.luma,
      chroma: one.chroma,
      features: one.features,
      other_luma: other.luma,
      other_chroma: other.chroma,
      other_features: other.features,
      blend_mask: motion.blend_mask,
      motion_features: motion.motion_features,
      condition,
    });
    const { values, symbols } = await this.latents("inter", packet.streams[1], condition, {
      context: context16,
      kin: this.tensor(kin.symbols, [1, this.manifest.kin_latents, height, width]),
    });
    const frame = await this.run("inter_synthesis", { values, planes, context, condition });
    const velocity = this.velocity(motion.flow, motion.other_flow, offsets);
    return { ...frame, velocity, symbols, motionSymbols: moved.symbols };
  }

  /** Hyper-latents and both passes of an entropy model: decoded values, and symbols. */
  async latents(name, stream, condition, inputs) {
    const [height, width] = this.size;
    const reader = new SymbolReader(this.tables, stream, this.manifest.excess_bits_max);
    const hyperSize = [height, width].map((side) => Math.ceil(side / this.manifest.hyper_multiple));
    const { scales: each } = await this.run(`${name}_hyper`, { condition });
    const area = hyperSize[0] * hyperSize[1];
    const hyperScales = Uint8Array.from({ length: each.data.length * area }, (_, i) => each.data[Math.floor(i / area)]);
    const hyper = this.tensor(reader.read(hyperScales, null), [1, each.data.length, ...hyperSize]);

    const first = await this.run(`${name}_first`, { hyper, condition, ...inputs });
    const dims = first.scales.dims;
    const [mask, rest] = this.passes(dims[1], height, width);
    const begun = reader.read(first.scales.data, mask);
    const second = await this.run(`${name}_second`, {
      fused: first.fused,
      features: first.features,
      mean: first.mean,
      step: first.step,
      symbols: this.tensor(begun, dims),
      mask: this.tensor(mask, dims),
      condition,
    });
    const symbols = reader.read(second.scales.data, rest);
    for (let i = 0; i < symbols.length; i++) symbols[i] += begun[i];
    const [means, steps] = [second.means.data, first.step.data];
    const values = symbols.map((symbol, i) => means[i] + symbol * steps[steps.length === 1 ? 0 : i]);
    return { values: this.tensor(values, dims), symbols };
  }

  /** Ones where the first pass codes, and where the second does. */
  passes(channels, height, width) {
    const key = `${channels}×${height}×${width}`;
    if (!this.masks.has(key)) {
      const run = Math.min(channels / 2, this.manifest.mask_run);
      const first = new Float32Array(channels * height * width);
      for (let i = 0; i < first.length; i++) {
        const channel = Math.floor(i / (height * width));
        const odd = (Math.floor((i % (height * width)) / width) + (i % width)) % 2;
        first[i] = Math.floor(channel / run) % 2 ? 1 - odd : odd;
      }
      this.masks.set(key, [first, first.map((one) => 1 - one)]);
    }
    return this.masks.get(key);
  }

  /** The flow that the references' own motion suggests over *frames*. */
  forecast(references, frames) {
    const [height, width] = this.size.map((side) => side * 2); // A vector for each block of 8×8.
    const known = references.map((reference) => reference.velocity).filter(Boolean);
    const flow = new Float32Array(2 * height * width);
    if (known.length) {
      for (let i = 0; i < flow.length; i++) {
        flow[i] = Math.fround(known.reduce((sum, velocity) => sum + velocity[i], 0) / known.length) * frames;
      }
    }
    return this.tensor(flow, [1, 2, height, width]);
  }

  velocity(flow, otherFlow, offsets) {
    const unit = this.manifest.velocity_unit;
    return flow.data.map((x, i) => {
      const mean = Math.fround(Math.fround(x / offsets[0]) + Math.fround(otherFlow.data[i] / offsets[1])) / 2;
      return rounded(mean * unit) / unit;
    });
  }

  /** 8-bit planes, cut to size. */
  picture({ luma, chroma }) {
    const { width, height } = this.header;
    const half = [Math.ceil(width / 2), Math.ceil(height / 2)];
    const cut = (tensor, channel, columns, rows) => {
      const [, , allRows, allColumns] = tensor.dims;
      const plane = new Uint8Array(columns * rows);
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const sample = tensor.data[(channel * allRows + y) * allColumns + x];
          plane[y * columns + x] = Math.min(255, Math.max(0, rounded(Math.fround(Math.fround(sample + 0.5) * 255))));
        }
      }
      return plane;
    };
    return { width, height, luma: cut(luma, 0, width, height), cb: cut(chroma, 0, ...half), cr: cut(chroma, 1, ...half) };
  }
}
