// Files, processes, workers, streams, sockets and signals by node.
const fs = require("node:fs"),
  cp = require("node:child_process"),
  os = require("node:os"),
  path = require("node:path");
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
const http = require("node:http"),
  net = require("node:net"),
  zlib = require("node:zlib"),
  crypto = require("node:crypto");
const { pipeline } = require("node:stream/promises"),
  { once } = require("node:events"),
  { setTimeout: sleep } = require("node:timers/promises");

const section = (name) => console.log("== " + name);

async function main() {
  section("files");
  fs.mkdirSync("a/b", { recursive: true });
  await Promise.all(Array.from({ length: 50 }, (_, i) => fs.promises.writeFile(`a/b/f${i}`, "x".repeat(i))));
  console.log(
    (await fs.promises.readdir("a/b")).length,
    fs.statSync("a/b/f30").size,
    fs.existsSync("nosuch"),
  );
  fs.symlinkSync("b", "a/link");
  fs.renameSync("a/b/f1", "a/moved");
  fs.appendFileSync("a/moved", "more");
  fs.chmodSync("a/moved", 0o640);
  fs.utimesSync("a/moved", 1, 2);
  console.log(
    fs.readFileSync("a/moved", "utf8"),
    fs.statSync("a/moved").mode.toString(8),
    fs.statSync("a/moved").mtimeMs,
    fs.realpathSync("a/link") === path.resolve("a/b"),
  );
  fs.cpSync("a", "copy", { recursive: true });
  console.log(fs.readdirSync("copy").sort());
  try {
    fs.readFileSync("nosuch");
  } catch (e) {
    console.log(e.code);
  }
  try {
    fs.rmdirSync("a");
  } catch (e) {
    console.log(e.code);
  }
  const watched = new Promise((resolve) => {
    const w = fs.watch("a", (kind, name) => {
      w.close();
      resolve([kind, name]);
    });
  });
  await sleep(50);
  fs.writeFileSync("a/new", "");
  console.log(await watched);
  fs.rmSync("copy", { recursive: true });
  const h = await fs.promises.open("data", "w+");
  await h.write(Buffer.alloc(100000, "z"), 0, 100000, 5);
  await h.truncate(50000);
  console.log((await h.stat()).size, (await h.read(Buffer.alloc(3), 0, 3, 4)).buffer);
  await h.close();
  fs.rmSync("data");

  section("streams");
  fs.writeFileSync("big", crypto.createHash("sha512").update("seed").digest("hex").repeat(20000));
  await pipeline(fs.createReadStream("big"), zlib.createGzip(), fs.createWriteStream("big.gz"));
  await pipeline(fs.createReadStream("big.gz"), zlib.createGunzip(), fs.createWriteStream("big2"));
  console.log(
    fs.readFileSync("big").equals(fs.readFileSync("big2")),
    crypto.createHash("sha256").update(fs.readFileSync("big")).digest("hex"),
  );

  section("processes");
  console.log(
    cp.execSync("echo out; echo err >&2", { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
  );
  console.log(
    cp.spawnSync("sh", ["-c", "exit 3"]).status,
    cp.spawnSync("sh", ["-c", "kill -9 $$"]).signal,
    cp.spawnSync("nosuch").error.code,
  );
  const cat = cp.spawn("cat");
  cat.stdin.end("x".repeat(300000));
  let n = 0;
  for await (const part of cat.stdout) n += part.length;
  console.log(n, await new Promise((r) => cat.exitCode !== null ? r(cat.exitCode) : cat.on("close", r)));
  const slow = cp.spawn("sleep", ["30"]);
  slow.kill();
  console.log((await once(slow, "exit"))[1]);
  const forked = cp.fork(__filename, ["child"]);
  forked.send({ n: 20 });
  console.log((await once(forked, "message"))[0]);
  await once(forked, "exit");
  console.log(
    (await Promise.all(
      Array.from(
        { length: 10 },
        (_, i) => new Promise((r) => cp.exec(`echo ${i}`, (_, out) => r(Number(out)))),
      ),
    )).reduce((a, b) => a + b),
  );
  console.log(cp.spawnSync("sleep", ["30"], { timeout: 100 }).signal);

  section("workers");
  const shared = new SharedArrayBuffer(8), word = new Int32Array(shared);
  const workers = Array.from({ length: 4 }, (_, i) => new Worker(__filename, { workerData: { shared, i } }));
  console.log((await Promise.all(workers.map(async (w) => (await once(w, "message"))[0]))).sort());
  await Promise.all(workers.map((w) => w.terminate()));
  console.log(Atomics.load(word, 0), Atomics.wait(word, 1, 0, 20));

  section("sockets");
  const server = net.createServer((c) => c.pipe(c)).listen("echo.sock");
  await once(server, "listening");
  const totals = await Promise.all(Array.from({ length: 10 }, async (_, i) => {
    const c = net.connect("echo.sock");
    c.end("y".repeat(10000 * i + 1));
    let n = 0;
    for await (const part of c) n += part.length;
    return n;
  }));
  console.log(totals.join(" "));
  server.close();
  const web = http.createServer(async (q, a) => {
    let n = 0;
    for await (const part of q) n += part.length;
    a.setHeader("x", q.url);
    a.end("z".repeat(n));
  }).listen("http.sock");
  await once(web, "listening");
  const q = http.request({ socketPath: "http.sock", path: "/p", method: "POST" });
  q.end("b".repeat(200000));
  const [a] = await once(q, "response");
  let got = 0;
  for await (const part of a) got += part.length;
  console.log(a.statusCode, a.headers.x, got);
  web.close();
  web.closeAllConnections();

  section("signals and time");
  const signalled = once(process, "SIGUSR2");
  const alive = setInterval(() => {}, 1000);
  process.kill(process.pid, "SIGUSR2");
  console.log(await signalled);
  clearInterval(alive);
  const begin = performance.now();
  await sleep(50);
  console.log(
    performance.now() - begin >= 49,
    process.hrtime.bigint() > 0n,
    os.cpus().length > 0,
    os.totalmem() > 0,
    os.userInfo().username,
    os.type(),
  );
  process.on("exit", (code) => console.log("exit", code));
  process.exitCode = 5;
}

if (!isMainThread) {
  for (let i = 0; i < 1000; i++) Atomics.add(new Int32Array(workerData.shared), 0, 1);
  parentPort.postMessage(workerData.i * workerData.i);
} else if (process.argv[2] === "child") {
  process.once("message", ({ n }) => {
    process.send({
      fib: (function f(n) {
        return n < 2 ? n : f(n - 1) + f(n - 2);
      })(n),
    });
    process.disconnect();
  });
} else main();
