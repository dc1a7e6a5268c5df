#!/usr/bin/env python3
"""MCP servers and models that misbehave: shown and logged, the console goes on, it ends quickly, nothing is left."""
import os
import signal
import subprocess
import time

from faultlib import (MOCK, PEER, SANITIZER, Console, alive, attack, check, conf, env_of, fresh, logged, processes_with,
                      run, sealed, verify, wait_until)

QUESTION = "is the disk filling up?"


def server(command):
    return '[connector "bad"]\nkind = mcp-stdio\ncommand = %s\nread_tools = echo add sleep\nregion = local\n' % command


def mark():
    """A word that a server's command line has and no other; also the name of its log."""
    return fresh("peer")


SHOWN = ("dies at start", "no such program", "not executable", "dies after one request", "output without an end",
         "escapes in its errors")  # at once; the others when the time limit of `initialize` has passed


def mcp_servers(part, parts):
    shell = "sh -c '%s # %%s'"
    cases = (  # what, command with %s for a mark
        ("noise", "python3 %s --noise --log %%s" % PEER),
        ("dies at start", shell % "exit 3"),
        ("no such program", "/nonexistent/program %s"),
        ("not executable", "/etc/passwd %s"),
        ("dies after one request", "python3 %s --die-after 1 --log %%s" % PEER),
        ("hangs at start", "python3 %s --hang initialize --log %%s" % PEER),
        ("hangs when tools are listed", "python3 %s --hang tools/list --log %%s" % PEER),
        ("says nothing", shell % "sleep 1000"),
        ("closes its output", shell % "exec >&-; sleep 1000"),
        ("10 MB without a line", shell % "head -c 10000000 /dev/zero; sleep 1000"),
        ("output without an end", "cat /dev/zero %s"),
        ("lines without an end", "yes %s"),
        ("floods its errors", shell % "yes error >&2"),
        ("escapes in its errors", shell % "printf \"\\033[31m\\033]0;x\\007\" >&2; exit 1"),
        ("answers with 12 MB", "python3 %s --big 12000000 --log %%s" % PEER),
        ("broken answers", "python3 %s --bad-json --log %%s" % PEER),
        ("hostile names", "python3 %s --bad-names --log %%s" % PEER),
        ("ignores SIGTERM", "python3 %s --ignore-term --log %%s" % PEER),
        ("another version", "python3 %s --version 1066-10-14 --log %%s" % PEER),
    )
    for what, command in cases[part::parts]:
        m, state = mark(), fresh()
        path = conf(server(command % m))
        c = Console("--config", path, "--state", state)
        wait_until(lambda: (c.read(0.01), logged(state, "session.start"))[1])
        c.write(QUESTION + "\r")
        answered = wait_until(lambda: (c.read(0.02), logged(state, "answer"))[1], 10)
        check(answered, "questions are answered beside a server that: " + what, c.errors())
        c.read(0.3)
        start = time.monotonic()
        c.write("\x03")
        code = c.wait()
        took = time.monotonic() - start
        check(code == 0 and not SANITIZER.search(c.errors()), "the console ends well beside: " + what, code, c.errors())
        check(took < 1.5, "it ends quickly (%.2f s) beside: %s" % (took, what))
        c.restored(what)
        c.close()
        check(wait_until(lambda: not processes_with(m), 1), "no process is left by: " + what, processes_with(m))
        sealed(state, what)
        verify(state, what)
        if what in SHOWN:
            r = run("--config", path, "--state", fresh(), "connectors", "--json")
            row = next((x for x in r.json() or [] if x["name"] == "bad"), {})
            check(row.get("state") == "fail" and row.get("last_error"), "it is shown: " + what, row)


def grandchildren():
    m, file = mark(), fresh("pid")
    path = conf(server("python3 %s --orphan %s --ignore-term --log %s" % (PEER, file, m)))
    state = fresh()
    c = Console("--config", path, "--state", state)
    pid = wait_until(lambda: (c.read(0.01), os.path.exists(file) and open(file).read())[1])
    check(pid, "there is a grandchild", c.errors())
    start = time.monotonic()
    c.write("\x03")
    c.wait()
    check(time.monotonic() - start < 1.5, "it ends quickly beside a grandchild that ignores SIGTERM")
    c.close()
    check(wait_until(lambda: not alive(int(pid)), 1), "the grandchild is gone")
    check(wait_until(lambda: not processes_with(m), 1), "so is its parent")
    os.unlink(file)
    c = Console("--config", path, "--state", state)
    pid = wait_until(lambda: (c.read(0.01), os.path.exists(file) and open(file).read())[1])
    c.p.kill()
    c.p.wait()
    c.close()
    check(wait_until(lambda: not processes_with(m) and not alive(int(pid)), 2), "after kill -9 neither child nor grandchild is left",
          processes_with(m), pid, alive(int(pid)))
    if alive(int(pid)):
        os.kill(int(pid), signal.SIGKILL)


class Mock:
    def __init__(self):
        self.p = subprocess.Popen([MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(self.p.stdout.readline())

    def conf(self, *models, chosen=None, kind="ollama", limit=""):
        names = chosen or ["m%d" % i for i in range(len(models))] + (["builtin/lexical"] if len(models) == 1 else [])
        text = "[copilot]\nmodels = %s\n%s" % (" ".join(names), limit)
        for i, model in enumerate(models):
            text += '[model "m%d"]\nkind = %s\nurl = http://127.0.0.1:%d%s\nmodel = %s\nregion = local\n' % (
                i, kind, self.port, "" if kind == "ollama" else "/v1", model)
        return conf(text)

    def close(self):
        self.p.kill()
        self.p.wait()


def models_that_fail(kind):
    mock = Mock()
    bad = ("500", "401", "429", "plain-503", "html", "reset", "cut", "nonsense", "error", "longline")
    for model in bad:
        if kind == "ollama" and model in ("longline",):
            continue
        what = "%s from %s" % (model, kind)
        state = fresh()
        path = mock.conf(model, kind=kind)
        r = run("--config", path, "--state", state, "ask", "--json", QUESTION)
        answer = r.json() or {}
        check(r.code == 0 and answer.get("answer"), "the other answer stands: " + what, r)
        rows = {c["model"]: c for c in answer.get("candidates", [])}
        mine = next((c for name, c in rows.items() if "m0" in name), {})
        check(mine.get("error"), "what went wrong is said: " + what, mine)
        cost = run("--config", path, "--state", state, "cost", "--json").json() or {}
        check(any("m0" in row["model"] and row["calls"] == mine.get("tries") for row in cost.get("by_model", [])), "a line in the ledger: " + what,
              cost.get("by_model"))
        check(logged(state, "model.call") >= 2, "both calls are logged: " + what)
        verify(state, what)
    mock.close()


def models_of_ollama():
    models_that_fail("ollama")


def models_of_openai():
    models_that_fail("openai")


def models_that_hang():
    mock = Mock()
    state = fresh()
    for models_ in (("500", "nonsense"), ("html", "reset")):
        r = run("--config", mock.conf(*models_), "--state", state, "ask", "--json", QUESTION)
        check(r.code == 1 and r.err and (r.json() or {}).get("state") == "failed", "both fail: %r" % (models_,), r)
        r = run("--config", mock.conf(*models_), "--state", state, "ask", QUESTION)
        check(r.code == 1 and r.err and (not r.out or b"it ends early" in r.out), "both fail, in words: %r" % (models_,), r)
    r = run("--config", conf('[copilot]\nmodels = m0 builtin/vector\n[model "m0"]\nkind = ollama\nurl = http://127.0.0.1:1\nmodel = x\nregion = local\n'),
            "--state", state, "ask", "--json", QUESTION)
    check(r.code == 0 and (r.json() or {}).get("answer"), "a model that is not there", r)
    # Models that hang: the console stops at once, and the trace ends as stopped.
    for model in ("hang", "silent-head", "stall", "keepalive", "huge", "slow-0.5"):
        state = fresh()
        c = Console("--config", mock.conf(model), "--state", state)
        wait_until(lambda: (c.read(0.01), logged(state, "session.start"))[1])
        c.write(QUESTION + "\r")
        wait_until(lambda: (c.read(0.02), logged(state, "model.call") >= 2)[1])
        c.read(0.2)
        start = time.monotonic()
        c.p.send_signal(signal.SIGTERM)
        code = c.wait()
        took = time.monotonic() - start
        check(code == 0 and took < 1.5, "it ends in %.2f s beside a model that does: %s" % (took, model), code, c.errors())
        check(not SANITIZER.search(c.errors()), "cleanly: " + model, c.errors())
        c.close()
        sealed(state, model)
        verify(state, model)
    r = run("--config", mock.conf("hang"), "--state", fresh(), "ask", "--timeout", "1", QUESTION)
    check(r.code == 1 and b"not done within 1 s" in r.err and b"it ends early" in r.out and r.seconds < 4, "a limit on the wait", r)
    # The server dies in the middle.
    state = fresh()
    p = subprocess.Popen([os.environ.get("MCPC_BIN", "build/asan/mcp-console"), "--config", mock.conf("slow-1"), "--state", state, "ask",
                          QUESTION], env=env_of({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: logged(state, "model.call") >= 2)
    mock.close()
    out, err = p.communicate(timeout=20)
    check(p.returncode == 0 and out, "the model's server dies in the middle", out, err)


def servers_0():
    mcp_servers(0, 3)


def servers_1():
    mcp_servers(1, 3)


def servers_2():
    mcp_servers(2, 3)


attack(models_that_hang, models_of_ollama, models_of_openai, servers_0, servers_1, servers_2, grandchildren)
