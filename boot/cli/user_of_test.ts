import { deepEqual, throws } from "node:assert/strict";
import { userOf } from "./user_of.ts";

Deno.test("userOf() finds names and numbers, a user's own group and its others", () => {
  const root = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${root}/etc`);
    Deno.writeTextFileSync(
      `${root}/etc/passwd`,
      "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:\n",
    );
    Deno.writeTextFileSync(
      `${root}/etc/group`,
      "root:x:0:\nusers:x:100:\ndisk:x:6:bob,ann\nplay:x:7:annette\n",
    );
    const rows: [string, number, number, number[]][] = [
      ["ann", 1000, 100, [6]],
      ["1000", 1000, 100, [6]],
      ["ann:root", 1000, 0, []],
      ["ann:42", 1000, 42, []],
      ["77", 77, 77, []],
      ["0", 0, 0, []],
    ];
    for (const [text, uid, gid, additionalGids] of rows) {
      deepEqual(userOf(text, root), { uid, gid, additionalGids }, text);
    }
    const wrong: [string, RegExp][] = [
      ["bob", /there is no user "bob"/],
      ["ann:none", /there is no group "none"/],
      ["", /is not USER or USER:GROUP/],
      ["ann:", /is not USER or USER:GROUP/],
      ["a:b:c", /is not USER or USER:GROUP/],
      ["4294967295", /there is no user/],
    ];
    for (const [text, message] of wrong) throws(() => userOf(text, root), message, text);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
