#!/usr/bin/env python3
"""Calls of models that a kill -9 cut short: the next start gives each its line in the ledger, `lost` and estimated,
once; what had its line keeps it; budgets count them; the log verifies and its lineage is whole."""
import json
import os
import signal
import sqlite3
import subprocess
import urllib.request

from faultlib import BIN, MOCK, TOP, attack, check, conf, env_of, fresh, run, verify, wait_until

QUESTION = "is the disk filling up?"
PRICE = "price_in = 1000\nprice_out = 2000\ncurrency = RUB\nregion = RU"


class Mock:
    def __init__(self):
        self.p = subprocess.Popen([MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline())

    def asked(self):
        """Requests that came so far, also those that are not answered yet."""
        with urllib.request.urlopen("http://127.0.0.1:%d/mock/count" % self.port) as answer:
            return json.load(answer)["requests"]

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def configured(mock, models, more="", chosen=None):
    """models: {name: (kind, mock model)}."""
    text = "[copilot]\nmodels = %s\ntime_limit_ms = 60000\n%s" % (chosen or " ".join(models), more)
    for name, (kind, model) in models.items():
        url = "http://127.0.0.1:%d%s" % (mock.port, "/v1" if kind == "openai" else "")
        text += '[model "%s"]\nkind = %s\nurl = %s\nmodel = %s\n%s\n' % (name, kind, url, model, PRICE)
    return conf(text)


def ledger(state):
    db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
    db.row_factory = sqlite3.Row
    rows = [dict(r) for r in db.execute("SELECT * FROM ledger ORDER BY id")]
    db.close()
    return rows


def rows_of(state, sql):
    db = sqlite3.connect("file:%s/console.db?mode=ro" % state, uri=True, timeout=5)
    rows = db.execute(sql).fetchall()
    db.close()
    return rows


def killed(mock, path, state, calls, when=None):
    """Asks, and kills the console as soon as so many requests of the question are under way."""
    before = mock.asked()
    p = subprocess.Popen([BIN, "--config", path, "--state", state, "ask", QUESTION], env=env_of(None),
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready = wait_until(lambda: mock.asked() - before >= calls and (not when or when()), 20)
    p.send_signal(signal.SIGKILL)
    p.wait()
    check(ready, "%d calls are under way" % calls, mock.asked() - before)


def looked_at(path, state, what):
    r = run("--config", path, "--state", state, "cost", "--json")
    check(r.code == 0, "the next start: " + what, r)
    return ledger(state)


def whole(state, what):
    verify(state, what)
    r = run("--state", state, "evidence", "lineage", "--json", "--audit")
    check(r.code == 0, "the lineage is whole: " + what, r)


def answers():
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("ollama", "stall=3"), "b": ("openai", "silent-head")})
    killed(mock, path, state, 2)
    check(ledger(state) == [], "nothing was written of them")
    session = rows_of(state, "SELECT session FROM entries WHERE type = 'model.call'")[0][0]
    lines = looked_at(path, state, "two answers")
    calls = rows_of(state, "SELECT seq, ts, trace_id FROM entries WHERE type = 'model.call' ORDER BY seq")
    check(len(calls) == 2 and [x["entry"] for x in lines] == [c[0] for c in calls], "a line for each call", lines, calls)
    for line, call in zip(lines, calls):
        check(line["outcome"] == "lost" and line["estimated"] == 1 and line["flow"] == "answer", "lost and estimated", line)
        check(line["input_tokens"] > 50 and line["output_tokens"] > 0, "what was expected of it", line)
        check(line["priced"] == 1 and line["currency"] == "RUB" and line["price_version"] == "config"
              and line["amount_nano"] == line["input_tokens"] * 1000000 + line["output_tokens"] * 2000000,
              "at its price", line)
        check(line["session"] == session and line["at"] == call[1] and line["trace_id"] == call[2],
              "of the session, the time and the question that it was made in", line, call)
    check({x["model"] for x in lines} == {"a", "b"} and {x["provider"] for x in lines} >= {"ollama"}, "by model", lines)
    again = looked_at(path, state, "once more")
    check(again == lines, "nothing is written twice", again)
    outputs = rows_of(state, "SELECT count(*) FROM entries WHERE type = 'model.output'")[0][0]
    check(outputs == 2, "each has its output in the log", outputs)
    whole(state, "after two lost answers")
    mock.close()


def one_of_two():
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("ollama", "say-fine"), "b": ("ollama", "stall=3")})
    killed(mock, path, state, 2, lambda: len(ledger(state)) == 1)
    lines = looked_at(path, state, "one of two")
    check([(x["model"], x["outcome"]) for x in lines] == [("a", "ok"), ("b", "lost")], "the other keeps its line", lines)
    whole(state, "after one of two")
    killed(mock, path, state, 2, lambda: len(ledger(state)) == 3)
    killed(mock, path, state, 2, lambda: len(ledger(state)) == 5)  # whose start found the one before
    lines = looked_at(path, state, "killed again and again")
    check(sorted((x["model"], x["outcome"]) for x in lines) == [("a", "ok")] * 3 + [("b", "lost")] * 3, "three in a row", lines)
    whole(state, "after three kills")
    mock.close()


def judge():
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("ollama", "say-fine"), "guard": ("ollama", "silent-head")},
                      "[safety]\nmodel = guard\ntime_limit_ms = 60000\n", "a")
    killed(mock, path, state, 1)
    lines = looked_at(path, state, "a judge")
    check([(x["model"], x["outcome"], x["flow"]) for x in lines] == [("guard", "lost", "safety")], "the judge's call", lines)
    check(lines and 0 < lines[0]["input_tokens"] < 50, "what it was sent", lines)
    whole(state, "after a lost judge")
    mock.close()


def critics():
    """Two answers that differ are criticised by both models in one entry of the log: each of the two calls has its line."""
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("openai", "one"), "b": ("ollama", "two")})
    lines = [{"model": "one", "behave": "say-fine"},
             {"model": "one", "behave": "stall=2"},
             {"model": "two", "behave": "say-apart"},
             {"model": "two", "behave": "say-fine"}]
    urllib.request.urlopen("http://127.0.0.1:%d/mock/script" % mock.port, json.dumps(lines).encode()).read()
    killed(mock, path, state, 4, lambda: len(ledger(state)) == 3)
    lines = looked_at(path, state, "a critique")
    last = lines[-1]
    check(sorted((x["model"], x["flow"], x["outcome"]) for x in lines)
          == [("a", "answer", "ok"), ("a", "critique", "lost"), ("b", "answer", "ok"), ("b", "critique", "ok")], "the other critique keeps its line", lines)
    check(last["outcome"] == "lost" and last["input_tokens"] > 50 and last["estimated"] == 1 and last["priced"] == 1, "what was expected of it", last)
    check(looked_at(path, state, "once more") == lines, "once")
    check(len(rows_of(state, "SELECT 1 FROM entries WHERE type = 'critique'")) == 2, "both have their entry")
    whole(state, "after a lost critique")
    mock.close()


def sampled():
    """What an MCP server asked of a model: it belongs to no question."""
    mock, state = Mock(), fresh()
    server = os.path.join(TOP, "tests/peers/mcp_features.py")
    more = '[connector "s"]\nkind = mcp-stdio\ncommand = python3 %s\nread_tools = *\nsampling = yes\n' % server
    path = configured(mock, {"a": ("ollama", "stall=1")}, more)
    before = mock.asked()
    p = subprocess.Popen([BIN, "--config", path, "--state", state, "connectors", "call", "s", "model", "{}"], env=env_of(None),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ready = wait_until(lambda: mock.asked() > before, 20)
    p.send_signal(signal.SIGKILL)
    check(ready, "the server's request is under way", p.communicate())
    lines = looked_at(path, state, "a sampled call")
    check([(x["model"], x["outcome"], x["flow"], x["connector"]) for x in lines] == [("a", "lost", "sampling", "s")],
          "it has its line too", lines)
    check(lines and lines[0]["input_tokens"] > 0 and lines[0]["output_tokens"] == 50 and lines[0]["priced"] == 1,
          "its messages and the longest answer are counted", lines)
    check(lines and lines[0]["entry"] == rows_of(state, "SELECT min(seq) FROM entries WHERE type = 'sample'")[0][0], "by its request", lines)
    check(looked_at(path, state, "once more") == lines, "once")
    whole(state, "after a lost sample")
    mock.close()


def budgets():
    mock, state = Mock(), fresh()
    more = '[budget "day"]\nlimit = 100\ncurrency = RUB\n[budget "each-session"]\nscope = session\nlimit = 90\ncurrency = RUB\n'
    path = configured(mock, {"a": ("ollama", "stall=3")}, more)
    killed(mock, path, state, 1)
    r = run("--config", path, "--state", state, "cost", "--json")
    line = ledger(state)[0]
    r = run("--config", path, "--state", state, "cost", "--json")
    d = r.json() or {}
    amount = line["amount_nano"] / 1e9
    day = [b for b in d.get("budgets", []) if b["budget"] == "day"]
    check(amount > 0 and abs(float(d["today"]["amount"]) - amount) < 1e-6, "today's sum has it", d.get("today"), line)
    check(not day or abs(float(day[0]["spent"]) - amount) < 1e-6, "so has the budget of the day", day, line)
    check([x for x in d["by_outcome"] if x["outcome"] == "lost"] == [{"outcome": "lost", "calls": 1}], "and the outcomes", d)
    mock.close()


def embeddings():
    """A batch of runbooks' passages that is being embedded when the console is killed."""
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("openai", "silent-head"), "e": ("openai", "hang=1")}, "[knowledge]\nembedding = e\n", "a")
    killed(mock, path, state, 2)
    lines = [x for x in looked_at(path, state, "a batch of passages") if x["outcome"] == "lost"]
    check(sorted((x["model"], x["flow"]) for x in lines) == [("a", "answer"), ("e", "embedding")], "a line for the batch too", lines)
    line = next((x for x in lines if x["flow"] == "embedding"), {})
    check(line.get("input_tokens", 0) > 1000 and line.get("output_tokens") == 0 and line.get("priced") == 1, "with what it was sent", line)
    whole(state, "after a lost batch")
    mock.close()


def no_crash():
    """A console that ends in order loses nothing, and a model without a price has none when it is lost."""
    mock, state = Mock(), fresh()
    path = configured(mock, {"a": ("ollama", "stall=3")}, "")
    p = subprocess.Popen([BIN, "--config", path, "--state", state, "ask", QUESTION], env=env_of(None),
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: mock.asked() >= 1, 20)
    p.send_signal(signal.SIGTERM)
    p.wait()
    lines = looked_at(path, state, "an ordinary end")
    check([x["outcome"] for x in lines] == ["cancelled"], "it is cancelled, not lost", lines)
    state = fresh()
    with open(path) as f:
        text = f.read().replace("price_in = 1000\n", "").replace("price_out = 2000\n", "")
    unpriced = conf(text)
    killed(mock, unpriced, state, 1)
    lines = looked_at(unpriced, state, "no price")
    check([(x["outcome"], x["priced"]) for x in lines] == [("lost", 0)], "an unknown price stays unknown", lines)
    state = fresh()
    killed(mock, path, state, 1)
    gone = conf(text.replace('[model "a"]', '[model "other"]').replace("models = a", "models = other"))
    lines = looked_at(gone, state, "a model that is configured no more")
    check([(x["model"], x["provider"], x["outcome"], x["priced"]) for x in lines] == [("a", "ollama", "lost", 0)],
          "it is told all the same", lines)
    mock.close()


os.environ.pop("MODEL_BACKENDS", None)
attack(answers, one_of_two, judge, critics, sampled, budgets, embeddings, no_crash, at_once=2)
