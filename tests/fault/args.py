#!/usr/bin/env python3
"""Arguments, configuration, environment and standard streams as a careless or hostile world gives them."""
import os
import re
import subprocess

from faultlib import BASE_ENV, BIN, WORK, Console, attack, check, conf, entries, fresh, run

SUBCOMMANDS = (["ask", "hi"], ["connectors"], ["connectors", "check"], ["connectors", "tools"], ["cost"], ["score"], ["evidence", "list"], ["evidence", "verify"],
               ["evidence", "show", "0"], ["evidence", "lineage", "0"], ["evidence", "lineage", "--audit"],
               ["keys", "list"], ["keys", "verify"], ["doctor"])
ESC = "\x1b[31mred\x1b]0;title\x07\u202e\x9b1m"


def broken_configuration():
    cases = (  # text, line, what else the message must name
        ("[console]\nthme = dark\n", 2, ("thme", "theme")),
        ("[console]\nrole = king\n", 2, ("role", "operator")),
        ("[consol]\nrole = demo\n", 1, ("consol", "console")),
        ("[copilot]\nmodels\n", 2, ()),
        ("[console\nrole = demo\n", 1, ()),
        ("\n\n[arbitration]\ndivergence_threshold = many\n", 4, ("divergence_threshold",)),
        ("[arbitration]\ndivergence_threshold = nan\n", 2, ("divergence_threshold",)),
        ("[model \"a\"]\nkind = olama\n", 2, ("kind", "ollama")),
        ("[connector \"c\"]\nkind = mcp-stdi\n", 2, ("kind", "mcp-stdio")),
        ("[connector \"c\"]\nkind = mcp-stdio\nlevl = read\n", 3, ("levl", "level")),
        ("[console]\n" + ESC + " = 1\n", 2, ()),
        ("[console]\nrole = " + ESC + "\n", 2, ()),
        ("[console]\nrole = demo\0x\n", 2, ()),
        ("[console]\ntheme = " + "x" * 100000 + "\n", 2, ()),
    )
    for text, line, names in cases:
        path = conf(text)
        for command in ([], ["ask", "hi"], ["cost"]) if text is not cases[0][0] else ([], *SUBCOMMANDS):
            if not command:
                c = Console("--config", path, "--state", fresh())
                code, said = c.wait(), c.errors()
                check(b"\x1b" not in said, "no escape when the configuration is broken", said)
                c.restored("a broken configuration")
                c.close()
            else:
                r = run("--config", path, "--state", fresh(), *command)
                code, said = r.code, r.err + r.out
            label = "%r with %r" % (command, text[:50])
            check(code == 1, "exit code 1: " + label, code, said)
            check(("%s:%d" % (path, line)).encode() in said, "names file and line %d: %s" % (line, label), said)
            for name in names:
                check(name.encode() in said, "names %s: %s" % (name, label), said)
    for path in ("/", fresh("missing"), "/dev/null/x", WORK + "/" + "x" * 300, "/" + "y/" * 3000, ""):
        r = run("--config", path, "--state", fresh(), "cost")
        check(r.code == 1 and r.err, "a configuration that cannot be read: %.20r" % path, r)
    r = run("--config", "/dev/zero", "--state", fresh(), "cost")
    check(r.code == 1, "an endless configuration ends", r)
    r = run("--state", fresh(), "cost", env={"MCP_CONSOLE_CONSOLE_ROLE": "king" + ESC})
    check(r.code == 1 and b"MCP_CONSOLE_CONSOLE_ROLE" in r.err, "a broken variable is named", r)


def arguments():
    for args in (["--" + ESC], ["--bogus"], ["--state"], [ESC], ["aks"], ["ask", "--" + ESC, "x"], ["--role", ESC, "cost"],
                 ["evidence", ESC], ["evidence"], ["evidence", "show"], ["evidence", "show", ESC], ["evidence", "show", "1", "2"],
                 ["evidence", "show", "-1"], ["evidence", "show", "9" * 30], ["evidence", "list", "--limit", "0"],
                 ["evidence", "list", "--limit", "1e3"], ["cost", "--days", "0"], ["cost", "--days", ""], ["cost", "x"],
                 ["ask", "--timeout", "0", "x"], ["ask", ""], ["ask"], ["cost", "--jso", "--day"], ["cost", "-x"], ["-x"],
                 [""], ["cost", "--limit", "99999999999999999999"]):
        r = run("--state", fresh(), *args)
        check(r.code == 2 and r.err, "usage: %r" % args, r)
    for args in (["ask", ESC + "disk"], ["ask", "x" * 100000], ["ask", "\udcff\udcfe disk?"], ["evidence", "list", "--type", ESC],
                 ["evidence", "list", "--trace", ESC], ["evidence", "list", "--trace", "x" * 90000], ["--theme", ESC]):
        r = run("--state", fresh(), *args)
        check(r.code in (0, 1) and (r.out or r.err), "strange but well-formed: %.40r" % args, r)
    for args in (["--version"], ["--help"], ["-h"], ["cost", "--help"]):
        r = run(*args)
        check(r.code == 0 and r.out, "%r" % args, r)
        with open("/dev/full", "w") as full:
            r = run(*args, stdout=full)
        check(r.code == 1 and r.err, "%r to a full disk says so" % args, r)


def streams():
    state = fresh()
    for command in SUBCOMMANDS:
        for extra in ([], ["--json"]):
            with open("/dev/full", "w") as full:
                r = run("--state", state, *command, *extra, stdout=full)
            check(r.code == 1 and b"No space left" in r.err, "a full disk under %r" % command, r)
    for closing in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
        for command in (["cost"], ["doctor"], ["ask", "disk?"], ["--version"], []):
            before = entries(state)
            p = subprocess.run(["/bin/sh", "-c", 'exec "$@" ' + closing, "sh", BIN, "--state", state, *command], env=BASE_ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20)
            want = 1 if ">&-" in closing.replace("2>&-", "") or not command else 0
            check(p.returncode == want, "%r with %s exits %d" % (command, closing, want), p)
            check(b"\x1b" not in p.stdout + p.stderr, "no escapes: %r %s" % (command, closing), p)
            with open(state + "/lock", "rb") as f:
                check(re.fullmatch(rb"\d+\n", f.read()), "nothing else is written into the lock: %r %s" % (command, closing))
            check(len(entries(state)) > len(before), "the log is whole")
    check(run("--state", state, "evidence", "verify").code == 0, "the log verifies after all streams were closed")
    p = subprocess.run(["/bin/sh", "-c", '"$@"; echo $? >&2', "sh", BIN, "--state", state, "evidence", "list"], env=BASE_ENV,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    check(p.stderr.endswith(b"0\n"), "a plain pipe", p)
    reader, writer = os.pipe()
    os.close(reader)
    r = run("--state", state, "evidence", "list", stdout=writer)
    os.close(writer)
    check(r.code == 1, "a closed pipe ends with 1, not by a signal", r)
    with open("/dev/zero", "rb") as zero:
        r = run("--state", state, "ask", "-", stdin=zero)
    check(r.code in (1, 2), "an endless question", r)
    r = run("--state", state, "ask", "-", stdin=subprocess.DEVNULL)
    check(r.code == 2, "an empty question", r)
    for term in ("dumb", None, "", "xterm-256color"):
        r = run("--state", state, env={"TERM": term})
        check(r.code == 1 and b"needs a terminal" in r.err and not r.out, "no terminal, TERM=%r" % term, r)


def environment():
    os.makedirs(WORK + "/cwd")
    places = (
        ({"HOME": None, "XDG_STATE_HOME": None}, True), ({"XDG_STATE_HOME": "relative/dir"}, True),
        ({"XDG_STATE_HOME": ""}, True), ({"XDG_CONFIG_HOME": "relative"}, True), ({"XDG_STATE_HOME": "/proc/nowhere"}, False),
        ({"XDG_STATE_HOME": WORK + "/" + "z" * 300}, False), ({"XDG_STATE_HOME": "/" + "q/" * 2500}, False),
        ({"HOME": "not/absolute", "XDG_STATE_HOME": WORK + "/here"}, True), ({"LC_ALL": "C"}, True),
        ({"LC_ALL": None, "LANG": "xx_XX"}, True), ({"LC_ALL": "xx_XX.UTF-8"}, True), ({"LC_ALL": "ru_RU.KOI8-R"}, True),
        ({"TZ": "Nowhere/Else" + ESC}, True), ({"MODEL_BACKENDS": ESC}, False), ({"MODEL_BACKENDS": ","}, None),
        ({"LANGUAGE": "../../../etc"}, True), ({"PATH": ""}, True), ({"TMPDIR": "/nonexistent"}, True),
    )
    for env, works in places:
        # Where the home directory comes from the user's record, the real one must not be touched.
        args = ["--state", fresh()] if "HOME" in env and env["HOME"] is None or "XDG_STATE_HOME" not in env else []
        r = run(*args, "ask", "что с диском?", env=env, cwd=WORK + "/cwd")
        if works is not None:
            check((r.code == 0) == works, "%.60r: %s" % (env, "works" if works else "is refused"), r)
        if not works:
            check(r.code in (0, 1) and (r.err or r.code == 0), "%.60r ends with a message" % env, r)
    check(os.listdir(WORK + "/cwd") == [], "a relative directory of XDG is not used", os.listdir(WORK + "/cwd"))


attack(broken_configuration, streams, environment, arguments)
