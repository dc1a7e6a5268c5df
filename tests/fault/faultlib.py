"""What the attacks share: state directories, runs of the console, a pseudo terminal, a count of checks.

MCPC_BIN names the program (build/asan/mcp-console if unset). Standard library only.
"""
import atexit
import errno
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("MCPC_BIN", os.path.join(TOP, "build/asan/mcp-console")))
PEER = os.path.join(TOP, "tests/peers/mcp_server.py")
MOCK = os.path.join(os.environ.get("MCPC_TOOLS", os.path.join(os.path.dirname(BIN), "tests")), "peers/mock_model")
WORK = tempfile.mkdtemp(prefix="mcpc-fault-")
atexit.register(shutil.rmtree, WORK, True)
BASE_ENV = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": WORK, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8",
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1"),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1"),
    "LSAN_OPTIONS": "suppressions=%s/tests/lsan.supp:print_suppressions=0" % TOP,
}
SANITIZER = re.compile(rb"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehavior")
failures = []
checks = 0


def faults(few, usual, every):
    """How much is tried, by FAULTS in the environment: few, all, or as usual. See tests/check."""
    return {"few": few, "all": every}.get(os.environ.get("FAULTS"), usual)



def check(ok, what, *seen):
    """One check; what was seen is printed if it does not hold."""
    global checks
    checks += 1
    if not ok:
        failures.append(what)
        print("FAILED: %s" % what)
        for thing in seen:
            text = repr(thing)
            print("    " + (text if len(text) < 3000 else text[:1500] + " ... " + text[-1500:]))
    return bool(ok)


def finish():
    print("%d checks, %d failed" % (checks, len(failures)))
    sys.exit(1 if failures else 0)


_count = 0


def fresh(name="state"):
    """The path of a state directory that does not exist yet."""
    global _count
    _count += 1
    return os.path.join(WORK, "%s-%d-%d" % (name, os.getpid(), _count))


def conf(text):
    path = fresh("conf")
    with open(path, "w") as f:
        f.write(text)
    return path


def env_of(env):
    out = dict(BASE_ENV)
    for key, value in (env or {}).items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __repr__(self):
        return "exit %s after %.2f s\n--- out %r\n--- err %r" % (self.code, self.seconds, self.out, self.err)

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            return None


HANGS = 90  # seconds after which a command is taken to hang, on a machine that does much else


def run(*args, env=None, limit=HANGS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more):
    """Runs the console; its output is checked for sanitizers' reports and control characters."""
    start = time.monotonic()
    p = subprocess.Popen([BIN, *args], env=env_of(env), stdin=stdin, stdout=stdout, stderr=stderr, **more)
    try:
        out, err = p.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        check(False, "%r ends within %d s" % (args, limit), out, err)
    r = Result(p.returncode, out or b"", err or b"", time.monotonic() - start)
    clean(r, args)
    return r


def clean(r, what):
    check(not SANITIZER.search(r.err) and not SANITIZER.search(r.out), "no sanitizer complains: %r" % (what,), r)
    for name, data in (("output", r.out), ("errors", r.err)):
        bad = re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]", data)
        check(not bad, "no control character in the %s of %r" % (name, what), data)


def alive(pid):
    """A process that runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds=10, step=0.01):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(step)
    return condition()


def processes_with(mark):
    """Pids of the running processes whose command line holds the mark."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/cmdline" % name, "rb") as f:
                    if mark.encode() in f.read() and alive(int(name)):
                        found.append(int(name))
            except OSError:
                pass
    return found


class Console:
    """The console under a pseudo terminal."""

    def __init__(self, *args, env=None, rows=24, columns=80, controlling=True, preexec=None):
        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.err = tempfile.TemporaryFile()

        def child():
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if preexec:
                preexec()
        self.p = subprocess.Popen([BIN, *args], env=env_of(env), stdin=slave, stdout=slave, stderr=self.err,
                                  start_new_session=controlling, preexec_fn=child, close_fds=True)
        os.set_blocking(self.master, False)
        self.seen = bytearray()
        self.args = args

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.0):
        """What has come within that time, also added to seen."""
        got, until = bytearray(), time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            if not ready:
                break
            try:
                data = os.read(self.master, 65536)
            except OSError as e:
                if e.errno == errno.EAGAIN:
                    continue
                break
            if not data:
                break
            got += data
        self.seen += got
        return bytes(got)

    def write(self, data, seconds=20):
        """Types; reads meanwhile, so that neither side waits for the other."""
        data = data.encode() if isinstance(data, str) else data
        until = time.monotonic() + seconds
        while data and time.monotonic() < until and self.p.poll() is None:
            self.read(0)
            _, ready, _ = select.select([], [self.master], [], 0.05)
            if ready:
                try:
                    data = data[os.write(self.master, data[:1024]):]
                except OSError as e:
                    if e.errno != errno.EAGAIN:
                        break
        return not data

    def expect(self, text, seconds=10, since=0):
        want = text.encode() if isinstance(text, str) else text
        until = time.monotonic() + seconds
        while want not in self.seen[since:] and time.monotonic() < until:
            if not self.read(0.02) and self.p.poll() is not None:
                break
        return check(want in self.seen[since:], "the console shows %r" % text, bytes(self.seen[-2000:]), self.errors())

    def errors(self):
        self.err.seek(0)
        return self.err.read()

    def wait(self, seconds=10):
        """Its exit code; negative for a signal."""
        until = time.monotonic() + seconds
        while self.p.poll() is None and time.monotonic() < until:
            self.read(0.01)
        if self.p.poll() is None:
            check(False, "the console ends within %g s" % seconds, self.args, self.errors())
            self.p.kill()
            self.p.wait()
        self.read(0)
        return self.p.returncode

    def restored(self, what):
        """The terminal is as it was: settings, and every mode that was set is reset."""
        check(termios.tcgetattr(self.slave) == self.before, "the terminal's settings are back: " + what)
        for mode in (b"1049", b"2004", b"1000", b"1006", b"2026"):
            on, off = self.seen.rfind(b"\x1b[?" + mode + b"h"), self.seen.rfind(b"\x1b[?" + mode + b"l")
            check(on <= off, "mode %s is reset: %s" % (mode.decode(), what), bytes(self.seen[-300:]))

    def ended(self, what, code=0, seconds=10):
        """Ends by itself with this code, cleanly, the terminal restored."""
        got = self.wait(seconds)
        check(got == code, "exit code %d: %s" % (code, what), got, self.errors())
        check(not SANITIZER.search(self.errors()), "no sanitizer complains: " + what, self.errors())
        self.restored(what)
        self.close()

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass


def verify(state, what, code=0):
    r = run("--state", state, "evidence", "verify", "--json", limit=60)
    check(r.code == code, "evidence verify exits %d: %s" % (code, what), r)
    return r.json() or {}


def entries(state, kind=None):
    args = ["--type", kind] if kind else []
    return run("--state", state, "evidence", "list", "--json", "--limit", "1000", *args).json() or []


def sealed(state, what):
    """Each session that ended was sealed by itself, not found unsealed by the next."""
    db = sqlite3.connect(state + "/console.db", timeout=5)
    rows = db.execute("SELECT seq, session, type FROM entries ORDER BY seq").fetchall()
    db.close()
    check(rows and rows[-1][2] == "session.seal", "the last entry is a seal: " + what, rows)
    check({r[1] for r in rows} == {r[1] for r in rows if r[2] == "session.seal"}, "each session is sealed: " + what, rows)


def logged(state, kind):
    """How many entries of a type are durable now; reads beside a running console."""
    try:
        db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
        try:
            return db.execute("SELECT count(*) FROM entries WHERE type = ?", (kind,)).fetchone()[0]
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def attack(*attacks, at_once=4):
    """Runs each attack in a process of its own, some at once; then ends with the sum."""
    global checks
    waiting, running = list(attacks), {}
    sys.stdout.flush()
    while waiting or running:
        while waiting and len(running) < at_once:
            one = waiting.pop(0)
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    start = time.monotonic()
                    checks = 0
                    failures.clear()
                    one()
                    os.write(writer, b"%d %d" % (checks, len(failures)))
                    print("%s: %d checks, %.1f s" % (one.__name__, checks, time.monotonic() - start))
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    os._exit(status)
            os.close(writer)
            running[pid] = (one, reader)
        pid, status = os.wait()
        if pid not in running:
            continue
        one, reader = running.pop(pid)
        counts = os.read(reader, 100).split()
        os.close(reader)
        checks += int(counts[0]) if counts else 0
        failures.extend([one.__name__] * (int(counts[1]) if counts else 0))
        if status or not counts:
            failures.append(one.__name__)
    finish()
