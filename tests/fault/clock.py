#!/usr/bin/env python3
"""A clock that goes backwards: nothing waits for it, nothing is lost, the log verifies, its times are as read."""
import os
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
finish()
