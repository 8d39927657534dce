// Protocol Buffers by tables: a message is an object, its schema says number and type of each field. The npm package pbf writes
// and reads the bytes, behind this file alone. https://protobuf.dev/programming-guides/encoding

import Pbf from "pbf";

/** Whole numbers beyond 2^53 lose their low bits. */
export type SingleType = "int32" | "int64" | "uint32" | "uint64" | "bool" | "string" | "bytes" | Schema;
/** One, any number, or map<string, string>. */
export type FieldType = SingleType | readonly [SingleType] | "map";

/** Fields by name. */
export interface Schema {
  readonly [field: string]: readonly [number: number, type: FieldType];
}

export type Message = Readonly<Record<string, unknown>>;

/** The bytes of `message`; a field that is undefined, or zero as proto3 has it, is left out. */
export function encodeMessage(schema: Schema, message: Message): Uint8Array<ArrayBuffer> {
  const pbf = new Pbf();
  writeFields(pbf, schema, message);
  return Uint8Array.from(pbf.finish());
}

function writeFields(pbf: Pbf, schema: Schema, message: Message): void {
  for (const [name, [number, type]] of Object.entries(schema)) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    if (Array.isArray(type)) {
      for (const one of value as readonly unknown[]) writeField(pbf, number, type[0], one);
    } else if (type === "map") {
      for (const [key, text] of Object.entries(value)) writeField(pbf, number, ENTRY, { key, value: text });
    } else if (value !== 0 && value !== false && value !== "") {
      writeField(pbf, number, type as SingleType, value);
    }
  }
}

const ENTRY: Schema = { key: [1, "string"], value: [2, "string"] };

function writeField(pbf: Pbf, number: number, type: SingleType, value: unknown): void {
  switch (type) {
    case "string":
      return pbf.writeStringField(number, value as string);
    case "bytes":
      return pbf.writeBytesField(number, value as Uint8Array);
    case "bool":
      return pbf.writeBooleanField(number, value as boolean);
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
      return pbf.writeVarintField(number, value as number);
    default:
      pbf.writeMessage(number, (one, to) => writeFields(to!, type as Schema, one as Message), value);
  }
}

/** The message in `bytes`; fields that the schema does not have are passed over. Throws where the bytes are none. */
export function decodeMessage(schema: Schema, bytes: Uint8Array): Record<string, unknown> {
  return readMessage(new Pbf(bytes), schema);
}

function readMessage(pbf: Pbf, schema: Schema, end?: number): Record<string, unknown> {
  const names = new Map(Object.entries(schema).map(([name, [number, type]]) => [number, { name, type }]));
  return pbf.readFields<Record<string, unknown>>(
    (number, into) => {
      const field = names.get(number);
      if (field === undefined) return;
      const { name, type } = field;
      if (Array.isArray(type)) ((into![name] ??= []) as unknown[]).push(readField(pbf, type[0]));
      else if (type === "map") {
        const { key = "", value = "" } = readField(pbf, ENTRY) as Record<string, string>;
        ((into![name] ??= {}) as Record<string, string>)[key] = value;
      } else into![name] = readField(pbf, type as SingleType);
    },
    {},
    end,
  );
}

function readField(pbf: Pbf, type: SingleType): unknown {
  switch (type) {
    case "string":
      return pbf.readString();
    case "bytes":
      return Uint8Array.from(pbf.readBytes());
    case "bool":
      return pbf.readBoolean();
    case "int32":
    case "int64":
      return pbf.readVarint(true);
    case "uint32":
    case "uint64":
      return pbf.readVarint();
    default:
      return readMessage(pbf, type as Schema, pbf.readVarint() + pbf.pos);
  }
}
