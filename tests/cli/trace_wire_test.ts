// What trace sessions write, compared with the descriptions of its messages that the distribution's runsc has built in.
// https://protobuf.dev/reference/protobuf/google.protobuf (FileDescriptorProto)

import { deepEqual, equal, ok } from "node:assert/strict";
import { decodeMessage, type Schema } from "../../boot/protobuf.ts";
import { MESSAGE, type MessageType, SCHEMAS } from "../../boot/trace/messages.ts";

const NAMED = { name: [1, "string"], number: [3, "int32"] } as const;
const FILE: Schema = {
  name: [1, "string"],
  messages: [4, [{ name: [1, "string"], fields: [2, [NAMED]] }]],
  enums: [5, [{ name: [1, "string"], values: [2, [{ name: [1, "string"], number: [2, "int32"] }]] }]],
};
/** Fields of a FileDescriptorProto: all of them have a length. */
const FILE_FIELDS = [1, 2, 3, 4, 5, 6, 7, 8, 12];
const HAS_LENGTH = 2;

interface Described {
  readonly messages?: readonly { name: string; fields?: readonly { name: string; number: number }[] }[];
  readonly enums?: readonly { name: string; values: readonly { name: string; number?: number }[] }[];
}

/** Where the description that begins at `at` ends: where no field of one follows. */
function endOf(bytes: Uint8Array, at: number): number {
  for (;;) {
    if ((bytes[at] & 7) !== HAS_LENGTH || !FILE_FIELDS.includes(bytes[at] >> 3)) return at;
    let length = 0, shift = 0, next = at + 1;
    do length += (bytes[next] & 0x7f) * 2 ** shift, shift += 7; while (bytes[next++] >= 0x80);
    if (next + length > bytes.length) return at;
    at = next + length;
  }
}

function description(program: Uint8Array, text: string, file: string): Described {
  const path = `pkg/sentry/seccheck/points/${file}.proto`;
  const at = text.indexOf(`\n${String.fromCharCode(path.length)}${path}`);
  ok(at >= 0, `runsc knows no ${path}`);
  return decodeMessage(FILE, program.subarray(at, endOf(program, at))) as Described;
}

/** gVisor's names of our messages. */
const NAMES: Readonly<Record<MessageType, string>> = {
  [MESSAGE.CONTAINER_START]: "Start",
  [MESSAGE.SENTRY_CLONE]: "CloneInfo",
  [MESSAGE.SENTRY_EXEC]: "ExecveInfo",
  [MESSAGE.SENTRY_EXIT_NOTIFY_PARENT]: "ExitNotifyParentInfo",
  [MESSAGE.SENTRY_TASK_EXIT]: "TaskExit",
  [MESSAGE.SYSCALL_RAW]: "Syscall",
  [MESSAGE.SYSCALL_OPEN]: "Open",
  [MESSAGE.SYSCALL_CLOSE]: "Close",
  [MESSAGE.SYSCALL_READ]: "Read",
  [MESSAGE.SYSCALL_CONNECT]: "Connect",
  [MESSAGE.SYSCALL_EXECVE]: "Execve",
  [MESSAGE.SYSCALL_SOCKET]: "Socket",
  [MESSAGE.SYSCALL_CHDIR]: "Chdir",
};
/** Newer than the runsc that Debian has. */
const NEWER = ["parent_thread_group_id"];

Deno.test("trace: types and fields of messages have the numbers that runsc gives them", () => {
  const program = Deno.readFileSync("/usr/bin/runsc"), text = new TextDecoder("latin1").decode(program);
  const files = ["common", "container", "sentry", "syscall"].map((file) => description(program, text, file));
  const types = files[0].enums!.find(({ name }) => name === "MessageType")!.values;
  const numbers = new Map(types.map(({ name, number = 0 }) => [name, number]));
  for (const [name, number] of Object.entries(MESSAGE)) equal(numbers.get(`MESSAGE_${name}`), number, name);
  const messages = new Map(
    files.flatMap((file) => file.messages ?? []).map(({ name, fields = [] }) => [
      name,
      new Map(fields.map(({ name, number }) => [name, number])),
    ]),
  );
  const compare = (name: string, schema: Schema) => {
    const known = messages.get(name);
    ok(known !== undefined, name);
    for (const [field, [number, type]] of Object.entries(schema)) {
      if (!NEWER.includes(field)) deepEqual([name, field, number], [name, field, known.get(field)]);
      if (field === "context_data") compare("ContextData", type as Schema);
      if (field === "credentials") compare("Credentials", type as Schema);
      if (field === "exit") compare("Exit", type as Schema);
    }
  };
  for (const [type, name] of Object.entries(NAMES)) compare(name, SCHEMAS[Number(type) as MessageType]);
});
