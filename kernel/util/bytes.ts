// Byte strings: how paths, names and other guest text travel. Each UTF-16 unit holds one byte, so any bytes survive and
// equal bytes are equal strings. Host text (OCI config, messages) is converted at the door.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** From here on a view and a call of the runtime cost less than byte by byte: a tenth where all is ASCII, else a third. */
const LONG_TEXT_BYTES = 512;
/** Arguments of one call of fromCharCode. */
const UNITS_MAX = 4096;

/** Decodes `length` bytes at `at` into a byte string. */
export function bytesToLatin1(bytes: Uint8Array, at: number, length: number): string {
  if (length >= LONG_TEXT_BYTES) return longText(bytes, at, length);
  let text = "";
  const end = at + length;
  // fromCharCode with 8 units a call builds flat strings several times faster than one by one.
  for (; at + 8 <= end; at += 8) {
    text += String.fromCharCode(
      bytes[at],
      bytes[at + 1],
      bytes[at + 2],
      bytes[at + 3],
      bytes[at + 4],
      bytes[at + 5],
      bytes[at + 6],
      bytes[at + 7],
    );
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at]);
  return text;
}

function longText(bytes: Uint8Array, at: number, length: number): string {
  const end = at + length;
  if (isAscii(bytes, at, end)) return decoder.decode(bytes.subarray(at, end));
  let text = "";
  for (; at < end; at += UNITS_MAX) {
    const units: ArrayLike<number> = bytes.subarray(at, Math.min(end, at + UNITS_MAX));
    text += String.fromCharCode.apply(null, units as number[]);
  }
  return text;
}

function isAscii(bytes: Uint8Array, at: number, end: number): boolean {
  for (; at < end; at++) {
    if (bytes[at] > 0x7f) return false;
  }
  return true;
}

/** Writes a byte string at `at`; gives back its length. Units above 255 are a bug of the caller and are cut to a byte. */
export function putLatin1(bytes: Uint8Array, at: number, text: string): number {
  if (text.length >= LONG_TEXT_BYTES) {
    // As many bytes as units: all of them are ASCII.
    const { read } = encoder.encodeInto(text, bytes.subarray(at, at + text.length));
    if (read === text.length) return read;
  }
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  return text.length;
}

/** A new array with the bytes of a byte string. */
export function latin1ToBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  putLatin1(bytes, 0, text);
  return bytes;
}

/** Host text to the byte string of its UTF-8 form. */
export function utf8ToByteString(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) {
      const bytes = encoder.encode(text);
      return bytesToLatin1(bytes, 0, bytes.length);
    }
  }
  return text;
}

/** Byte string to host text; bytes that are not UTF-8 become U+FFFD. */
export function byteStringToUtf8(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return decoder.decode(latin1ToBytes(text));
  }
  return text;
}

/** Below this many bytes a loop beats Uint8Array.set with its subarray. */
const LOOP_COPY_MAX = 48;

/** Copies between byte arrays; allocates nothing for short lengths. The ranges must not overlap in one array. */
export function copyBytes(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  if (length <= LOOP_COPY_MAX) {
    for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i];
  } else {
    to.set(from.subarray(fromAt, fromAt + length), toAt);
  }
}
