#!/usr/bin/env python3
"""Kills a console with SIGKILL at each system call by which a rotation of its keys changes a disk, and fails each of
them once. After that the next start is whole: one master key, nothing lost, everything opens and verifies.

usage: rotate.py [SECONDS]     for so long (default 100), in a random order; a large number is all of them
"""
import os
import random
import shutil
import subprocess
import sys
import time

from faultlib import BIN, check, env_of, finish, fresh, run

SIGN = ("fsync", "fdatasync", "rename", "link", "unlink")


def counted(state, command):
    """How often each call is made while the command runs."""
    trace = fresh("trace")
    subprocess.run(["strace", "-f", "-qq", "-e", "trace=" + ",".join(SIGN), "-o", trace, BIN, "--state", state, *command],
                   env=env_of(None), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60)
    with open(trace) as f:
        lines = f.read().split("\n")
    return {name: sum(1 for line in lines if " %s(" % name in line) for name in SIGN}


def injected(state, command, call, how, when):
    p = subprocess.run(["strace", "-f", "-qq", "-e", "trace=" + call, "-o", "/dev/null", "-e", "inject=%s:%s:when=%d" % (call, how, when),
                        BIN, "--state", state, *command], env=env_of(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       check=False, timeout=60)
    return p.returncode, p.stderr


def whole(state, before, what):
    """The next start goes on or back; then all of it is as it should be."""
    keys = run("--state", state, "keys", "verify", "--json")
    report = keys.json() or {}
    if not check(keys.code == 0 and report.get("ok"), "keys verify: " + what, keys):
        return
    opened = {one["name"]: one["text"] for one in report["checks"]}
    check(opened.get("projections") == "%d open" % before["projections"], "one key wraps all: " + what, opened)
    left = sorted(os.listdir(os.path.join(state, "keys")))
    check(left == ["checkpoint.key", "checkpoint.pub", "master.key", "secrets", "secrets.lock", "trusted"], "no step is left behind: " + what, left)
    names = [one["name"] for one in (run("--state", state, "vault", "list", "--json").json() or {"secrets": []})["secrets"]]
    check(names == ["TOKEN"], "the secret is there: " + what, names)
    log = run("--state", state, "evidence", "verify", "--json")
    seen = log.json() or {}
    check(log.code == 0 and seen.get("intact"), "the log verifies: " + what, log)
    check(seen.get("size", 0) >= before["size"], "nothing is lost: " + what, seen.get("size"), before["size"])
    check(seen.get("payloads_checked") == seen.get("checked"), "every payload opens: " + what, seen)


def attack(origin, before, command, seconds):
    """How many kills came while the command ran, how many calls failed, of how many there are."""
    scratch, kills, fails = fresh("scratch"), 0, 0
    shutil.copytree(origin, scratch)
    calls = counted(scratch, command)
    attacks = [(call, when, how) for call in SIGN for when in range(1, calls[call] + 1) for how in ("signal=KILL", "error=EIO")]
    random.Random(3).shuffle(attacks)
    until = time.monotonic() + seconds
    for call, when, how in attacks:
        if time.monotonic() > until:
            break
        state = fresh("run")
        shutil.copytree(origin, state)
        code, said = injected(state, command, call, how, when)
        what = "%s, %s %d of %d, %s" % (" ".join(command), call, when, calls[call], how)
        kills += how == "signal=KILL" and code in (-9, 137)
        fails += how != "signal=KILL"
        check(how == "signal=KILL" or code == 0 or said, "an error is said: " + what, code, said)
        whole(state, before, what)
        shutil.rmtree(state)
    return kills, fails, len(attacks)


def main():
    if not shutil.which("strace"):
        print("strace is not installed")
        sys.exit(77)
    if subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("strace may not attach here")
        sys.exit(77)
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    origin = fresh("origin")
    for text in ("disk full", "load average"):
        run("--state", origin, "ask", text)
    run("--state", origin, "evidence", "verify")
    subprocess.run([BIN, "--state", origin, "vault", "set", "TOKEN"], env=env_of(None), input=b"a-secret-value\n",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60)
    listed = run("--state", origin, "keys", "list", "--json").json()["keys"]
    before = {"size": run("--state", origin, "evidence", "verify", "--json").json()["size"],
              "projections": [k for k in listed if k["kind"] == "master"][0]["projections"]}
    check(before["projections"] == 2, "there are projections to wrap anew", listed)
    for command in (["keys", "rotate", "--what", "master"], ["keys", "rotate", "--what", "signing"]):
        kills, fails, all_of_them = attack(origin, before, command, seconds / 2)
        check(kills > 0, "a kill that came in time", kills)
        print("%s: killed %d times, failed %d times, of %d" % (" ".join(command), kills, fails, all_of_them))
    finish()


if __name__ == "__main__":
    main()
