// The range decoder of a stream, and symbols grouped by scale index: docs/reference/bitstream.md, "Symbols".
//
// A 64-bit state in BigInt: exact, and quick enough for small pictures.

const PRECISION = 24n;
const TOTAL = 1 << 24;
const WORD = 32n;
const ALL_ONES = (1n << 64n) - 1n;

export class CorruptStream extends Error {}

export class RangeDecoder {
  /** @param {Uint8Array} bytes little-endian words whose last zero bytes may be missing */
  constructor(bytes) {
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    this.words = new Uint32Array(padded.buffer);
    this.at = 0;
    this.range = ALL_ONES;
    this.offset = (this.word() << WORD) | this.word(); // The point in the range, from its lower end.
  }

  word() {
    return this.at < this.words.length ? BigInt(this.words[this.at++]) : 0n;
  }

  /** Where the next symbol lies among 2²⁴; `take` what holds it. */
  quantile() {
    this.scale = this.range >> PRECISION;
    const found = this.offset / this.scale;
    if (found >= BigInt(TOTAL)) throw new CorruptStream("the entropy-coded symbols are impossible");
    return Number(found);
  }

  take(left, probability) {
    this.offset -= this.scale * BigInt(left);
    this.range = this.scale * BigInt(probability);
    if (this.range < 1n << WORD) {
      this.range <<= WORD;
      this.offset = (this.offset << WORD) | this.word();
    }
  }

  /** A symbol of the table whose symbols begin at *cumulative*; its last entry is 2²⁴. */
  symbol(cumulative) {
    const quantile = this.quantile();
    let low = 0;
    let high = cumulative.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] <= quantile) low = middle;
      else high = middle;
    }
    this.take(cumulative[low], cumulative[low + 1] - cumulative[low]);
    return low;
  }

  /** One of *count* equally probable symbols. */
  uniform(count) {
    const each = Math.floor(TOTAL / count);
    const symbol = Math.min(Math.floor(this.quantile() / each), count - 1);
    this.take(symbol * each, symbol === count - 1 ? TOTAL - symbol * each : each);
    return symbol;
  }
}

export class SymbolReader {
  /** @param {number[][]} tables cumulative @param {Uint8Array} bytes @param {number} excessBitsMax */
  constructor(tables, bytes, excessBitsMax) {
    this.tables = tables;
    this.excessBitsMax = excessBitsMax;
    this.decoder = new RangeDecoder(bytes);
  }

  /** Symbols with one of *scales* each; where *mask* is zero there are none. */
  read(scales, mask) {
    const groups = Array.from(this.tables, () => []);
    for (let place = 0; place < scales.length; place++) if (!mask || mask[place]) groups[scales[place]].push(place);
    const symbols = new Float32Array(scales.length);
    groups.forEach((places, index) => this.readGroup(places, this.tables[index], symbols));
    return symbols;
  }

  readGroup(places, cumulative, symbols) {
    const reach = (cumulative.length - 2) / 2;
    const far = [];
    for (const place of places) {
      symbols[place] = this.decoder.symbol(cumulative) - reach;
      if (Math.abs(symbols[place]) === reach) far.push(place);
    }
    const bits = far.map(() => this.decoder.uniform(this.excessBitsMax) + 1);
    const excess = far.map(() => 1);
    for (let size = 2; size <= this.excessBitsMax; size++) {
      bits.forEach((count, i) => {
        if (count === size) excess[i] = this.decoder.uniform(2 ** (size - 1)) + 2 ** (size - 1);
      });
    }
    far.forEach((place, i) => (symbols[place] += Math.sign(symbols[place]) * (excess[i] - 1)));
  }
}
