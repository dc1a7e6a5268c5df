#!/usr/bin/env python3
"""Times the console on a pty, and tig and htop in the same way in the same run.

usage: tui.py BIN CONF STATE [--streams]
Prints a JSON line a figure: {"name", "value", "unit"}. A pty has no terminal behind it that could draw, so
"to screen" means: until the program has written the bytes.
"""
import fcntl, json, os, pty, re, select, signal, statistics, struct, subprocess, sys, tempfile, termios, time

QUIET = 0.05


def out(name, value, unit):
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


class Program:
    def __init__(self, argv, cols=80, rows=24, env=None):
        self.start = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
            os.environ.update(env or {})
            for name in ("LINES", "COLUMNS"):
                os.environ.pop(name, None)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            try:
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        self.bytes = 0

    def read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return b""
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return b""
        self.bytes += len(data)
        return data

    def first_paint(self, mark):
        """Milliseconds until a text that stands on the program's first screen was written."""
        seen = b""
        while mark not in seen:
            data = self.read(5)
            if not data:
                raise SystemExit(f"tui.py: {mark!r} never came: {seen[-400:]!r}")
            seen += data
        return (time.perf_counter() - self.start) * 1000

    def settle(self, quiet=QUIET, limit=5.0):
        end = time.perf_counter() + limit
        while time.perf_counter() < end and self.read(quiet):
            pass

    def drain(self, seconds):
        """Bytes written in so many seconds."""
        before, end = self.bytes, time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return self.bytes - before

    def key(self, key, expect=None, limit=2.0):
        """Milliseconds from a key to its echo, and the bytes until it was quiet (None while expecting)."""
        start = time.perf_counter()
        os.write(self.fd, key)
        data = self.read(limit)
        while expect is not None and expect not in data and time.perf_counter() - start < limit:
            data += self.read(limit)
        took = (time.perf_counter() - start) * 1000
        return took, data

    def memory(self):
        with open(f"/proc/{self.pid}/status") as f:
            text = f.read()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024, int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
            for _ in range(100):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                self.read(0.01)
            else:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


def p95(values):
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def keys_report(name, program, keys):
    times, sizes = [], []
    for key in keys:
        before = program.bytes
        took, _ = program.key(key)
        program.settle(0.02)
        times.append(took)
        sizes.append(program.bytes - before)
    out(f"{name} key to screen p50", statistics.median(times), "ms")
    out(f"{name} key to screen p95", p95(times), "ms")
    out(f"{name} bytes per key", statistics.median(sizes), "B")


def start_report(name, argv, mark, size=(80, 24), runs=7, env=None):
    paints = []
    for _ in range(runs):
        p = Program(argv, *size, env=env)
        paints.append(p.first_paint(mark))
        p.settle(0.3)
        total = p.bytes
        p.end()
    label = f"{name} {size[0]}x{size[1]}"
    out(f"{label} first paint", statistics.median(paints), "ms")
    out(f"{label} bytes at start", total, "B")


def console(binary, conf, state):
    argv = [binary, "--config", conf, "--state", state]
    start_report("console", argv, b"Chat")
    start_report("console", argv, b"Chat", (200, 50), runs=3)
    p = Program(argv)
    p.first_paint(b"Chat")
    p.settle(0.8, 6)
    high, now = p.memory()
    out("console memory at start", now, "MiB")
    keys_report("console", p, [b"abcdefghij"[i % 10:i % 10 + 1] for i in range(60)])
    p.settle(0.5, 3)
    out("console idle", p.drain(10) / 10, "B/s")
    p.end()


def references():
    repo = tempfile.mkdtemp()
    run = lambda *a: subprocess.run(["git", "-C", repo, *a], check=True, capture_output=True)
    run("init", "-q")
    for i in range(60):
        run("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", f"commit {i}")
    os.chdir(repo)
    for name, argv, mark in (("tig", ["tig"], b"commit 59"), ("htop", ["htop"], b"Tasks")):
        start_report(name, argv, mark, runs=5)
        p = Program(argv)
        p.first_paint(mark)
        p.settle(0.3, 2)
        keys_report(name, p, [b"j" if name == "tig" else b"\x1b[B"] * 20)
        out(f"{name} memory at start", p.memory()[1], "MiB")
        out(f"{name} idle", p.drain(5) / 5, "B/s")
        p.end()


def streaming(binary, conf, state, size):
    """Keys and bytes while two models stream; CONF names two models of the mock server."""
    p = Program([binary, "--config", conf, "--state", state], *size)
    p.first_paint(b"Chat")
    p.settle(0.5, 4)
    os.write(p.fd, b"stream\r")
    time.sleep(1.0)
    p.drain(0.05)
    times, before, begin = [], p.bytes, time.perf_counter()
    for i in range(40):
        key = b"QZXJK"[i % 5:i % 5 + 1]
        took, data = p.key(key, expect=key)
        times.append(took)
        p.drain(0.05)
    out(f"console {size[0]}x{size[1]} key to screen p50 while two models stream", statistics.median(times), "ms")
    out(f"console {size[0]}x{size[1]} key to screen p95 while two models stream", p95(times), "ms")
    p.end()


def stream_bytes(binary, conf, state, size, characters):
    """Bytes written for each character of one long streamed answer (both models stream it)."""
    p = Program([binary, "--config", conf, "--state", state], *size)
    p.first_paint(b"Chat")
    p.settle(0.5, 4)
    before = p.bytes
    os.write(p.fd, b"stream\r")
    p.settle(1.5, 60)
    out(f"console {size[0]}x{size[1]} bytes per streamed character", (p.bytes - before) / characters, "B")
    p.end()


if __name__ == "__main__":
    what, binary, conf, state = sys.argv[1:5]
    binary, conf, state = (os.path.abspath(x) for x in (binary, conf, state))
    if what == "console":
        console(binary, conf, state)
    elif what == "references":
        references()
    elif what == "streaming":
        for size in ((80, 24), (120, 36)):
            streaming(binary, conf, state, size)
    elif what == "bytes":
        for size in ((80, 24), (120, 36)):
            stream_bytes(binary, conf, state, size, int(sys.argv[5]))
    elif what == "memory":
        p = Program([binary, "--config", conf, "--state", state])
        p.first_paint(b"Chat")
        p.settle(1, 5)
        for _ in range(40):
            os.write(p.fd, b"\x1b[5~")
            p.settle(0.05, 1)
        out("console memory after 10,000 messages", p.memory()[1], "MiB")
        p.end()
