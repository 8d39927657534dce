"""Threads, processes, multiprocessing, sqlite3, asyncio, signals, memory, files: each part prints what Linux decides."""
import asyncio, concurrent.futures, contextlib, ctypes, errno, fcntl, hashlib, http.client, http.server, mmap, multiprocessing
import multiprocessing.shared_memory, os, pathlib, queue, resource, select, selectors, shutil, signal, socket, socketserver
import sqlite3, struct, subprocess, sys, tempfile, threading, time, zlib


def section(name):
    print("==", name, flush=True)


def square(n):
    return n * n


def child_of_pool(n):
    return os.getppid() != os.getpid(), n


def put_into(q, n):
    q.put(n * 2)


def add_to(value, lock, times):
    for _ in range(times):
        with lock:
            value.value += 1


def write_shared(name):
    block = multiprocessing.shared_memory.SharedMemory(name)
    block.buf[:5] = b"child"
    block.close()


def main():
    section("threads")
    numbers, lock, total = queue.Queue(), threading.Lock(), [0]

    def worker():
        while (n := numbers.get()) is not None:
            with lock:
                total[0] += n

    threads = [threading.Thread(target=worker) for _ in range(8)]
    [t.start() for t in threads]
    for n in range(2000):
        numbers.put(n)
    [numbers.put(None) for _ in threads]
    [t.join() for t in threads]
    print(total[0], threading.active_count())
    event, barrier, condition = threading.Event(), threading.Barrier(4), threading.Condition()
    order = []

    def meet(i):
        barrier.wait()
        with condition:
            order.append(i)
            condition.notify_all()

    [threading.Thread(target=meet, args=(i,)).start() for i in range(4)]
    with condition:
        condition.wait_for(lambda: len(order) == 4, 10)
    print(sorted(order), event.wait(0.05), lock.acquire(timeout=0.1))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(sum(pool.map(square, range(100))))
    print(len({t.native_id for t in threads}) == len(threads))

    section("subprocess")
    print(subprocess.run(["cat"], input=b"x" * 200000, capture_output=True).stdout == b"x" * 200000)
    print(subprocess.run("echo out; echo err >&2; exit 3", shell=True, capture_output=True, text=True))
    try:
        subprocess.run(["sleep", "10"], timeout=0.2)
    except subprocess.TimeoutExpired as error:
        print(error.cmd, round(error.timeout, 1))
    for wrong in (["/nosuch"], ["/etc/passwd"], ["/tmp"]):
        try:
            subprocess.run(wrong)
        except OSError as error:
            print(type(error).__name__, error.errno)
    p = subprocess.Popen(["sh", "-c", "kill -9 $$"])
    print(p.wait(), p.returncode)
    p = subprocess.Popen(["tr", "a-z", "A-Z"], stdin=-1, stdout=-1, start_new_session=True, cwd="/", env={"A": "1"}, close_fds=True)
    print(p.communicate(b"pipes"), os.waitstatus_to_exitcode(os.system("exit 7")))
    pids = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(5)]
    print([os.waitpid(pid, 0)[1] for pid in pids])
    r, w = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(w, b"forked")
        os._exit(9)
    print(os.read(r, 10), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    for method in ("fork", "spawn", "forkserver"):
        section("multiprocessing " + method)
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(pool.map(square, range(10)), pool.apply(child_of_pool, (5,)))
        q = context.Queue()
        ps = [context.Process(target=put_into, args=(q, i)) for i in range(3)]
        [p.start() for p in ps]
        print(sorted(q.get(timeout=20) for _ in ps))
        [p.join() for p in ps]
        print([p.exitcode for p in ps])
        value, vlock = context.Value("i", 0), context.Lock()
        ps = [context.Process(target=add_to, args=(value, vlock, 200)) for _ in range(2)]
        [p.start() for p in ps]
        [p.join() for p in ps]
        print(value.value)
        block = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
        p = context.Process(target=write_shared, args=(block.name,))
        p.start()
        p.join()
        print(bytes(block.buf[:5]))
        block.close()
        block.unlink()
        a, b = context.Pipe()
        p = context.Process(target=b.send, args=({"k": [1, 2]},))
        p.start()
        print(a.recv())
        p.join()
        p = context.Process(target=time.sleep, args=(30,))
        p.start()
        p.terminate()
        p.join()
        print(p.exitcode)

    section("sqlite3")
    with contextlib.closing(sqlite3.connect("data.db")) as db:
        print(db.execute("pragma journal_mode=wal").fetchone(), db.execute("pragma mmap_size=1048576").fetchone())
        db.execute("create table t (n integer primary key, s text)")
        db.executemany("insert into t values (?, ?)", ((n, "row %d" % n) for n in range(5000)))
        db.commit()
        other = sqlite3.connect("data.db", timeout=0.1)
        db.execute("begin immediate")
        try:
            other.execute("insert into t values (-1, '')")
        except sqlite3.OperationalError as error:
            print(error)
        print(other.execute("select count(*), sum(n) from t").fetchone())
        db.rollback()
        db.execute("delete from t where n % 2")
        db.commit()
        db.execute("vacuum")
        print(other.execute("select count(*) from t").fetchone(), db.execute("pragma integrity_check").fetchone())
        other.close()
    print(sorted(os.listdir(".")))

    section("asyncio")

    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async def asynchronous():
        server = await asyncio.start_unix_server(serve, "socket")

        async def talk(i):
            reader, writer = await asyncio.open_unix_connection("socket")
            writer.write(b"hello %d\n" % i * 50)
            writer.write_eof()
            data = await reader.read()
            writer.close()
            return len(data)

        print(sum(await asyncio.gather(*[talk(i) for i in range(20)])))
        server.close()
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        print((await process.communicate(b"through a process"))[0], process.returncode)
        process = await asyncio.create_subprocess_shell("sleep 10")
        process.send_signal(signal.SIGTERM)
        print(await process.wait())
        loop, got = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, got.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(got.wait(), 5)
        loop.remove_signal_handler(signal.SIGUSR1)
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.05)
        except asyncio.TimeoutError:
            print("timed out")
        print(await asyncio.to_thread(square, 12), await loop.run_in_executor(None, os.getpid) == os.getpid())

    asyncio.run(asynchronous())

    section("signals")
    seen = []
    signal.signal(signal.SIGUSR1, lambda s, f: seen.append(s))
    signal.signal(signal.SIGALRM, lambda s, f: seen.append(s))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    print(seen, signal.sigpending(), signal.sigwait([signal.SIGUSR2]), signal.sigtimedwait([signal.SIGUSR1], 0.05))
    threading.Timer(0.05, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)).start()
    info = signal.sigwaitinfo([signal.SIGUSR1])
    print(info.si_signo, info.si_code, info.si_pid == os.getpid())
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.siginterrupt(signal.SIGALRM, False)
    r, w = os.pipe()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    threading.Timer(0.15, os.write, (w, b"late")).start()
    print(os.read(r, 10), len(seen))
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupt")
    print(subprocess.run([sys.executable, "-c", "import ctypes; ctypes.string_at(0)"], stderr=-3).returncode)
    print(subprocess.run([sys.executable, "-X", "faulthandler", "-c", "import os; os.abort()"], stderr=-1).stderr[:20])

    section("memory")
    m = mmap.mmap(-1, 1 << 20)
    if (pid := os.fork()) == 0:
        m[:4] = b"fork"
        os._exit(0)
    os.waitpid(pid, 0)
    print(m[:4], m.find(b"k"))
    m.close()
    with open("map", "w+b") as f:
        f.truncate(10000)
        m = mmap.mmap(f.fileno(), 0)
        m[5000:5005] = b"write"
        m.flush()
        f.seek(5000)
        print(f.read(5), m.size(), len(m))
        f.seek(0)
        f.write(b"file")
        f.flush()
        print(m[:4])
        m.resize(20000)
        print(len(m), os.stat("map").st_size)
        c = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
        c[:1] = b"#"
        print(c[:4], m[:4])
        m.madvise(mmap.MADV_DONTNEED)
        print(m[5000:5005])
    data = bytes(range(256)) * 40000
    print(hashlib.sha256(data).hexdigest(), zlib.crc32(data), len(zlib.compress(data, 1)) < len(data))
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.close(12345), errno.errorcode[ctypes.get_errno()])
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, -1))
    try:
        bytearray(2 << 30)
    except MemoryError:
        print("MemoryError")
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

    section("readiness")
    a, b = socket.socketpair()
    epoll = select.epoll()
    epoll.register(a, select.EPOLLIN | select.EPOLLET)
    print(epoll.poll(0.05))
    b.send(b"ready")
    print([event for _, event in epoll.poll(1)], epoll.poll(0), select.select([a], [a], [], 1) == ([a], [a], []))
    p = select.poll()
    p.register(a, select.POLLIN)
    b.shutdown(socket.SHUT_WR)
    print([event for _, event in p.poll(100)], a.recv(10), a.recv(10))
    b.close()
    print([event for _, event in p.poll(100)])
    with selectors.DefaultSelector() as selector:
        r, w = os.pipe2(os.O_NONBLOCK)
        selector.register(r, selectors.EVENT_READ)
        try:
            os.read(r, 1)
        except BlockingIOError as error:
            print(error)
        n = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                n += os.write(w, b"x" * 1000)
        print(n > 60000, len(selector.select(0)), fcntl.fcntl(w, 1032))
    x, y = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(x, [b"take"], [os.open("map", os.O_RDONLY)])
    data, fds, flags, _ = socket.recv_fds(y, 10, 4)
    print(data, os.read(fds[0], 4), struct.unpack("3i", y.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:])

    section("http over a unix socket")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[::-1])

        def log_message(self, *_):
            pass

        def address_string(self):
            return "unix"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect("http.sock")

    with Server("http.sock", Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        for size in (10, 300000):
            connection = Connection("localhost")
            connection.request("POST", "/", b"ab" * size)
            answer = connection.getresponse()
            print(answer.status, answer.read() == b"ba" * size)
            connection.close()
        server.shutdown()

    section("files")
    with tempfile.TemporaryDirectory() as directory, tempfile.NamedTemporaryFile() as f, tempfile.TemporaryFile() as g:
        root = pathlib.Path(directory)
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "b" / "ünïcode ☃").write_text("snow")
        (root / "link").symlink_to("a/b")
        print(sorted(str(p.relative_to(root)) for p in root.rglob("*")), (root / "link").resolve() == root / "a" / "b")
        shutil.copytree(root, root / "copy", symlinks=True)
        print(os.path.islink(root / "copy" / "link"), os.fstat(g.fileno()).st_nlink, os.path.exists(f.name))
        fd = os.open(root, os.O_RDONLY)
        os.mkdir("by-fd", dir_fd=fd)
        print(sorted(os.listdir(fd)), os.stat("by-fd", dir_fd=fd).st_mode)
        os.close(fd)
        print(sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)))
    fd = os.open("map", os.O_RDWR)
    print(os.pwrite(fd, b"positioned", 100), os.pread(fd, 5, 100), os.lseek(fd, 0, os.SEEK_END), os.preadv(fd, [bytearray(3)], 0))
    out = os.open("sent", os.O_CREAT | os.O_RDWR)
    print(os.sendfile(out, fd, 100, 10), os.copy_file_range(fd, out, 1000, 0, 10), os.fstat(out).st_size, os.pread(out, 4, 0))
    fcntl.lockf(fd, fcntl.LOCK_EX, 10)
    print(subprocess.run([sys.executable, "-c", "import fcntl; f = open('map', 'r+b')\ntry: fcntl.lockf(f, 6, 10)\nexcept OSError as e: print(e)"], capture_output=True, text=True).stdout)
    os.setxattr("map", "user.name", b"value")
    print(os.getxattr("map", "user.name"), os.listxattr("map"), os.cpu_count() > 0, len(os.sched_getaffinity(0)) > 0, os.getloadavg()[0] >= 0)
    os.utime("map", ns=(1, 10**18 + 7))
    print(os.stat("map").st_mtime_ns, os.access("map", os.W_OK), os.umask(0o22), sys.getfilesystemencoding(), len(os.urandom(16)), os.ctermid())


if __name__ == "__main__":
    main()
