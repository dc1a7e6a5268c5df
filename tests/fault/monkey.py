#!/usr/bin/env python3
"""Random keys, escape sequences, mouse reports and pastes; a paste that holds its own end; a paste of 1 MB;
the keys of the panes that act."""
import json
import os
import random
import subprocess
import time

from faultlib import BIN, TOP, Console, attack, check, conf, env_of, faults, fresh, logged, sealed, verify, wait_until

BYTES = faults(8000, 20000, 400000)
KEYS = [b"\t", b"\r", b"\x1b", b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[5~", b"\x1b[6~", b"\x1b[H", b"\x1b[F", b"\x1bOP",
        b"\x1b[21~", b"\x1b[Z", b"1", b"2", b"3", b"4", b"5", b"?", b":", b"/", b"z", b"s", b"\x7f", b"\x0c", b"\x10", b"\x15",
        b"\x17", b"\x0b", b"\x19", "ж".encode(), "漢".encode(), "🙂".encode(), "e\u0301".encode(), b"\xff", b"\xc0\x80", b"\xe2\x82",
        b"\x1b\r", b"\x1b[1;5D", b"\x1b[1;5C", b"\x1b]0;x\x07", b"\x1b[999999999999m", b"\x1b[<", b"\x1b[<0;1", b"\x1b[200~", b"\x1b[201~",
        b"disk? ", b"y", b"n", b"e", b"v", b"r", b"\x00", b"\x1bP1$q\x1b\\", b"\x1b[?1;2c", b"\x9b1m", b"\x1b[M !!"]


def mouse(rng):
    return b"\x1b[<%d;%d;%d%s" % (rng.choice((0, 1, 2, 32, 64, 65, 99999)), rng.choice((0, 1, 40, 80, 500, 99999999)) or rng.randint(1, 80),
                                  rng.randint(0, 40), rng.choice((b"M", b"m")))


def bytes_of(rng, total):
    out = bytearray()
    while len(out) < total:
        kind = rng.random()
        if kind < 0.6:
            out += rng.choice(KEYS)
        elif kind < 0.75:
            out += mouse(rng)
        elif kind < 0.85:
            out += bytes(rng.randint(0, 255) for _ in range(rng.randint(1, 6)))
        elif kind < 0.9:
            out += b"\x1b[200~" + bytes(rng.randint(0, 255) for _ in range(rng.randint(0, 60))) + b"\x1b[201~"
        else:
            out += bytes(rng.randint(32, 126) for _ in range(rng.randint(1, 10)))
    # Leaving, stopping and suspending are not what is tried here: q, Ctrl-C, Ctrl-Z.
    return bytes(b for b in out if b not in b"\x03\x1aqQ")


def monkey(seed, rows, columns):
    rng = random.Random(seed)
    state = fresh()
    c = Console("--state", state, rows=rows, columns=columns)
    wait_until(lambda: (c.read(0.02), logged(state, "session.start"))[1])
    data = bytes_of(rng, BYTES)
    at = 0
    while at < len(data) and c.p.poll() is None:
        n = rng.choice((1, 3, 20, 200))
        c.write(data[at:at + n])
        at += n
        if rng.random() < 0.02:
            c.resize(rng.randint(1, 60), rng.randint(1, 200))
    check(c.p.poll() is None, "it lives after %d bytes of seed %d" % (BYTES, seed), c.errors()[-3000:], data[max(0, at - 100):at])
    c.resize(24, 80)
    c.write("\x1b[201~")  # a paste may be open
    c.read(2.3)
    left(c, "the monkey of seed %d" % seed)
    verify(state, "after the monkey")
    sealed(state, "after the monkey")


def left(c, what):
    for _ in range(30):
        if c.p.poll() is not None:
            break
        c.write("\x1b")
        c.read(0.08)
        c.write("\x03")
        c.read(0.1)
    c.ended(what)


def pastes():
    state = fresh()
    c = Console("--state", state)
    wait_until(lambda: (c.read(0.02), logged(state, "session.start"))[1])
    # The text ends its own paste and goes on with keys: none may act, least of all Enter.
    c.write(b"\x1b[200~innocent\x1b[201~\rrm -rf everything\r\x03\x1b[201~")
    c.read(0.5)
    check(c.p.poll() is None, "a pasted Ctrl-C does not act")
    check(logged(state, "question") == 0, "a pasted Enter does not ask", logged(state, "question"))
    c.write(b"\x15")
    c.read(0.1)
    start = time.monotonic()
    c.write(b"\x1b[200~" + b"0123456789abcdef\n" * 61681 + b"\x1b[201~")  # 1 MiB
    c.read(0.3)
    took = time.monotonic() - start
    check(c.p.poll() is None, "a paste of 1 MiB", c.errors())
    check(took < 10, "a paste of 1 MiB takes %.1f s" % took)
    check(b"cut" in bytes(c.seen[-20000:]) or b"full" in bytes(c.seen[-20000:]), "that it was cut is said", bytes(c.seen[-3000:]))
    c.write(b"\x1b[200~" + os.urandom(100000).replace(b"\x1b", b"") + b"\x1b[201~")
    c.read(0.3)
    c.write(b"\x1b[200~" + b"\x1b[200~" * 1000 + "ж".encode() * 1000 + b"\x1b[201~" * 5)
    c.read(0.3)
    c.write(b"\x1b[200~never closed")
    c.read(2.5)
    left(c, "pastes")
    sealed(state, "pastes")


def monkey_small():
    monkey(1, 24, 80)


def monkey_large():
    monkey(2, 36, 120)


# What the panes of connectors and of approvals take: open, parts, forms, calls, switches, and every decision about plans.
PANES = [b"\x1b3", b"\x1b7", b"\r", b"\r", b"\x1b", b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[5~", b"\x1b[6~", b"]", b"[", b"f", b"f",
         b"a", b"a", b"d", b"R", b"H", b"w", b"E", b"c", b"I", b"e", b"r", b"y", b"y", b"n", b"z", b"s", b"/", b" ", b"\t", b"\x1b[Z", b"\x7f",
         b"7", b"key", b"reason\r", b"done 1\r", b"\x1b[24~", b"\x15", "ж".encode(), b"/box:", b"\x0c"] + 4 * [b"\x1b7\r", b"ay", b"Ry"]


def monkey_panes():
    """Plans that change something wait, a server that acts is there, and the level lets everything be done."""
    state, values = fresh(), fresh("values")
    os.makedirs(values)
    config = conf("[console]\nlevel = execute\n[plans]\nverify_seconds = 1\n[connector \"box\"]\nkind = mcp-stdio\nlevel = execute\n"
                  "read_tools = get\ncommand = python3 %s %s\n" % (os.path.join(TOP, "tests/peers/acting_server.py"), values))
    args = ("--config", config, "--state", state)
    for i in range(3):
        at = {"connector": "box", "arguments": {"key": "k%d" % i}}
        plan = {"title": "plan %d" % i, "reason": "a monkey", "steps": [
            {**at, "tool": "set", "arguments": {"key": "k%d" % i, "value": "1", "ms": 50 * i}, "expect": "1", "effect": "1",
             "preview": {**at, "tool": "get"}, "verify": {**at, "tool": "get", "check": {"pointer": "/value", "op": "==", "value": "1"}},
             "rollback": {**at, "tool": "drop"}}]}
        path = fresh("plan")
        with open(path, "w") as f:
            json.dump(plan, f)
        done = subprocess.run([BIN, *args, "plans", "propose", path], env=env_of({}), capture_output=True, timeout=60)
        check(done.returncode == 0, "a plan is proposed", done.stderr)
    rng = random.Random(3)
    c = Console(*args, rows=30, columns=100)
    wait_until(lambda: (c.read(0.02), logged(state, "session.start") > 3)[1])
    for _ in range(1500):
        if c.p.poll() is not None:
            break
        kind = rng.random()
        c.write(rng.choice(PANES) if kind < 0.9 else mouse(rng))
        if kind < 0.25:
            c.read(0.01)
        if rng.random() < 0.01:
            c.resize(rng.randint(1, 60), rng.randint(1, 200))
    check(c.p.poll() is None, "it lives after 1,500 keys in these panes", c.errors()[-3000:])
    check(logged(state, "approval") > 0, "a plan was decided on", logged(state, "approval"))
    c.resize(24, 80)
    c.read(0.5)
    left(c, "the monkey of the panes")
    verify(state, "after the monkey of the panes")
    sealed(state, "after the monkey of the panes")


attack(monkey_small, monkey_large, monkey_panes, pastes)
