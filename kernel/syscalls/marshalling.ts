// Computes from the table's argument kinds what the platform may copy in before a call.

import {
  bufferItem,
  fixedItem,
  frameItem,
  iovecItem,
  messageItem,
  newMarshalTable,
  setMarshalItems,
  stringItem,
  stringsItem,
} from "../../platform/systrap/marshalling.ts";
import type { ArgKind, SyscallSpec } from "./table.ts";
import type { SyscallTable } from "./dispatch.ts";

/** The prefetch table for Platform.setMarshalling. */
export function marshallingOf(table: SyscallTable): Uint32Array {
  const result = newMarshalTable();
  for (let number = 0; number < table.specs.length; number++) {
    const named = table.specs[number];
    if (named !== null && named.spec.support.level !== "none") {
      setMarshalItems(result, number, itemsOf(named.spec));
    }
  }
  return result;
}

function itemsOf(spec: SyscallSpec): number[] {
  const names = Object.keys(spec.args);
  const items: number[] = spec.frameBytes === undefined ? [] : [frameItem(spec.frameBytes)];
  for (let i = 0; i < names.length; i++) {
    const item = itemOf(spec.args[names[i]], i, names);
    if (item !== 0) items.push(item);
  }
  return items;
}

function itemOf(kind: ArgKind, argument: number, names: readonly string[]): number {
  if (kind === "path" || kind === "string") return stringItem(argument);
  if (kind === "strings") return stringsItem(argument);
  if (typeof kind === "string") return 0;
  if ("in" in kind) return fixedItem(argument, kind.in);
  if ("ahead" in kind) return fixedItem(argument, kind.ahead);
  if ("inOut" in kind) return fixedItem(argument, kind.inOut);
  if ("inBuffer" in kind) return bufferItem(argument, argumentIndex(names, kind.inBuffer), kind.unit ?? 1);
  if ("message" in kind) return messageItem(argument, kind.message === "in");
  if ("inIovec" in kind) return iovecItem(argument, argumentIndex(names, kind.inIovec), true);
  return 0;
}

function argumentIndex(names: readonly string[], name: string): number {
  const index = names.indexOf(name);
  if (index < 0) throw new Error(`No argument ${name} among ${names.join(", ")}`);
  return index;
}
