#!/usr/bin/env python3
"""Each subcommand that writes, with one of its system calls failing: it ends with an error that says so, or does
what it was asked; the next one finds the log whole. FAULTS=all tries every call, otherwise some of each kind;
FAULTS=few tries the fewest."""
import os
import random
import shutil
import sqlite3
import subprocess
import sys

from faultlib import BASE_ENV, TOP, attack, check, faults, fresh, logged, run, verify

OPEN, WRITE, SYNC, RENAME, TRUNCATE, LINK, UNLINK, MKDIR = range(8)
NAMES = ("open", "write", "fsync", "rename", "ftruncate", "link", "unlink", "mkdir")
EIO, ENOSPC = 5, 28
ONCE, SHORT, COUNT = 0, 2, 3
SOME = faults({WRITE: 2}, {OPEN: 2, WRITE: 4, SYNC: 2}, {})  # how many of a kind, where not all are tried; of others one
ALL = faults(False, False, True)
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)

if "clang" in os.environ.get("CC", ""):
    print("skipped: clang's sanitizer stands between the libraries and the system calls")
    sys.exit(77)
SHIM = fresh("shim") + ".so"
built = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", SHIM, TOP + "/tests/fault/shim/fail.c"])
check(built.returncode == 0, "the shim is built")
SOURCE = fresh()
check(run("--state", SOURCE, "ask", "is the disk filling up?").code == 0, "a log to begin with")


def failing(state, mark, kind, n, error, mode, *args):
    env = {"LD_PRELOAD": SHIM, "ASAN_OPTIONS": BASE_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0",
           "MCPC_FAIL": "%d %d %d %d %s %s" % (kind, n, error, mode, mark, state)}
    return run("--state", state, *args, env=env)


def copied(source):
    state = fresh()
    if source:
        shutil.copytree(source, state)
    return state


def chosen(rng, kind, count):
    """(n, errno, mode) of the calls that are to fail."""
    some = sorted(rng.sample(range(1, count + 1), min(count, SOME.get(kind, 1))))
    for n in range(1, count + 1) if ALL else some:
        ways = [(EIO, ONCE), (ENOSPC, ONCE)] if kind != UNLINK else [(EIO, ONCE)]
        if kind == WRITE:
            ways.append((ENOSPC, SHORT))
        for error, mode in ways if ALL else [rng.choice(ways)]:
            yield n, error, mode


def sweep(name, source, args, after, done=lambda state: True):
    rng = random.Random("%d %s" % (SEED, name))
    state, mark = copied(source), fresh("mark")
    asked, args = args, [a.replace("STATE", state) for a in args]
    r = failing(state, mark, 0, 1, EIO, COUNT, *args)
    if r.code == 2:
        print("%s: this console has no `%s`" % (name, " ".join(args)))
        return
    check(r.code == 0, "%s, while nothing fails" % name, r)
    with open(mark) as f:
        counts = [int(line) for line in f]
    check(sum(counts) > 5, "its calls are counted", counts)
    failed = 0
    for kind, count in enumerate(counts):
        for n, error, mode in chosen(rng, kind, count):
            what = "%s, %s %d of %d, errno %d, mode %d, seed %d" % (name, NAMES[kind], n, count, error, mode, SEED)
            state, mark = copied(source), fresh("mark")
            before = logged(state, after) if source and after else 0
            args = [a.replace("STATE", state) for a in asked]
            r = failing(state, mark, kind, n, error, mode, *args)
            failed += os.path.exists(mark)
            check(r.code in (0, 1), "ends by itself: " + what, r)
            check(r.code == 0 or b"what to do:" in r.err, "says what to do: " + what, r)
            verify(state, what)
            if r.code == 0 and after:
                check(logged(state, after) > before, "did what it said: " + what, r)
            check(r.code != 0 or done(state), "is done: " + what, r)
            again = run("--state", state, *args)
            check(again.code == 0 or done(state), "works again: " + what, again)
            check(done(state), "is done then: " + what, again)
            shutil.rmtree(state, True)
    check(failed > 0, "calls did fail", counts)
    print("%s: %s calls, %d of them failed" % (name, counts, failed))


def ask():
    sweep("ask", SOURCE, ["ask", "why is this machine slow?"], "answer")


def first():
    sweep("the first start", None, ["ask", "why is this machine slow?"], "answer")


def checkpoint():
    sweep("checkpoint", SOURCE, ["evidence", "checkpoint"], "checkpoint")


def erased(state):
    """Payloads 3 and 4 are gone, by the log's word."""
    db = sqlite3.connect(state + "/console.db", timeout=5)
    left = db.execute("SELECT count(*) FROM payloads WHERE seq IN (3, 4)").fetchone()[0]
    said = db.execute("SELECT count(*) FROM erased WHERE seq IN (3, 4)").fetchone()[0]
    db.close()
    return left == 0 and said == 2


def exported(state):
    return run("evidence", "verify", "--bundle", state + "/bundle").code == 0


def erase():
    sweep("erasure", SOURCE, ["retention", "erase", "--range", "3-4", "--reason", "a test", "--yes"], None, erased)


def export():
    sweep("export", SOURCE, ["evidence", "export", "--all", "--force", "-o", "STATE/bundle"], None, exported)


def rotate():
    sweep("rotation of the signing key", SOURCE, ["keys", "rotate"], "key.rotate")


attack(first, ask, checkpoint, rotate, erase, export)
