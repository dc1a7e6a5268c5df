#!/usr/bin/env python3
"""kill -9 at 30 moments (FAULTS: 10, 200) while questions run: what was acknowledged is there and verifies, no child is left."""
import os
import random
import sqlite3

from faultlib import PEER, Console, check, conf, faults, finish, fresh, logged, processes_with, run, verify, wait_until

ROUNDS = faults(10, 30, 200)
rng = random.Random(int(os.environ.get("SEED", "1")))
state, mark = fresh(), "mcpc-kill-%d" % os.getpid()
path = conf("""
[copilot]
resume_minutes = 0
[connector "peer"]
kind = mcp-stdio
command = python3 %s --slow 20 --version 2025-11-25 --log %s
read_tools = echo add
region = local
""" % (PEER, fresh(mark)))
seen = {}  # every entry that was durable when somebody looked, by its number


def durable():
    db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
    try:
        rows = db.execute("SELECT seq, entry FROM entries WHERE seq >= ?", (max(seen, default=-1) + 1,)).fetchall()
    finally:
        db.close()
    return dict(rows)


for n in range(ROUNDS):
    c = Console("--config", path, "--state", state)
    before = logged(state, "session.start")
    wait_until(lambda: (c.read(0.005), logged(state, "session.start") > before)[1])
    for question in ("why is this machine slow?", "что с диском?")[:rng.randint(1, 2)]:
        c.write(question + "\r")
    c.read(rng.choice((0.0, 0.01, 0.03, 0.06, 0.1, 0.2)) * rng.random())
    seen.update(durable())  # durable, so it may have been acknowledged
    c.read(rng.random() * 0.02)
    c.p.kill()
    c.p.wait()
    c.close()
    now = {}
    db = sqlite3.connect(state + "/console.db", timeout=5)
    for seq, entry in db.execute("SELECT seq, entry FROM entries"):
        now[seq] = entry
    db.close()
    check(all(now.get(seq) == entry for seq, entry in seen.items()), "round %d: everything acknowledged is there" % n)
    if n % 10 == 9:
        report = verify(state, "round %d" % n)
        check(report.get("problems") == [], "no problem in round %d" % n, report)

check(wait_until(lambda: not processes_with(mark), 3), "no MCP server is left", processes_with(mark))
report = verify(state, "at the end")
check(report.get("checked", 0) >= len(seen), "all of them are checked", report)
# The console marks what was interrupted as stopped; `ask` on the same state still works.
c = Console("--config", path, "--state", state, rows=36, columns=120)
c.expect("stopped", 10)
c.write("\x03")
c.ended("a console on a state that was killed often")
def left():
    db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
    try:
        return db.execute("SELECT count(*) FROM traces WHERE state = 'running'").fetchone()[0]
    finally:
        db.close()


# One that may goes on with what was interrupted, as many at once as there may be.
before = left()
c = Console("--state", state)
check(wait_until(lambda: (c.read(0.05), left() <= max(0, before - 32))[1], 20), "what was interrupted is answered", before, left())
c.write("\x03")
c.ended("a console that went on with what was interrupted")
r = run("--state", state, "ask", "--json", "is the evidence intact?")
check(r.code == 0 and (r.json() or {}).get("state") == "done", "a question after that", r)
db = sqlite3.connect(state + "/console.db")
opened = {row[0] for row in db.execute("SELECT DISTINCT session FROM entries")}
unsealed = [row[0] for row in db.execute("SELECT session FROM sessions WHERE seal IS NULL")]
db.close()
check(len(unsealed) == 0, "sessions that were killed are sealed when they are found", len(opened), unsealed)
finish()
