#!/usr/bin/env python3
"""A clock that goes backwards and jumps: nothing waits for it, nothing is lost, the log verifies, its times are as
read. The retention job erases nothing before its time and does not stop for ever; the background verification goes on."""
import os
import sqlite3
import struct
import subprocess
import sys
import time

from faultlib import BASE_ENV, TOP, Console, check, conf, entries, finish, fresh, logged, run, sealed, verify, wait_until

if "clang" in os.environ.get("CC", ""):
    # its sanitizer asks the clock for every library, from inside the program: the shim cannot tell them apart
    print("skipped: clang's sanitizer stands between the libraries and the clock")
    sys.exit(77)
shim = fresh("shim") + ".so"
built = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", shim, TOP + "/tests/fault/shim/clock.c"])
check(built.returncode == 0, "the shim is built")
ENV = {"LD_PRELOAD": shim, "ASAN_OPTIONS": BASE_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
state = fresh()
for n in range(3):
    r = run("--state", state, "ask", "--json", "why is this machine slow?", env=ENV)
    answer = r.json() or {}
    check(r.code == 0 and answer.get("answer"), "a question while the clock jumps", r)
    check(0 <= answer.get("elapsed_ms", -1) < 10000, "elapsed time is by the other clock", answer.get("elapsed_ms"))
    check(all(0 <= s.get("elapsed_ms", s.get("ms", 0)) < 10000 for s in answer.get("stages", [])), "so are the stages", answer.get("stages"))
    check(r.seconds < 5, "nothing waits for it (%.1f s)" % r.seconds)
for command in (["score"], ["cost", "--json"], ["doctor"], ["evidence", "list"]):
    check(run("--state", state, *command, env=ENV).code == 0, "%r" % command)
c = Console("--state", state, env=ENV)
wait_until(lambda: (c.read(0.02), logged(state, "session.start") >= 8)[1])
c.write("is the disk filling up?\r")
check(wait_until(lambda: (c.read(0.02), logged(state, "answer") == 4)[1]), "the console answers while the clock jumps")
start = time.monotonic()
c.read(1.0)
at = len(c.seen)
c.write("\x03")
c.ended("a clock that jumps")
check(time.monotonic() - start < 3, "it ends quickly")
# Checkpoints by the second: the time between them is not by the clock that jumps.
path = conf("[evidence]\ncheckpoint_seconds = 1\ncheckpoint_entries = 0\n")
signed = logged(state, "checkpoint")
c = Console("--config", path, "--state", state, env=ENV)
wait_until(lambda: (c.read(0.02), logged(state, "session.start") >= 9)[1])
for n in range(3):
    c.write("is the disk filling up?\r")
    check(wait_until(lambda: (c.read(0.02), logged(state, "checkpoint") > signed + n)[1]), "checkpoint %d by time" % n)
c.write("\x03")
c.ended("checkpoints while the clock jumps")
r = run("--state", state, "evidence", "checkpoint", "--json", env=ENV)
check(r.code == 0 and (r.json() or {}).get("note"), "a checkpoint on demand", r)
stamps = [e["ts"] for e in entries(state)]
check(stamps != sorted(stamps, reverse=True), "the clock did go backwards", stamps[:5])
verify(state, "after a clock that jumps")
sealed(state, "after a clock that jumps")

# ---- set wrong by so many days, and both clocks moved while the console runs
DAY = 86400
clocks = fresh("clocks")
ENV["MCPC_CLOCK"] = clocks


def set_clocks(days, mono=0):
    """The monotonic clock only goes forth: it makes timers due."""
    with open(clocks, "r+b" if os.path.exists(clocks) else "wb") as f:
        f.write(struct.pack("qq", int(days * DAY), mono))


def scalar(sql):
    db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
    try:
        row = db.execute(sql).fetchone()
        return row[0] if row else None
    finally:
        db.close()


def texts():
    return scalar("SELECT count(*) FROM payloads p JOIN entries e ON e.seq = p.seq WHERE e.type IN ('question', 'answer')")


def job_days():
    """When the job ran, in days from now; None: never."""
    at = scalar("SELECT value FROM retention_state WHERE name = 'job_at'")
    return at and (at / 1000 - time.time()) / DAY


def near(days):
    return lambda: (c.read(0.02), job_days() is not None and abs(job_days() - days) < 0.5)[1]


def console(days):
    set_clocks(days)
    sessions = logged(state, "session.start")
    c = Console("--config", path, "--state", state, env=ENV, columns=160)
    check(wait_until(lambda: (c.read(0.02), logged(state, "session.start") > sessions)[1]), "it starts, %g days off" % days)
    wait_until(lambda: (c.read(0.02), os.path.exists(state + "/verified"))[1])
    return c


def leave(c, what):
    c.write("\x03")
    c.ended(what)


state = fresh()
path = conf("[retention]\ndialogue_days = 5\ntelemetry_days = 5\n[evidence]\nverify_hours = 1\n")


def ask(days):
    set_clocks(days)
    r = run("--config", path, "--state", state, "ask", "is the disk filling up?", env=ENV)
    check(r.code == 0, "a question, %g days off" % days, r)


ask(0)
check(texts() == 2, "texts to keep", texts())
# Ten years ahead: from the start on, while it runs, and when it is told to.
c = console(3650)
set_clocks(3650, 10)
c.expect("1 alert")
leave(c, "ten years ahead from the start on")
c = console(0)
set_clocks(0, 10)
check(wait_until(near(0)), "the job runs", job_days())
seen = len(c.seen)
set_clocks(3650, 80)
c.expect("1 alert", since=seen)
set_clocks(0, 150)
leave(c, "ten years ahead for a while")
set_clocks(3650)
r = run("--config", path, "--state", state, "retention", "run", env=ENV)
check(r.code == 1 and b"days ahead" in r.err, "the job refuses a clock far ahead", r)
check(texts() == 2 and logged(state, "erase") == 0, "nothing is erased by a clock far ahead", texts())
# A little ahead, then right: what ran in the future counts as not run.
ask(0)
c = console(3)
set_clocks(3, 10)
check(wait_until(near(3)), "the job runs, three days ahead", job_days())
set_clocks(0, 80)
check(wait_until(near(0)), "and again when the clock is right", job_days())
# Ten years back, while it runs and in a session of its own, whose times are too early by as much.
set_clocks(-3650, 150)
check(wait_until(near(-3650)), "the job runs, ten years back", job_days())
leave(c, "ten years back")
ask(-3650)
c = console(0)
set_clocks(0, 10)
check(wait_until(near(0)), "the job runs when the clock is right again", job_days())
leave(c, "after ten years back")
check(texts() == 6 and logged(state, "erase") == 0, "nothing is erased too early", texts())
# Not for ever: what is over its time goes. The console was there three days ahead: that counts as the youngest time.
c = console(9)
set_clocks(9, 10)
check(wait_until(lambda: (c.read(0.02), texts() == 0)[1]), "what is over its time goes", texts())
check(wait_until(lambda: (c.read(0.02), logged(state, "retention.act") == 1)[1]), "with its act")
leave(c, "nine days later")
verify(state, "after clocks set wrong")


# The background verification goes by the other clock: it comes round, and takes no time for tampering.
def verified():
    with open(state + "/verified") as f:
        return f.read()


reports, before = logged(state, "verify"), verified()
c = console(0)
check(wait_until(lambda: (c.read(0.02), verified() != before)[1]), "verified at start")  # the next one's time counts from here
hours = 0
for days in (0, -3650, 3650, -1, 0):
    before, done = verified(), False
    for again in range(5):  # a clock that jumps before the next one's time is set only puts it off
        hours += 2
        set_clocks(days, hours * 3600)
        done = done or wait_until(lambda: (c.read(0.02), verified() != before)[1], 3)
        if done:
            break
    check(done, "verified in the background, %d days off" % days)
leave(c, "verifications by wrong clocks")
check(logged(state, "verify") == reports and scalar("SELECT count(*) FROM epochs") == 1, "nothing looks tampered with")
verify(state, "after verifications by wrong clocks")
sealed(state, "after clocks set wrong")
finish()
