// --network=user: programs in a sandbox reach servers of this test on the host's loopback through the net process, as root and
// as an ordinary user, as far as the policy lets them; ports are published; nothing is left behind. Nothing leaves the host.

import { createSocket } from "node:dgram";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle, type Config } from "../support/bundle.ts";
import { childrenOf, gone, link, pids, read, statusOf } from "../support/host_processes.ts";
import { command, delay, type Finished, forEverybody, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";
import { SHELL, withHostPrograms } from "./container_network.ts";

/** Of nobody on this host. */
const USER = "4326";
const GATEWAY = "10.0.2.2";
const CONTENT = "from the host's loopback\n";
/** A condition is waited for, however slow the machine is. */
const PATIENCE_MILLIS = 240_000;

/** A server on the host's loopback, whose port is its own. */
function serve(): { readonly port: number; [Symbol.asyncDispose](): Promise<void> } {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => new Response(request.method === "POST" ? await request.text() : CONTENT),
  );
  return { port: server.addr.port, [Symbol.asyncDispose]: async () => await server.shutdown() };
}

/** An address of the host's loopback that no other test has: any of its ports is free. */
function ownLoopback(n: number): string {
  return `127.${80 + n}.${Deno.pid >> 8 & 255}.${Math.max(1, Deno.pid & 255)}`;
}

const AS_USER = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];

interface Caller {
  readonly name: string;
  readonly path: string;
  readonly words: readonly string[];
  readonly env: Record<string, string>;
}

async function forCallers(run: (caller: Caller) => Promise<void>, test: Deno.TestContext): Promise<void> {
  const path = await tsvisorPath();
  await test.step("as root", async () => await run({ name: "root", path, words: [], env: {} }));
  await test.step("as an ordinary user", async () =>
    await forEverybody(async (path) => {
      using directory = temporary();
      await command(["chown", USER, directory.path]);
      const env = { HOME: directory.path, XDG_RUNTIME_DIR: directory.path };
      await run({ name: "user", path, words: AS_USER, env });
    }));
}

function temporary(): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

async function inSandbox(
  { path, words, env }: Caller,
  flags: readonly string[],
  script: string,
): Promise<Finished> {
  const args = ["--network=user", ...flags, "do", "--cwd", "/", "--", "/bin/sh", "-c", script];
  return await command([...words, path, ...args], { env, cwd: "/", timeoutMillis: PATIENCE_MILLIS });
}

Deno.test("mode user: curl reaches what the policy allows, and nothing else", async (test) => {
  await using server = serve();
  const url = `http://${GATEWAY}:${server.port}/`;
  await forCallers(async (caller) => {
    const allowed = await inSandbox(caller, [`--egress=allow:127.0.0.1:${server.port}`], `curl -sS ${url}`);
    deepEqual([allowed.code, allowed.stdout], [0, CONTENT], allowed.stderr);
    // The host's loopback is nobody's by default.
    const denied = await inSandbox(caller, [], `curl -sS ${url}; curl -sS http://169.254.169.254/`);
    equal(denied.stdout, "");
    match(denied.stderr, /Failed to connect to 10\.0\.2\.2.*\n.*Failed to connect to 169\.254\.169\.254/);
  }, test);
});

for (const platform of PLATFORMS) {
  Deno.test(`mode user on ${platform}: errors of connect(), much data both ways, UDP`, async () => {
    await using server = serve();
    const echo = createSocket("udp4", (message, from) => echo.send(message, from.port, from.address));
    await new Promise((resolve) => echo.bind(0, "127.0.0.1", () => resolve(null)));
    // On a connection's own port nobody listens, and nobody else will.
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const nobody = (connection.localAddr as Deno.NetAddr).port;
    const program = `
import errno, socket, urllib.request
def refused(address, port):
    try: socket.create_connection((address, port)).close(); return "connected"
    except OSError as error: return errno.errorcode[error.errno]
print(refused("${GATEWAY}", ${nobody}), refused("${GATEWAY}", 1), refused("fd00::2", 1))
sent = b"0123456789abcdef" * (1 << 18)
got = urllib.request.urlopen("http://${GATEWAY}:${server.port}/", sent).read()
print(got == sent)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("${GATEWAY}", ${echo.address().port}))
udp.send(b"x" * 9000)
print(len(udp.recv(65536)))
`;
    const rules = [server.port, echo.address().port, nobody].map((port) => `allow:127.0.0.1:${port}`).join(
      ",",
    );
    const args = [`--platform=${platform}`, "--network=user", `--egress=${rules}`];
    const path = await tsvisorPath();
    const { code, stdout, stderr } = await command([path, ...args, "do", "--", "python3", "-c", program], {
      timeoutMillis: PATIENCE_MILLIS,
    });
    echo.close();
    deepEqual([code, stdout], [0, "ECONNREFUSED EHOSTUNREACH EACCES\nTrue\n9000\n"], stderr);
  });
}

Deno.test("mode user: names come from the name server it is given, if a rule is about them", async (test) => {
  const asked: string[] = [];
  const server = createSocket("udp4", (query, from) => {
    asked.push(nameIn(query));
    server.send(answerTo(query, "198.51.100.9"), from.port, from.address);
  });
  await new Promise((resolve) => server.bind(0, "127.0.0.1", () => resolve(null)));
  await forCallers(async (caller) => {
    const flags = ["--egress=allow:files.example:80", `--dns=127.0.0.1:${server.address().port}`];
    const script =
      "getent ahostsv4 files.example | head -n 1; getent ahostsv4 secret.attacker.example; echo $?";
    const { stdout, stderr } = await inSandbox(caller, flags, script);
    match(stdout, /^198\.51\.100\.9 +STREAM files\.example\n2\n$/, stderr);
  }, test);
  server.close();
  ok(asked.length > 0);
  deepEqual(asked.filter((name) => name !== "files.example"), []);
});

function nameIn(message: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12; message[at] !== 0; at += message[at] + 1) {
    labels.push(new TextDecoder().decode(message.subarray(at + 1, at + 1 + message[at])));
  }
  return labels.join(".");
}

/** An answer to a question for an IPv4 address; no addresses of other kinds. */
function answerTo(query: Uint8Array, address: string): Uint8Array {
  let end = 12;
  while (query[end] !== 0) end += query[end] + 1;
  end += 5;
  const isV4 = query[end - 4] === 0 && query[end - 3] === 1;
  const record = isV4 ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)] : [];
  const answer = Uint8Array.from([...query.subarray(0, end), ...record]);
  answer.set([0x81, 0x80, 0, 1, 0, isV4 ? 1 : 0, 0, 0, 0, 0], 2);
  return answer;
}

Deno.test("mode user: a published port of a python server, from outside", async (test) => {
  let n = 0;
  await forCallers(async ({ path, words, env }) => {
    const address = ownLoopback(n++);
    const args = ["--network=user", `--publish=${address}:8080:8000`, "do", "--cwd", "/usr/lib", "--"];
    const child = new Deno.Command([...words, path][0], {
      args: [...[...words, path].slice(1), ...args, "python3", "-m", "http.server", "8000"],
      env,
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await until(async () => {
        const { stdout } = await command(["curl", "-s", `http://${address}:8080/os-release`]);
        return stdout === Deno.readTextFileSync("/usr/lib/os-release");
      }, "an answer from inside");
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  }, test);
});

Deno.test("mode user: a server inside sees who has connected to its published port", async () => {
  using directory = temporary();
  // A network namespace of its own, whose loopback has addresses as other hosts do; --publish asks for mode user.
  const server = `
import socket
tcp = socket.create_server(("", 8000)); udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 8001))
print("ready", flush=True)
connection, peer = tcp.accept()
connection.sendall(peer[0].encode())
connection.close()
_, peer = udp.recvfrom(100)
udp.sendto(peer[0].encode(), peer)
`;
  const client = `
import socket
tcp = socket.create_connection(("198.51.100.7", 8000), source_address=("198.51.100.7", 0))
print(tcp.recv(100).decode(), tcp.getpeername()[1])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("198.51.100.7", 0)); udp.connect(("198.51.100.7", 8001)); udp.send(b"?")
print(udp.recv(100).decode())
`;
  Deno.writeTextFileSync(`${directory.path}/server.py`, server);
  Deno.writeTextFileSync(`${directory.path}/client.py`, client);
  const script = `
set -e
ip link set lo up
ip address add 198.51.100.7/32 dev lo
mkfifo ${directory.path}/said
"$0" --publish=8000:8000 --publish=8001:8001/udp do -- python3 ${directory.path}/server.py >${directory.path}/said &
read line <${directory.path}/said
python3 ${directory.path}/client.py
wait
`;
  const { code, stdout, stderr } = await command(["unshare", "-n", "sh", "-c", script, await tsvisorPath()], {
    timeoutMillis: PATIENCE_MILLIS,
  });
  deepEqual([code, stdout], [0, "198.51.100.7 8000\n198.51.100.7\n"], stderr);
});

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MILLIS;
  while (!await isSo()) {
    ok(performance.now() < end, `waited in vain: ${what}`);
    await delay(50);
  }
}

function isRelay(pid: number): boolean {
  return /(relay\.js|--role=relay)/.test(read(`/proc/${pid}/cmdline`));
}

Deno.test("mode user: the net process has given up all but the host's network; each kill leaves nothing", async () => {
  for (const victim of ["launcher", "sentry", "relay"]) {
    const child = new Deno.Command(await tsvisorPath(), {
      args: ["--network=user", "do", "--", "sleep", "1000"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let list: number[] = [];
    try {
      const isConfined = (pid: number) => statusOf(`/proc/${pid}/status`).Seccomp === "2";
      await until(() => {
        list = childrenOf(child.pid);
        return list.some(isRelay) && list.length === 3 && list.every(isConfined);
      }, "sentry, gofer and net process");
      const relay = list.find(isRelay)!;
      const sentry = list.find((pid) => /(sentry\.js|--role=sentry)/.test(read(`/proc/${pid}/cmdline`)))!;
      if (victim === "launcher") check(relay);
      const killed = { launcher: child.pid, sentry, relay }[victim]!;
      const all = [...list, ...childrenOf(sentry)];
      Deno.kill(killed, "SIGKILL");
      if (victim === "relay") {
        deepEqual(await gone([relay], PATIENCE_MILLIS), []);
        // The sandbox lives on, without a network.
        equal(all.filter((pid) => pid !== relay).every((pid) => pids().includes(pid)), true);
        child.kill("SIGKILL");
      }
      await child.status;
      deepEqual(await gone(all, PATIENCE_MILLIS), []);
    } finally {
      if (pids().includes(child.pid)) child.kill("SIGKILL");
      await child.status;
    }
  }
});

function check(relay: number): void {
  const status = statusOf(`/proc/${relay}/status`);
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    equal(status[set], "0000000000000000", set);
  }
  equal(status.NoNewPrivs, "1");
  deepEqual([...Deno.readDirSync(`/proc/${relay}/root`)].map(({ name }) => name), []);
  const isShared = (name: string) => link(`/proc/${relay}/ns/${name}`) === link(`/proc/self/ns/${name}`);
  const names = ["ipc", "mnt", "net", "pid", "user", "uts"];
  deepEqual(names.filter(isShared), ["net"]);
}

Deno.test("mode user: a bundle's policy, and the resolv.conf that it lacks; run, and create with start", async () => {
  await using server = serve();
  using bundle = new Bundle();
  const script = `exec >/result 2>&1; cat /etc/resolv.conf; curl -sS http://${GATEWAY}:${server.port}/; ` +
    `curl -sS http://${GATEWAY}:1/; echo done`;
  bundle.write(script, (config: Config) => {
    withHostPrograms(bundle, config);
    config.mounts = config.mounts.filter((mount: Config) => mount.destination !== "/etc");
    config.process.args[0] = SHELL;
    config.annotations = { "dev.tsvisor.flag.egress": `allow:127.0.0.1:${server.port}` };
  });
  const result = () => read(`${bundle.rootfs}/result`);
  const check = () => {
    match(result(), /^nameserver 10\.0\.2\.3\nnameserver fd00::3\n/);
    match(result(), new RegExp(`\n${CONTENT}curl: \\(7\\) Failed to connect to 10\\.0\\.2\\.2 port 1 `));
  };
  const id = `user-${Deno.pid}`, options = { timeoutMillis: PATIENCE_MILLIS };
  const flags = ["--network=user"], place = ["--bundle", bundle.directory];
  const { code, stderr } = await bundle.tsvisor([...flags, "run", ...place, id], options);
  equal(code, 0, stderr);
  check();
  Deno.removeSync(`${bundle.rootfs}/result`);
  const created = await bundle.inBackground([...flags, "create", ...place, id]);
  equal(created.code, 0, created.stderr);
  equal(result(), "");
  equal((await bundle.tsvisor(["start", id], options)).code, 0);
  await until(() => result().endsWith("done\n"), "the end of what it does");
  check();
  equal((await bundle.tsvisor(["delete", "--force", id], options)).code, 0);
});

Deno.test("mode user: what cannot be is said in one line", async () => {
  const path = await tsvisorPath();
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["--network=sandbox", "--egress=allow:x"], /--egress goes with --network=user/],
    [["--network=user", "--egress=permit:x"], /--egress: "permit:x" does not begin with allow: or deny:/],
    [["--network=user", "--publish=80"], /--publish: "80" is not \[HOSTIP:\]HOSTPORT:PORT/],
    [["--network=user", "--publish=198.51.100.1:80:80"], /--publish: cannot bind .*EADDRNOTAVAIL/],
    [["--network=user", "--dns=name"], /--dns: "name" is not ADDRESS/],
  ];
  for (const [flags, message] of wrong) {
    const { code, stderr } = await command([path, ...flags, "do", "--", "true"]);
    equal(code, 128);
    match(stderr, message);
    equal(stderr.trim().split("\n").length, 1, stderr);
  }
});
