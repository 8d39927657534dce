// Files, processes, workers and sockets by Deno.
const section = (name) => console.log("== " + name);
section("files");
await Deno.mkdir("a/b", { recursive: true });
await Promise.all(Array.from({ length: 30 }, (_, i) => Deno.writeTextFile(`a/b/f${i}`, "x".repeat(i))));
console.log([...Deno.readDirSync("a/b")].length, (await Deno.stat("a/b/f9")).size);
await Deno.symlink("b", "a/l");
await Deno.rename("a/b/f1", "a/m");
console.log(await Deno.readTextFile("a/m"), await Deno.readLink("a/l"));
await Deno.remove("a", { recursive: true });
await Deno.stat("a").catch((error) => console.log(error.name));
using file = await Deno.open("lock", { create: true, read: true, write: true });
await file.lock(true);
await file.truncate(1000);
console.log((await file.stat()).size);
const watcher = Deno.watchFs(".");
setTimeout(() => Deno.writeTextFileSync("seen", ""), 100);
for await (const event of watcher) {
  console.log(event.kind, event.paths.map((path) => path.split("/").at(-1)));
  break;
}
section("processes");
const cat = new Deno.Command("cat", { stdin: "piped", stdout: "piped" }).spawn();
const copied = cat.output();
const writer = cat.stdin.getWriter();
await writer.write(new Uint8Array(200000));
await writer.close();
console.log((await copied).stdout.length);
const { code, signal } = await new Deno.Command("sh", { args: ["-c", "kill -TERM $$"] }).output();
console.log(code, signal);
const slow = new Deno.Command("sleep", { args: ["30"] }).spawn();
slow.kill("SIGKILL");
console.log((await slow.status).signal);
console.log(
  (await Promise.all([1, 2, 3, 4].map((n) => new Deno.Command("sh", { args: ["-c", `exit ${n}`] }).output())))
    .map((o) => o.code),
);
section("workers");
const source =
  "onmessage = (e) => { let n = 0; for (let i = 0; i < 1e6; i++) n += i % e.data; postMessage(n); close(); }";
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
console.log(
  await Promise.all([3, 5, 7].map((n) =>
    new Promise((done) => {
      const worker = new Worker(url, { type: "module" });
      worker.onmessage = (e) => done(e.data);
      worker.postMessage(n);
    })
  )),
);
section("sockets");
const listener = Deno.listen({ transport: "unix", path: "s" });
(async () => {
  for await (const connection of listener) connection.readable.pipeTo(connection.writable);
})();
const connection = await Deno.connect({ transport: "unix", path: "s" });
await connection.write(new TextEncoder().encode("echo"));
const buffer = new Uint8Array(10);
console.log(await connection.read(buffer), new TextDecoder().decode(buffer.subarray(0, 4)));
connection.close();
listener.close();
section("signals");
const caught = Promise.withResolvers();
Deno.addSignalListener("SIGUSR1", caught.resolve);
Deno.kill(Deno.pid, "SIGUSR1");
await caught.promise;
console.log("SIGUSR1", Deno.uid(), Deno.build.os, Deno.memoryUsage().rss > 0, Deno.loadavg().length);
Deno.exit(4);
