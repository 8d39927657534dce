# Drives a program over a pseudo-terminal, as a person would. Standard input is JSON: "argv" to run on the terminal, or
# "socket" to take the terminal from a --console-socket of "argv" run without one; "steps": ["send", text],
# ["expect", text], ["resize", rows, columns], ["sleep", seconds], ["kill", signal], ["modes"]. Prints JSON: for each
# expect what was seen up to it, for each modes the flags, at last the exit status. The first expect that is not met in
# time ends it.
import array, fcntl, json, os, pty, select, signal, socket, struct, subprocess, sys, tempfile, termios, time

plan = json.load(sys.stdin)
limit = plan.get("seconds", 30)
seen = []
children = []
pending = b""


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def on_socket():
    path = os.path.join(tempfile.mkdtemp(), "console.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    child = subprocess.Popen([part.replace("@SOCKET@", path) for part in plan["argv"]], stdin=subprocess.DEVNULL)
    # Kept: an object that goes reaps a child that has ended, and takes its status away.
    children.append(child)
    listener.settimeout(limit)
    connection, _ = listener.accept()
    connection.settimeout(limit)
    name, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
    fds = array.array("i")
    fds.frombytes(ancillary[0][2][:4])
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    seen.append(name.decode())
    return child.pid, fds[0]


def on_terminal():
    # A slave of our own stays open, so that modes can be asked for when the program is gone.
    master, slave = pty.openpty()
    resize(master, 30, 100)
    pid = os.fork()
    if pid == 0:
        os.close(master)
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        os.execvp(plan["argv"][0], plan["argv"])
    return pid, master, slave


slave = -1
if plan.get("socket"):
    pid, master = on_socket()
else:
    pid, master, slave = on_terminal()


def expect(text):
    global pending
    wanted = text.encode()
    end = time.monotonic() + limit
    while wanted not in pending:
        ready = select.select([master], [], [], max(0, end - time.monotonic()))[0]
        if not ready:
            return None
        try:
            more = os.read(master, 65536)
        except OSError:
            more = b""
        if more == b"":
            return None
        pending += more
    at = pending.index(wanted) + len(wanted)
    result, pending = pending[:at], pending[at:]
    return result.decode(errors="replace")


def modes():
    try:
        _, oflag, _, lflag = termios.tcgetattr(slave)[:4]
    except termios.error:
        return "hung up"
    return f"{'cooked' if lflag & termios.ICANON else 'raw'} {'post' if oflag & termios.OPOST else 'plain'}"


failure = None
for step in plan["steps"]:
    kind = step[0]
    if kind == "send":
        os.write(master, step[1].encode())
    elif kind == "expect":
        result = expect(step[1])
        if result is None:
            failure = f"{step[1]!r} did not come; instead {pending.decode(errors='replace')!r}"
            break
        seen.append(result)
    elif kind == "resize":
        resize(master, step[1], step[2])
    elif kind == "sleep":
        time.sleep(step[1])
    elif kind == "modes":
        seen.append(modes())
    elif kind == "kill":
        os.kill(pid, step[1])
    elif kind == "close":
        os.close(master)

if failure is not None:
    os.kill(pid, signal.SIGKILL)
status = None
end = time.monotonic() + limit
while status is None and time.monotonic() < end:
    if master >= 0 and not any(step[0] == "close" for step in plan["steps"]):
        # What is printed last must not keep it from ending.
        while select.select([master], [], [], 0)[0]:
            try:
                more = os.read(master, 65536)
            except OSError:
                break
            if more == b"":
                break
            pending += more
    done, code = os.waitpid(pid, os.WNOHANG)
    if done == pid:
        status = os.waitstatus_to_exitcode(code)
    else:
        time.sleep(0.02)
if status is None:
    os.kill(pid, signal.SIGKILL)
if slave >= 0:
    time.sleep(0.2)
    seen.append(modes())
print(json.dumps({"seen": seen, "failure": failure, "status": status, "rest": pending.decode(errors="replace")}))
