# What the Linux host does to our stack: each command prints one line that the test compares.
import hashlib, os, random, socket, sys, threading, time

def connect(host, port, timeout=20):
    return socket.create_connection((host, port), timeout)

def read_all(s):
    digest, n = hashlib.sha256(), 0
    while True:
        b = s.recv(1 << 18)
        if not b:
            return n, digest.hexdigest()
        digest.update(b)
        n += len(b)

def echo(host, size, pieces=0):
    """Sends `size` bytes to the echo port, ends its direction, and compares what comes back."""
    data = random.Random(size).randbytes(size)
    s = connect(host, 7)
    def feed():
        if pieces:
            for at in range(0, size, pieces):
                s.sendall(data[at:at + pieces])
        else:
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=feed)
    t.start()
    n, digest = read_all(s)
    t.join()
    s.close()
    print(n, digest == hashlib.sha256(data).hexdigest())

def many(host, count):
    """`count` connections at once, each echoing its own bytes."""
    sockets = [connect(host, 7) for _ in range(count)]
    for i, s in enumerate(sockets):
        s.sendall(b"%06d" % i * 1000)
    good = 0
    for i, s in enumerate(sockets):
        s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            b = s.recv(65536)
            if not b:
                break
            got += b
        good += got == b"%06d" % i * 1000
        s.close()
    print(good)

def datagrams(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    good = []
    for size in (0, 1, 1000, 1472, 1473, 9000, 60000):
        data = os.urandom(size)
        s.sendto(data, (host, 7))
        got, peer = s.recvfrom(70000)
        good.append(size if got == data and peer[0] == host else -size)
    print(good)

def refused(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    out = []
    try:
        connect(host, 4, 5)
    except OSError as e:
        out.append(e.errno)
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((host, 4))
    s.send(b"x")
    try:
        s.recv(1)
    except OSError as e:
        out.append(e.errno)
    print(out)

def half_close(host):
    """Our direction ends at once; chargen goes on and must notice when we close."""
    s = connect(host, 19)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while len(got) < 200000:
        b = s.recv(65536)
        if not b:
            break
        got += b
    lines = got.split(b"\r\n")[:-1]
    print(len(got) >= 200000 or len(got), all(len(line) == 72 for line in lines))
    s.close()

def closed_window(host):
    """Reads nothing for a while: the window closes; afterwards everything is there, in order."""
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    s.settimeout(20)
    s.connect((host, 19))
    time.sleep(2.5)
    got = b""
    while len(got) < 2000000:
        got += s.recv(65536)
    text = b"".join(bytes(32 + (line + column) % 95 for column in range(72)) + b"\r\n" for line in range(95))
    whole = text * (len(got) // len(text) + 1)
    print(got == whole[:len(got)])
    s.close()

def churn(host, count):
    good = 0
    for i in range(count):
        s = connect(host, 7)
        s.sendall(b"x")
        good += s.recv(1) == b"x"
        s.close()
    print(good)

def reset(host):
    """A reset in mid-stream harms that connection alone."""
    import struct
    s = connect(host, 19)
    s.recv(1000)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    echo(host, 1000)

def listen(port, what, size):
    """A server for our client: sink or source of `size` bytes."""
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", port))
    s.listen()
    s.settimeout(40)
    print("listening", flush=True)
    c, _ = s.accept()
    c.settimeout(40)
    if what == "sink":
        print(read_all(c)[0])
    else:
        c.sendall(bytes(size))
        c.shutdown(socket.SHUT_WR)
        print(len(c.recv(1)))
    c.close()

command, *args = sys.argv[1:]
globals()[command](*[int(a) if a.isdigit() else a for a in args])
