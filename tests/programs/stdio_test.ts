// Standard input and output, as pipes and files of the host: what a program sees of them, and what opens by their names.

import { equal, match } from "node:assert/strict";
import { command, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

/** Runs `script` by sh in a sandbox, below a shell of the host that redirects by `redirection`. */
async function redirected(script: string, redirection: string, stdin?: string) {
  const argv = [`"$0" do -- sh -c '${script}' ${redirection}`, await tsvisorPath()];
  return await command(["sh", "-c", ...argv], { stdin });
}

Deno.test("pipes of the host open by /dev/stdin, /dev/stdout and /dev/stderr", async () => {
  const script = "cat /dev/stdin; echo out > /dev/stdout; echo err >> /dev/stderr; readlink /proc/self/fd/1";
  const { stdout, stderr } = await tsvisor(["do", "--", "sh", "-c", script], { stdin: "in\n" });
  match(stdout, /^in\nout\npipe:\[\d+\]\n$/);
  equal(stderr, "err\n");
});

Deno.test("files of the host open with a position of their own", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    const file = `${directory}/file`;
    const script = "echo 12345678; echo a > /dev/stdout; echo b; echo c >> /dev/stdout";
    const out = await redirected(script, `> ${file}`);
    equal(out.stderr, "");
    equal(Deno.readTextFileSync(file), "a\n\0\0\0\0\0\0\0b\nc\n");
    const both = await redirected(
      "head -c 1 > /dev/null; cat /dev/stdin; dd bs=1 count=1 status=none",
      `< ${file}`,
    );
    equal(both.stdout, "a\n\0\0\0\0\0\0\0b\nc\n\n");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a file of the host as input is sought in, backwards too", async () => {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(file, "one\ntwo\nthree\n");
    // The shell reads ahead and seeks back; tail seeks from the end.
    const script = 'bash -c "read line; tail -c 6; tail -c 4 /dev/stdin"';
    const { code, stdout, stderr } = await redirected(script, `< ${file}`);
    equal(stdout, "three\nree\n");
    equal(stderr, "");
    equal(code, 0);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("what was given for reading does not open for writing", async () => {
  const { stderr } = await redirected("echo x > /dev/stdin", "< /etc/passwd");
  match(stderr, /Permission denied|cannot create/);
});

Deno.test("/dev/null of the host is empty by each way", async () => {
  const { stdout } = await redirected(
    "cat; cat /dev/stdin; cat < /dev/fd/0; readlink /proc/self/fd/0",
    "< /dev/null",
  );
  equal(stdout, "/dev/null\n");
});
