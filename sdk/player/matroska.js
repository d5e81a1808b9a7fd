// The packets of the V_NARROWS track of a Matroska file (RFC 9559), as much of it as a player needs.

const SEGMENT = 0x18538067;
const INFO = 0x1549a966;
const TIMESTAMP_SCALE = 0x2ad7b1;
const TRACKS = 0x1654ae6b;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const CODEC_ID = 0x86;
const CLUSTER = 0x1f43b675;
const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;

function number(bytes, at, keepsMarker) {
  const length = Math.clz32(bytes[at]) - 23;
  let value = keepsMarker ? bytes[at] : bytes[at] & ((1 << (8 - length)) - 1);
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i];
  return [value, at + length];
}

function* elements(bytes, at, end) {
  while (at < end) {
    let id, size;
    [id, at] = number(bytes, at, true);
    [size, at] = number(bytes, at, false);
    const last = Math.min(at + size, end);
    yield { id, start: at, end: last, data: bytes.subarray(at, last) };
    at = last;
  }
}

const children = (bytes, parent) => elements(bytes, parent.start, parent.end);
const unsigned = (data) => data.reduce((value, byte) => value * 256 + byte, 0);

/** @param {Uint8Array} bytes @returns {{data: Uint8Array, seconds: number}[]} packets in coding order */
export function packetsOf(bytes) {
  const segment = [...elements(bytes, 0, bytes.length)].find((element) => element.id === SEGMENT);
  if (!segment) throw new Error("this is not a Matroska file");
  let scale = 1_000_000;
  let track = null;
  const packets = [];
  for (const element of children(bytes, segment)) {
    if (element.id === INFO) {
      for (const child of children(bytes, element)) if (child.id === TIMESTAMP_SCALE) scale = unsigned(child.data);
    } else if (element.id === TRACKS) {
      for (const entry of children(bytes, element)) if (entry.id === TRACK_ENTRY) track ??= narrowsTrack(bytes, entry);
    } else if (element.id === CLUSTER) {
      let start = 0;
      for (const child of children(bytes, element)) {
        if (child.id === TIMESTAMP) start = unsigned(child.data);
        const blocks = child.id === BLOCK_GROUP ? [...children(bytes, child)].filter((b) => b.id === BLOCK) : [child];
        for (const block of blocks) {
          if (block.id !== SIMPLE_BLOCK && block.id !== BLOCK) continue;
          const [of, at] = number(bytes, block.start, false);
          if (of !== track) continue;
          const later = new DataView(bytes.buffer, bytes.byteOffset + at).getInt16(0);
          packets.push({ data: bytes.slice(at + 3, block.end), seconds: ((start + later) * scale) / 1e9 });
        }
      }
    }
  }
  if (track === null) throw new Error("this Matroska file has no track coded with Narrows");
  return packets;
}

function narrowsTrack(bytes, entry) {
  const found = Object.fromEntries([...children(bytes, entry)].map((child) => [child.id, child.data]));
  return String.fromCharCode(...found[CODEC_ID]) === "V_NARROWS" ? unsigned(found[TRACK_NUMBER]) : null;
}
