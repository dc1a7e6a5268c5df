#!/usr/bin/env python3
"""The state directory as it should not be: newer, damaged, locked, unwritable, full, with the wrong key."""
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import time

from faultlib import BIN, WORK, Console, alive, attack, check, entries, env_of, fresh, logged, run, verify, wait_until

ROOT = os.geteuid() == 0


def made():
    """A state directory with a few entries in it, closed."""
    state = fresh()
    r = run("--state", state, "ask", "is the disk filling up?")
    check(r.code == 0, "a fresh state works", r)
    return state


SOURCE = made()


def copied():
    state = fresh()
    shutil.copytree(SOURCE, state)
    return state


def files(state):
    out = {}
    for folder, _, names in os.walk(state):
        for name in names:
            if name != "lock":
                with open(os.path.join(folder, name), "rb") as f:
                    out[name] = f.read()
    return out


def refused(state, what, *words, code=1, untouched=True, args=("ask", "disk?")):
    """Subcommand and console refuse, say why, and change nothing."""
    before = files(state) if untouched else None
    r = run("--state", state, *args)
    check(r.code == code, "exit %d: %s" % (code, what), r)
    for word in words:
        check(word.encode() in r.err, "says %r: %s" % (word, what), r)
    check(b"what to do:" in r.err, "says what to do: " + what, r)
    c = Console("--state", state)
    c.ended(what + " (console)", code)
    for word in words:
        check(word.encode() in c.errors(), "the console says %r: %s" % (word, what), c.errors())
    if untouched:
        check(files(state) == before, "nothing is changed: " + what)
    r = run("--state", state, "doctor")
    check(r.code == 1 and b"fail" in r.out, "the doctor says so: " + what, r)


def database():
    state = copied()
    db = sqlite3.connect(state + "/console.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    refused(state, "a database of a newer version", "newer version", "99")

    for name, change in (("header", lambda f: f.write(b"\0" * 100)), ("garbage", lambda f: f.write(os.urandom(4096))),
                         ("no database", lambda f: (f.truncate(0), f.write(b"hello, world\n" * 100)))):
        state = copied()
        with open(state + "/console.db", "r+b") as f:
            change(f)
        refused(state, "a database with a damaged " + name, "damaged", untouched=False)
        check(os.path.getsize(state + "/console.db") > 0, "the damaged file is kept: " + name)

    for cut in (4096, 8192, 20000):  # pages torn off
        state = copied()
        os.truncate(state + "/console.db", cut)
        r = run("--state", state, "evidence", "verify")
        check(r.code in (1, 4), "a database cut at %d" % cut, r)
    state = copied()
    os.truncate(state + "/console.db", 0)  # as new: an empty database with a key beside it
    r = run("--state", state, "cost")
    check(r.code == 0, "an empty file becomes a database", r)
    for page in range(1, os.path.getsize(SOURCE + "/console.db") // 4096, 3):
        state = copied()
        with open(state + "/console.db", "r+b") as f:
            f.seek(4096 * page)
            f.write(b"\xa5" * 4096)
        r = run("--state", state, "evidence", "verify")
        check(r.code in (0, 1, 4) and (r.code == 0 or r.err or r.out), "page %d overwritten" % page, r)
        shutil.rmtree(state)

    state = copied()
    db = sqlite3.connect(state + "/console.db")
    db.executescript("DROP TABLE ledger; DROP TABLE ledger_days; DROP TABLE traces")
    db.close()
    r = run("--state", state, "cost")
    check(r.code in (0, 1), "tables are missing", r)  # whichever of them the subcommand reads
    state = copied()
    db = sqlite3.connect(state + "/console.db")
    db.executescript("CREATE TRIGGER x AFTER INSERT ON entries BEGIN DELETE FROM entries; END")
    db.close()
    r = run("--state", state, "evidence", "verify")
    check(r.code == 0 and len(entries(state)) > 15, "a trigger that deletes entries does not run", r)


def write_ahead_log():
    state = fresh()
    c = Console("--state", state)
    c.expect("intact", 10)
    c.write("disk?\r")
    wait_until(lambda: (c.read(0.02), logged(state, "answer") == 1)[1])
    c.p.kill()
    c.p.wait()
    c.close()
    check(os.path.exists(state + "/console.db-wal"), "kill -9 leaves a write-ahead log")
    whole = fresh()
    shutil.copytree(state, whole)
    report = verify(whole, "with its write-ahead log")
    check(report.get("size", 0) > 3, "its entries are there", report)
    os.unlink(state + "/console.db-wal")
    r = run("--state", state, "evidence", "verify")
    check(r.code in (0, 1, 4), "without its write-ahead log", r)
    shutil.copytree(whole, state, dirs_exist_ok=True)
    with open(state + "/console.db-wal", "wb") as f:
        f.write(os.urandom(50000))
    r = run("--state", state, "evidence", "verify")
    check(r.code == 0, "a write-ahead log of noise is not believed", r)


def key():
    state = copied()
    os.unlink(state + "/keys/master.key")
    refused(state, "no master key", "master.key", "restore the key")
    check(not os.path.exists(state + "/keys/master.key"), "no key is made for a log that had another")
    shutil.copy(SOURCE + "/keys/master.key", state + "/keys/master.key")
    verify(state, "with its key again")
    for mode in (0o644, 0o640, 0o604, 0o666):
        state = copied()
        os.chmod(state + "/keys/master.key", mode)
        refused(state, "a key of mode %o" % mode, "master.key", "chmod")
    state = copied()
    os.chmod(state + "/keys", 0o755)
    refused(state, "a key directory for all", "keys", "chmod")
    for name, make in (("empty", lambda p: open(p, "wb").close()), ("short", lambda p: open(p, "wb").write(b"x" * 31)),
                       ("long", lambda p: open(p, "wb").write(b"x" * 33)), ("a directory", os.mkdir),
                       ("a link", lambda p: os.symlink("/dev/zero", p)), ("a pipe", os.mkfifo)):
        state = copied()
        os.unlink(state + "/keys/master.key")
        make(state + "/keys/master.key")
        os.chmod(state + "/keys/master.key", 0o700 if name == "a directory" else 0o600, follow_symlinks=name != "a link") \
            if name != "a link" else None
        untouched = name in ("empty", "short", "long")
        refused(state, "a key that is " + name, "master.key", untouched=untouched)
    other = made()
    state = copied()
    shutil.copy(other + "/keys/master.key", state + "/keys/master.key")
    r = run("--state", state, "evidence", "verify")
    check(r.code == 0 and b"stay sealed" in r.out, "a database of another key: the chain is whole, payloads stay sealed", r)
    r = run("--state", state, "evidence", "show", "1")
    check(b"master key" in r.out + r.err, "the payload of another key says so", r)
    r = run("--state", state, "ask", "disk?")
    check(r.code == 0, "new questions are answered with another key", r)
    c = Console("--state", state, rows=36, columns=120)
    c.expect("intact", 10)
    c.write("\x03")
    c.ended("a console on a log of another key")
    state = copied()
    db = sqlite3.connect(state + "/console.db")
    db.execute("UPDATE data_keys SET wrap = zeroblob(72)")
    db.commit()
    db.close()
    verify(state, "a wrapped key that was changed is tampering", 4)


def places():
    os.makedirs(WORK + "/p")
    open(WORK + "/p/file", "w").close()
    os.symlink(WORK + "/p/loop", WORK + "/p/loop")
    os.symlink(WORK + "/p/nowhere", WORK + "/p/dangling")
    for path in ("file", "file/below", "loop", "loop/below", "dangling", "x" * 256):
        r = run("--state", WORK + "/p/" + path, "cost")
        check(r.code == 1 and path[:20].encode() in r.err and b"what to do" in r.err, "state is %.20s" % path, r)
    for path in ("/proc/self/x", "/dev/null"):
        r = run("--state", path, "cost")
        check(r.code == 1 and r.err, "state is " + path, r)
    r = run("--state", "", "cost")
    check(r.code in (1, 2) and r.err, "state is nothing", r)
    os.makedirs(WORK + "/p/deep")
    here = os.getcwd()
    os.chdir(WORK + "/p/deep")
    r = run("--state", "relative/" + "d" * 100, "cost")
    os.chdir(here)
    check(r.code == 0, "a relative state directory", r)
    state = copied()
    os.unlink(state + "/lock")
    os.symlink(WORK + "/p/target", state + "/lock")
    r = run("--state", state, "cost")
    check(r.code == 1 and not os.path.exists(WORK + "/p/target"), "a lock that is a link is not followed", r)
    state = fresh()
    os.mkdir(state)
    os.symlink(WORK + "/p/target", state + "/console.db")
    r = run("--state", state, "cost")
    check(r.code == 1 and not os.path.exists(WORK + "/p/target"), "a database that is a link is not followed", r)
    state = fresh()
    os.makedirs(state + "/console.db")
    r = run("--state", state, "cost")
    check(r.code == 1 and b"console.db" in r.err, "a database that is a directory", r)
    state = fresh()
    run("--state", state, "cost")
    for path, mode in ((state, 0o700), (state + "/console.db", 0o600), (state + "/keys", 0o700), (state + "/keys/master.key", 0o600)):
        check(stat.S_IMODE(os.stat(path).st_mode) == mode, "%s is private" % path, oct(os.stat(path).st_mode))
    if ROOT:  # root may write anywhere: be nobody
        state = copied()
        os.chmod(WORK, 0o755)
        os.chmod(state, 0o555)
        for folder, _, names in os.walk(state):
            for path in [folder] + [os.path.join(folder, n) for n in names]:
                os.chown(path, 65534, 65534)
        program = WORK + "/program"  # nobody may not enter root's folders
        shutil.copyfile(BIN, program)
        os.chmod(program, 0o755)
        r = subprocess.run([program, "--state", state, "cost"], user=65534, group=65534, extra_groups=[], env=env_of({}),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(r.returncode == 1 and b"cannot be written" in r.stderr, "an unwritable state directory", r.stderr)
        os.unlink(program)
        os.chmod(WORK, 0o700)
    else:
        state = copied()
        os.chmod(state, 0o555)
        refused(state, "an unwritable state directory", "cannot be written")
        os.chmod(state, 0o700)


def second_console():
    state = fresh()
    c = Console("--state", state)
    c.expect("intact", 10)
    pid = c.p.pid
    r = run("--state", state, "ask", "disk?")
    check(r.code == 1 and str(pid).encode() in r.err and b"another console" in r.err, "a second one names the first", r)
    d = Console("--state", state)
    d.ended("a second console", 1)
    check(str(pid).encode() in d.errors(), "a second console names the first", d.errors())
    c.write("is the disk filling up?\r")
    wait_until(lambda: (c.read(0.02), logged(state, "answer") == 1)[1])
    c.write("\x03")
    c.ended("the first console", 0)
    verify(state, "after a second console")
    check(len(entries(state, "question")) == 1, "the question of the first is there")
    with open(state + "/lock", "w") as f:
        f.write("junk\n" * 1000)  # a stale lock of anything does not matter
    check(run("--state", state, "cost").code == 0, "a stale lock")


def limit(size):
    def preexec():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return preexec


def full_at_start():
    for size in (0, 10, 4096, 30000, 90000):
        state = fresh()
        r = run("--state", state, "ask", "disk?", preexec_fn=limit(size))
        check(r.code == 1 and r.err, "files of at most %d bytes, from nothing" % size, r)
        r = run("--state", state, "ask", "disk?")
        check(r.code == 0, "and with space again (%d)" % size, r)
        verify(state, "after %d bytes" % size)
        state = copied()
        r = run("--state", state, "ask", "disk?", preexec_fn=limit(size))
        check(r.code == 1 and r.err, "files of at most %d bytes, on a log" % size, r)
        r = run("--state", state, "evidence", "list", preexec_fn=limit(size))
        check(r.code in (0, 1), "reading on a full disk", r)
        verify(state, "a log after %d bytes" % size)


def full_of_names():
    """The database can be opened; the files that SQLite puts beside it cannot be made."""
    state = fresh("names")
    os.mkdir(state)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3,mode=700", "tmpfs", state], stderr=subprocess.DEVNULL).returncode:
        print("no small file system can be mounted: a directory that takes no further name is not tried")
        return
    try:
        r = run("--state", state, "cost")
        check(r.code == 1 and b"disk is full" in r.err, "no room for a name", r, os.listdir(state))
        subprocess.run(["mount", "-o", "remount,nr_inodes=1000", state], check=True)
        check(run("--state", state, "cost").code == 0, "and with room")
    finally:
        subprocess.run(["umount", "-l", state])


def full_while_running():
    mount = fresh("small")
    os.mkdir(mount)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], stderr=subprocess.DEVNULL).returncode:
        print("no small file system can be mounted: the disk does not become full while running")
        return
    try:
        state = mount + "/state"
        c = Console("--state", state, rows=36, columns=120)
        c.expect("intact", 10)
        c.write("is the disk filling up?\r")
        check(wait_until(lambda: (c.read(0.02), logged(state, "answer") == 1)[1]), "a question with space")
        with open(mount + "/filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        for n in range(3):
            at = len(c.seen)
            c.write("why is this machine slow?\r")
            c.expect("disk is full", 10, at)
            c.write("\x1b")
            c.read(0.3)
        at = len(c.seen)
        c.write("\t")  # reading goes on
        c.read(0.3)
        check(len(c.seen) > at and alive(c.p.pid), "the console goes on reading")
        os.unlink(mount + "/filler")
        c.write("\x1b[Z")
        c.read(0.3)
        at = len(c.seen)
        c.write("which process eats memory?\r")
        check(wait_until(lambda: (c.read(0.02), logged(state, "answer") == 2)[1]), "a question with space again", c.seen[-2000:])
        c.write("\x03")
        c.ended("a disk that was full", 0)
        asked = entries(state, "question")
        check(len(asked) == 2, "what was refused is not in the log, what came after is", asked)
        verify(state, "after a full disk")
        with open(mount + "/filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 512)
            except OSError:
                pass
        r = run("--state", state, "ask", "disk?")
        check(r.code == 1 and b"disk is full" in r.err, "a full disk at start", r)
        r = run("--state", state, "evidence", "verify")
        check(r.code in (0, 1) and b"TAMPERED" not in r.out, "verification on a full disk", r)
        r = run("--state", mount + "/new", "cost")
        check(r.code == 1 and b"full" in r.err, "a fresh state on a full disk", r)
        os.unlink(mount + "/filler")
        verify(state, "with space again")
    finally:
        subprocess.run(["umount", "-l", mount])


attack(database, write_ahead_log, key, places, second_console, full_at_start, full_of_names, full_while_running)
