// podman drives tsvisor: the real one of the distribution. TSVISOR_REPEATS=N repeats lives more often.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { exists } from "../support/life.ts";
import { IMAGE, Podman, RUN } from "../support/podman.ts";
import { command, delay } from "../support/tsvisor.ts";

/** Lives one after the other, and at once. */
const REPEATS = Number(Deno.env.get("TSVISOR_REPEATS") ?? 2);
const AT_ONCE = 8;
const SH = [IMAGE, "/bin/sh", "-c"];
/** Says that it runs, and ends with 5 when it is asked to. */
const SERVICE = "echo begins; trap 'echo ends; exit 5' TERM; while :; do sleep 0.1; done";

Deno.test("podman: run, exec, logs, ps, pause, stop, rm", async (test) => {
  await using podman = new Podman();
  await podman.makeImage();
  await test.step("run --rm gives output and status", async () => {
    const { code, stdout, stderr } = await podman.call(
      ["run", "--rm", ...RUN, ...SH, "echo out; echo err >&2; exit 42"],
    );
    deepEqual([code, stdout, stderr], [42, "out\n", "err\n"]);
  });
  await test.step("a program that is missing is reported as podman does for runc", async () => {
    const { code, stderr } = await podman.call(["run", "--rm", ...RUN, IMAGE, "nothing"]);
    equal(code, 127);
    match(stderr, /executable file not found in \$PATH/);
  });
  await test.step("stdin, user, read-only root, volume", async () => {
    // An ordinary user inside gets there.
    const shared = `${podman.directory}/shared`;
    Deno.mkdirSync(shared);
    Deno.writeTextFileSync(`${shared}/file`, "shared\n");
    const { code, stdout } = await podman.call([
      ...[
        "run",
        "--rm",
        "-i",
        ...RUN,
        "--memory",
        "128m",
        "--pids-limit",
        "50",
        "--user",
        "1000",
        "--read-only",
        "-v",
        `${shared}:/mnt:ro`,
        ...SH,
      ],
      "id -u; cat; cat /mnt/file; echo x >/bin/x || echo refused; touch /tmp/y && echo fine",
    ], { stdin: "typed\n" });
    deepEqual([code, stdout], [0, "1000\ntyped\nshared\nrefused\nfine\n"]);
  });
  await test.step("in the background", async () => {
    await podman.must("run", "-d", "--name", "one", ...RUN, ...SH, SERVICE);
    equal(await podman.must("exec", "one", "/bin/echo", "inside"), "inside\n");
    equal((await podman.call(["exec", "one", "/bin/sh", "-c", "exit 9"])).code, 9);
    equal((await podman.call(["exec", "one", "nothing"])).code, 127);
    const fed = await podman.call(["exec", "-i", "one", "/bin/cat"], { stdin: "fed" });
    deepEqual([fed.code, fed.stdout], [0, "fed"]);
    match(await podman.must("exec", "one", "/bin/busybox", "ps"), /\n +1 root .* \/bin\/sh -c echo begins/);
    equal(await podman.status("one"), "running 0");
    await podman.must("pause", "one");
    equal(await podman.status("one"), "paused 0");
    await podman.must("unpause", "one");
    await podman.must("stop", "one");
    equal(await podman.status("one"), "exited 5");
    equal(await podman.logs("one", "ends"), "begins\nends\n");
    await podman.must("start", "one");
    equal(await podman.status("one"), "running 0");
    await podman.must("restart", "one");
    equal(await podman.status("one"), "running 0");
    await podman.must("kill", "--signal", "KILL", "one");
    await podman.must("wait", "one");
    equal(await podman.status("one"), "exited 137");
    await podman.must("rm", "--force", "--time", "0", "one");
    equal(await podman.must("ps", "-aq"), "");
  });
  await test.step("nothing is left", async () => deepEqual(await podman.traces(), []));
});

/** A line for the shell that says `word` once the terminal has that size. */
function untilSize(size: string, word: string): string {
  return `while test "$(/bin/busybox stty size)" != '${size}'; do sleep 0.1; done; echo ${word} seen $((1 + 1))\n`;
}

Deno.test("podman: a terminal of run and of exec, its size, its status", async () => {
  await using podman = new Podman();
  await podman.makeImage();
  const talk = async (args: readonly string[]) => {
    const { status } = await podman.drive(args, [
      ["send", "test -t 0 && test -t 1 && echo is $((6 * 7))\n"],
      ["expect", "is 42"],
      // podman sets the size once it is attached, and again when its own changes: neither waits for the program.
      ["send", untilSize("30 100", "first")],
      ["expect", "first seen 2"],
      ["resize", 20, 70],
      ["send", untilSize("20 70", "then")],
      ["expect", "then seen 2"],
      ["send", "exit 6\n"],
    ]);
    equal(status, 6);
  };
  await talk(["run", "--rm", "-it", ...RUN, IMAGE, "/bin/sh"]);
  await podman.must("run", "-d", "--name", "one", ...RUN, ...SH, SERVICE);
  await talk(["exec", "-it", "one", "/bin/sh"]);
  await podman.must("rm", "--force", "--time", "0", "one");
  deepEqual(await podman.traces(), []);
});

Deno.test("podman: a pod of two, each in a sandbox of its own", async () => {
  await using podman = new Podman();
  await podman.makeImage();
  // Without the container that only holds namespaces, of which sandboxes share none.
  await podman.must("pod", "create", "--name", "pod", "--infra=false");
  for (const name of ["one", "two"]) {
    await podman.must("run", "-d", "--pod", "pod", "--name", name, ...RUN, ...SH, SERVICE);
  }
  match(await podman.must("pod", "ps"), /Running/);
  equal(await podman.must("exec", "two", "/bin/echo", "inside"), "inside\n");
  await podman.must("pod", "stop", "pod");
  deepEqual([await podman.status("one"), await podman.status("two")], ["exited 5", "exited 5"]);
  await podman.must("pod", "start", "pod");
  equal(await podman.status("one"), "running 0");
  await podman.must("pod", "rm", "--force", "--time", "0", "pod");
  equal(await podman.must("ps", "-aq"), "");
  deepEqual(await podman.traces(), []);
});

Deno.test(`podman: ${REPEATS} lives in a row, and ${AT_ONCE} at once`, async () => {
  await using podman = new Podman();
  await podman.makeImage();
  const live = async (name: string) => {
    await podman.must("run", "-d", "--name", name, ...RUN, ...SH, SERVICE);
    equal(await podman.must("exec", name, "/bin/echo", "inside"), "inside\n");
    ok((await podman.logs(name, "begins")).includes("begins"));
    await podman.must("stop", "--time", "60", name);
    equal(await podman.status(name), "exited 5");
    await podman.must("rm", name);
    const { code, stderr } = await podman.call(["run", "--rm", ...RUN, ...SH, "exit 3"]);
    deepEqual([code, stderr], [3, ""]);
  };
  for (let n = 0; n < REPEATS; n++) await live(`row-${n}`);
  await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => live(`once-${n}`)));
  equal(await podman.must("ps", "-aq"), "");
  deepEqual(await podman.traces(), []);
});

/** Tries of a published port, half a second apart. */
const TRIES_MAX = 120;

/**
 * What a client gets from port 18080, published of a container on podman's default bridge, by its address and by loopback. All
 * of it is in a network namespace of the test's, with which bridge, ports and rules go.
 */
async function published(podman: Podman, namespace: string): Promise<string> {
  // `ip netns exec` has mounts of its own each time: podman's second could not unmount the namespace that its first has made.
  const within = ["nsenter", `--net=/run/netns/${namespace}`];
  const script = "echo hello >/tmp/page; cd /tmp; exec busybox httpd -f -p 80";
  const run = [
    "run",
    "-d",
    "--name",
    "web",
    "-p",
    "18080:80",
    ...RUN.slice(2),
    IMAGE,
    "/bin/sh",
    "-c",
    script,
  ];
  const started = await podman.call(run, {}, within);
  if (started.code !== 0) return started.stderr;
  let said = "";
  for (const address of ["127.0.0.1", "10.88.0.1"]) {
    const ask = ["curl", "-s", "-m", "5", `http://${address}:18080/page`];
    let page = await command([...within, ...ask]);
    for (let i = 0; i < TRIES_MAX && page.code !== 0; i++) {
      await delay(500);
      page = await command([...within, ...ask]);
    }
    said += page.stdout;
  }
  const place = await podman.call(
    ["inspect", "web", "--format", "{{.NetworkSettings.SandboxKey}}"],
    {},
    within,
  );
  match(place.stdout, /^\/run\/netns\/netns-/);
  await podman.call(["rm", "--force", "--time", "0", "web"], {}, within);
  equal(await exists(place.stdout.trim()), false, `${place.stdout.trim()} is left`);
  return said;
}

Deno.test("podman: the default bridge, and a published port", async () => {
  await using podman = new Podman();
  await podman.makeImage();
  const namespace = `tsvp${Deno.pid}`;
  equal((await command(["ip", "netns", "add", namespace])).code, 0);
  try {
    await command(["ip", "-n", namespace, "link", "set", "lo", "up"]);
    const said = await published(podman, namespace);
    // A kernel without bridges or address translation has no such networks, whatever the runtime.
    if (/plugin type=|netavark:|iptables/.test(said)) {
      return console.log(`podman has no network here: ${said}`);
    }
    equal(said, "hello\nhello\n");
  } finally {
    await command(["ip", "netns", "del", namespace]);
  }
});
