"""A pty harness that times terminal programs: the console, tig and htop in the same way.

A pty has no terminal behind it that could draw, so "to screen" means: until the program has written the
bytes. Times begin where the child calls exec, or where a key is written to the pty.
"""
import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import termios
import time

SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78])")


class Program:
    def __init__(self, argv, cols=80, rows=24, env=None):
        began, tell = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
            os.environ.update(env or {})
            for name in ("LINES", "COLUMNS"):
                os.environ.pop(name, None)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            os.write(tell, struct.pack("d", time.perf_counter()))
            try:
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        os.close(tell)
        self.start = struct.unpack("d", os.read(began, 8))[0]
        os.close(began)
        self.bytes = 0
        self.last = b""

    def read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return b""
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return b""
        self.bytes += len(data)
        self.last = (self.last + data)[-4096:]
        return data

    def wait_for(self, mark, limit=8):
        """Milliseconds from exec until a text was written."""
        seen, end = b"", time.perf_counter() + limit
        while mark not in SEQUENCE.sub(b"", seen):
            data = self.read(max(0, end - time.perf_counter()))
            if not data:
                raise SystemExit(f"tui.py: {mark!r} never came: {seen[-400:]!r}")
            seen += data
        return (time.perf_counter() - self.start) * 1000

    def settle(self, quiet=0.05, limit=5.0):
        """Waits until nothing was written for `quiet` seconds."""
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
        """Milliseconds from a key to the first bytes, or to `expect` (text, not sequences)."""
        seen, start = b"", time.perf_counter()
        os.write(self.fd, key)
        while True:
            data = self.read(limit)
            now = time.perf_counter()
            seen += data
            if not data or expect is None or expect in SEQUENCE.sub(b"", seen):
                return (now - start) * 1000
            if now - start > limit:
                return limit * 1000

    def memory(self):
        """Resident MiB, and how much of that is the program's own and not shared with others."""
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            text = f.read()
        kib = {name: int(value) for name, value in re.findall(r"(\w+):\s+(\d+) kB", text)}
        return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024

    def cpu(self):
        """CPU seconds used."""
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
            for _ in range(200):
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


def start(argv, mark, size=(80, 24), runs=9, env=None):
    """Medians of first paint in ms and bytes at start, after one run that warms the caches."""
    paints, sizes = [], []
    for i in range(runs + 1):
        p = Program(argv, *size, env=env)
        took = p.wait_for(mark)
        p.settle(0.4, 3)
        if i:
            paints.append(took)
            sizes.append(p.bytes)
        p.end()
    return statistics.median(paints), statistics.median(sizes)


def keys(program, keys, quiet=0.03, expect=False):
    """p50 and p95 in ms, and bytes per key, of keys struck one by one while nothing else happens."""
    times, sizes = [], []
    for key in keys:
        before = program.bytes
        times.append(program.key(key, key if expect else None))
        program.settle(quiet, 0.3)
        sizes.append(program.bytes - before)
    return statistics.median(times), p95(times), statistics.median(sizes)


def idle(program, seconds):
    """Bytes a second while nobody does anything; the second in which the clock shows a new minute is
    left out."""
    total = counted = 0
    while counted < seconds:
        minute = time.localtime().tm_min
        written = program.drain(1)
        if time.localtime().tm_min == minute and time.localtime().tm_sec > 0:
            total, counted = total + written, counted + 1
    return total / seconds


def streaming_keys(program, expect, count, pause=0.06):
    """Milliseconds for each key struck while the program writes on its own."""
    times = []
    for i in range(count):
        times.append(program.key(expect[i % len(expect)], expect[i % len(expect)]))
        program.drain(pause)
    return times


def streaming_lists(program, lists, count, pause=0.06):
    """Milliseconds until a list is on the screen, and for each key in it, while the program writes on its
    own. lists: the key that opens one, and a word of it; the last has several rows; `q` closes it."""
    opened, moved = [], []
    for _ in range(count):
        for key, word in lists:
            opened.append(program.key(key, word))
            program.drain(0.2)
            for step in (b"\x1bOB", b"\x1bOA") * 2 if word == lists[-1][1] else ():
                moved.append(program.key(step))
                program.drain(pause)
            program.key(b"q")
            program.drain(pause)
    return opened, moved
