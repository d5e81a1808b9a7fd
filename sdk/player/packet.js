// The bytes of a packet: docs/reference/bitstream.md, "Packet".

const HEADER_BYTES = 30;
const INTRA = 0x49;
const INTER = 0x50;
const VISUAL = 0x20;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (ISO-HDLC) of *bytes*, continued from *seed*. */
export function crc32(bytes, seed = 0) {
  let crc = ~seed;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** @param {DataView} view of a header; what it says of the pictures */
export function parseHeader(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, HEADER_BYTES);
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== "NRWS") throw new Error("this is not a Narrows stream");
  if (view.getUint32(26) !== crc32(bytes.subarray(0, 26))) throw new Error("the stream header fails its CRC");
  if (bytes[4] !== 0) throw new Error(`the stream has version ${bytes[4]}; this player decodes version 0`);
  return {
    width: view.getUint16(6),
    height: view.getUint16(8),
    modelId: Array.from(bytes.subarray(10, 26), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  };
}

/** *bytes* as a packet; *crcOf* gives the CRC of the frame at a position. */
export function parsePacket(bytes, crcOf) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = bytes[0] & ~VISUAL;
  if (type !== INTRA && type !== INTER) throw new Error("unknown frame type");
  const position = view.getUint16(2);
  const packet = { isKey: type === INTRA, visual: bytes[0] & VISUAL ? 1 : 0, quality: bytes[1], position };
  let at = 4;
  let seed = 0;
  if (packet.isKey) {
    packet.header = parseHeader(new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES));
    at += HEADER_BYTES;
  } else {
    const first = position - bytes[4];
    packet.references = [first, bytes[5] ? position + bytes[5] : first];
    at += 2;
    const second = new Uint8Array(4);
    new DataView(second.buffer).setUint32(0, crcOf(packet.references[1]));
    seed = crc32(second, crcOf(first));
  }
  const end = bytes.length - 4;
  packet.crc = view.getUint32(end);
  if (crc32(bytes.subarray(0, end), seed) !== packet.crc) throw new Error("the packet fails its CRC");
  packet.streams = [];
  if (!packet.isKey) {
    let length = 0;
    let shift = 0;
    do length += (bytes[at] & 0x7f) * 2 ** (7 * shift++);
    while (bytes[at++] & 0x80);
    packet.streams.push(bytes.subarray(at, at + length));
    at += length;
  }
  packet.streams.push(bytes.subarray(at, end));
  return packet;
}
