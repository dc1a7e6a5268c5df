#!/usr/bin/env python3
"""The terminal as the world has it: resized, hung up, stopped, not reading, of any name; and signals."""
import os
import random
import re
import signal
import subprocess
import time

from faultlib import (BIN, SANITIZER, Console, alive, attack, check, conf, entries, env_of, fresh, logged, run, sealed,
                      verify, wait_until)

SLOW_MODEL = """
[copilot]
models = slow builtin/lexical
[model "slow"]
kind = ollama
url = http://127.0.0.1:%d
model = slow-0.3
region = local
"""


def started(*args, **more):
    c = Console(*args, **more)
    check(wait_until(lambda: c.read(0.02) or c.seen, 10), "something is painted")
    return c


def ready(state, **more):
    c = started("--state", state, **more)
    check(wait_until(lambda: (c.read(0.02), logged(state, "session.start"))[1]), "the backend is up")
    return c


def answering(state, **more):
    c = ready(state, **more)
    c.write("why is this machine slow?\r")
    check(wait_until(lambda: (c.read(0.01), logged(state, "tool.call"))[1]), "it is answering")
    return c


def resize_storm():
    rng = random.Random(7)
    state = fresh()
    c = ready(state)
    sizes = [(1, 1), (3, 10), (200, 500), (1, 500), (500, 1), (2, 2), (12, 40), (24, 80), (36, 120), (60, 200), (0, 0)]
    for n in range(200):
        if n % 50 == 0:
            c.write("why is this machine slow?\r")
        rows, columns = sizes[n % len(sizes)] if n < 44 else (rng.randint(1, 100), rng.randint(1, 300))
        c.resize(rows, columns)
        c.read(rng.choice((0, 0, 0.001, 0.01)))
        if n % 7 == 0:
            c.write(rng.choice("\t?:/z\x1b12345"))
        if c.p.poll() is not None:
            break
    check(c.p.poll() is None, "it lives after 200 sizes", c.errors())
    c.resize(24, 80)
    c.read(0.3)
    c.write("\x1b")
    c.read(0.1)
    c.write("\x1b")
    c.read(0.1)
    at = len(c.seen)
    c.write("\x0c")
    c.expect("Arbitration", 10, at)
    c.write("\x03")
    c.ended("a storm of sizes")
    verify(state, "after a storm of sizes")
    for rows, columns in ((65535, 65535), (1, 65535), (1, 1), (0, 0)):
        c = started("--state", fresh(), rows=rows, columns=columns)
        c.write("\x03", 30)
        c.ended("a terminal of %dx%d at start" % (columns, rows), seconds=30)
    c = ready(fresh())
    c.resize(65535, 65535)
    c.read(1)
    c.resize(24, 80)
    c.read(0.3)
    c.write("\x03", 30)
    c.ended("an absurd size while it runs", seconds=30)
    for env in ({"LINES": "100000", "COLUMNS": "100000"}, {"LINES": "-1", "COLUMNS": "x"}, {"ESCDELAY": "100000"}):
        c = started("--state", fresh(), env=env)
        c.write("\x03")
        c.ended("%r" % env, seconds=20)


def ending_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        for busy in (False, True):
            state = fresh()
            c = answering(state) if busy else ready(state)
            start = time.monotonic()
            c.p.send_signal(number)
            what = "%s while %s" % (number.name, "answering" if busy else "idle")
            code = c.wait()
            took = time.monotonic() - start
            check(code == 0, "exit code: " + what, code, c.errors())
            check(took < 1.5, "a quick end (%.2f s): %s" % (took, what))
            check(not SANITIZER.search(c.errors()), "no sanitizer complains: " + what, c.errors())
            c.restored(what)
            c.close()
            sealed(state, what)
            verify(state, what)
    state = fresh()
    # A leak check stops the process by ptrace when it ends; signals in that moment can stop it for ever.
    unchecked = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    c = ready(state, env=unchecked)
    for _ in range(20):  # a shell and the kernel both say SIGHUP; a service manager repeats itself
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
            try:
                c.p.send_signal(number)
            except ProcessLookupError:
                pass
        time.sleep(0.004)
    c.ended("signals again and again while it ends")
    sealed(state, "signals again and again")


def reload_signal():
    """SIGHUP by kill(1), while the terminal is there: the configuration is read again, and a wrong one is an alert."""
    state, config = fresh(), conf("")
    c = started("--state", state, "--config", config)
    check(wait_until(lambda: (c.read(0.02), logged(state, "session.start"))[1]), "the backend is up")
    c.read(0.3)
    for n in range(2):
        c.p.send_signal(signal.SIGHUP)
        check(wait_until(lambda n=n: (c.read(0.02), logged(state, "conf.reload") > n)[1], 10), "SIGHUP %d is in the log" % n, c.errors())
    at = len(c.seen)
    with open(config, "w") as f:
        f.write("[connector \"x\"]\nkind = host\nlevel = everything\n")
    c.p.send_signal(signal.SIGHUP)
    c.expect("1 alert", 10, at)
    check(c.p.poll() is None, "the console is still there", c.errors())
    c.write("\x03")
    c.ended("after SIGHUP")
    said = [run("--state", state, "evidence", "show", str(row["seq"]), "--json").out for row in entries(state, "conf.reload")]
    check(any(("%s:3" % config).encode() in text and b"level" in text for text in said), "the alert names file, line and key", *said)
    verify(state, "after SIGHUP")


def other_signals():
    state = fresh()
    c = answering(state)
    for _ in range(2000):
        c.p.send_signal(signal.SIGWINCH)
    for _ in range(50):
        c.p.send_signal(signal.SIGPIPE)
        c.p.send_signal(signal.SIGCONT)
    c.read(0.2)
    check(c.p.poll() is None, "floods of SIGWINCH, SIGPIPE, SIGCONT")
    c.p.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    c.p.send_signal(signal.SIGCONT)
    at = len(c.seen)
    c.expect("Arbitration", 5, at)
    # As an orphaned process group it cannot be stopped: it goes on and paints again.
    at = len(c.seen)
    c.p.send_signal(signal.SIGTSTP)
    c.read(0.3)
    if c.p.poll() is None:
        c.p.send_signal(signal.SIGCONT)
    c.expect("Arbitration", 5, at)
    c.write("\x03")
    c.ended("floods of signals")
    sealed(state, "floods of signals")
    # Under a shell with job control: stopped, the terminal given back, then continued.
    state = fresh()
    c = Console.__new__(Console)
    shell_console(c, state)


def shell_console(c, state):
    import pty
    import tempfile
    import termios
    import fcntl
    c.master, c.slave = pty.openpty()
    c.resize(24, 80)
    c.before = termios.tcgetattr(c.slave)
    c.err, c.seen, c.args = tempfile.TemporaryFile(), bytearray(), ("shell",)
    # A leader that waits for its child with WUNTRACED, as a shell does.
    script = ("import os,sys,signal,time\n"
              "pid=os.fork()\n"
              "if pid==0:\n os.setpgid(0,0)\n signal.signal(signal.SIGTTOU,signal.SIG_DFL)\n time.sleep(0.2)\n os.execv(sys.argv[1],sys.argv[1:])\n"
              "signal.signal(signal.SIGTTOU,signal.SIG_IGN)\n"
              "try: os.setpgid(pid,pid)\nexcept OSError: pass\n"
              "os.tcsetpgrp(0,pid)\n"
              "_,s=os.waitpid(pid,os.WUNTRACED)\n"
              "os.write(1,b'<stopped %d>' % os.WIFSTOPPED(s))\n"
              "time.sleep(0.3)\n"
              "os.write(1,b'<continue>')\n"
              "os.kill(pid,signal.SIGCONT)\n"
              "_,s=os.waitpid(pid,0)\n"
              "os.write(1,b'<code %d>' % os.waitstatus_to_exitcode(s))\n")
    c.p = subprocess.Popen(["python3", "-c", script, BIN, "--state", state], env=env_of({}), stdin=c.slave, stdout=c.slave,
                           stderr=c.err, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.set_blocking(c.master, False)
    wait_until(lambda: (c.read(0.02), logged(state, "session.start"))[1])
    c.read(0.3)
    c.write("\x1a")
    c.expect("<stopped 1>", 5)
    check(termios.tcgetattr(c.slave) == c.before, "Ctrl-Z gives the terminal back")
    check(b"\x1b[?1049l" in c.seen, "Ctrl-Z leaves the other screen")
    c.expect("<continue>", 5)
    c.expect("Arbitration", 5, c.seen.find(b"<continue>"))
    c.write("\x03")
    c.expect("<code 0>", 10)
    c.wait()
    c.restored("Ctrl-Z and back")
    c.close()
    sealed(state, "Ctrl-Z and back")


def hang_up():
    for controlling in (True, False):
        for busy in (False, True):
            state = fresh()
            c = answering(state, controlling=controlling) if busy else ready(state, controlling=controlling)
            what = "hang-up, %s terminal, %s" % ("controlling" if controlling else "other", "busy" if busy else "idle")
            os.close(c.slave)
            os.close(c.master)
            ended = wait_until(lambda: c.p.poll() is not None, 5)
            check(ended, "it ends: " + what)
            check(c.p.poll() in (0, None), "exit code 0: " + what, c.p.poll(), c.errors())
            check(not SANITIZER.search(c.errors()), "no sanitizer complains: " + what, c.errors())
            c.p.kill()
            c.p.wait()
            sealed(state, what)
    # A terminal that does not read: nothing may wait for it when the process is to end.
    state = fresh()
    c = ready(state, rows=100, columns=300)
    for n in range(400):
        c.resize(100 + n % 2, 300)
        time.sleep(0.002)
        try:
            os.write(c.master, b"\x0c\t")
        except BlockingIOError:
            pass
    start = time.monotonic()
    c.p.send_signal(signal.SIGTERM)
    ended = wait_until(lambda: c.p.poll() is not None, 5)
    check(ended, "it ends although the terminal does not read (%.1f s)" % (time.monotonic() - start))
    c.wait()
    c.restored("a terminal that does not read")
    c.close()
    sealed(state, "a terminal that does not read")


def names():
    for term in ("xterm-256color", "xterm", "vt100", "linux", "screen", "screen-256color", "tmux-256color", "rxvt", "ansi",
                 "xterm-mono", "nosuchterminal", "../../etc/passwd", "x" * 5000, ""):
        for env in ({}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}, {"LC_ALL": None, "LANG": "xx_XX"}):
            if env and term not in ("xterm-256color", "linux", "vt100"):
                continue
            env = dict(env, TERM=term)
            c = Console("--state", fresh(), env=env)
            c.expect("mcp-console", 10)
            c.write("что\x1b[A\x1b[B\t")
            c.read(0.05)
            c.write("\x03")
            what = "%.60r" % env
            c.ended(what)
            if "NO_COLOR" in env:
                check(not re.search(rb"\x1b\[(3|4)8;|\x1b\[[34][0-7]m", c.seen), "no colour: " + what, bytes(c.seen[:600]))
            if term == "linux":
                check(b";5;" not in c.seen, "eight colours on the linux console", bytes(c.seen[:600]))
    for term in ("dumb", "unknown", None):  # these two say that they can show nothing
        c = Console("--state", fresh(), env={"TERM": term})
        if term is None:
            c.expect("mcp-console", 10)
            c.write("\x03")
            c.ended("TERM unset")
        else:
            code = c.wait(5)
            check(code == 1 and b"mcp-console ask" in c.errors(), "TERM=%s is told" % term, code, c.errors(), c.seen)
            check(b"\x1b" not in c.seen + c.errors(), "no escapes with TERM=%s" % term, c.seen)
            c.close()
    c = Console("--state", fresh(), env={"TERMINFO": "/nonexistent", "TERMINFO_DIRS": "/nonexistent"})
    c.read(0.5)
    c.write("\x03")
    code = c.wait()
    check(code in (0, 1) and (code == 0 or c.errors()), "no terminfo", code, c.errors())
    c.close()
    for stream in (0, 1):  # one of the two is no terminal
        master, slave = os.openpty()
        with open("/dev/null", "r+b") as null:
            p = subprocess.Popen([BIN, "--state", fresh()], env=env_of({}), stdin=null if stream == 0 else slave,
                                 stdout=null if stream == 1 else slave, stderr=subprocess.PIPE, start_new_session=True)
            err = p.communicate(timeout=20)[1]
        check(p.returncode == 1 and b"needs a terminal" in err, "stream %d is no terminal" % stream, err)
        os.close(slave)
        os.set_blocking(master, False)
        try:
            got = os.read(master, 4096)
        except OSError:
            got = b""
        check(got == b"", "nothing is written to the other", got)
        os.close(master)


def subcommands():
    """A signal ends a subcommand in order: the session sealed, no child left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        state, path = fresh(), conf("[connector \"a\"]\nkind = mcp-stdio\ncommand = sleep 1000.%d\nregion = local\n" % number)
        p = subprocess.Popen([BIN, "--config", path, "--state", state, "ask", "why is this machine slow?"], env=env_of({}),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: logged(state, "session.start"))
        time.sleep(0.05)
        start = time.monotonic()
        p.send_signal(number)
        out, err = p.communicate(timeout=10)
        took = time.monotonic() - start
        check(p.returncode == -number, "the shell sees that %s ended it" % number.name, p.returncode, out, err)
        check(took < 1.5, "quickly (%.2f s)" % took)
        check(not SANITIZER.search(err) and b"\x1b" not in err, "cleanly", err)
        sealed(state, "a subcommand ended by " + number.name)
    assert alive


attack(resize_storm, ending_signals, reload_signal, other_signals, hang_up, names, subcommands)
