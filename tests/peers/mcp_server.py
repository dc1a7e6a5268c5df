#!/usr/bin/env python3
"""A small MCP server on stdio for tests, with switches for faults. Standard library only.

Tools: echo {text} and add {a, b} (a, b numbers; with structuredContent), fail (isError), env, picture,
sleep {ms}, exit, danger. Each switch makes it misbehave in one way; see --help.
"""
import argparse
import json
import os
import signal
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--noise", action="store_true", help="write other things to stdout too")
parser.add_argument("--die-after", type=int, default=-1, metavar="N", help="exit 3 after N requests")
parser.add_argument("--die-once", metavar="FILE", help="with --die-after: only while FILE does not exist; makes it")
parser.add_argument("--hang", metavar="METHOD", help="never answer METHOD")
parser.add_argument("--big", type=int, default=0, metavar="BYTES", help="echo answers a text of BYTES")
parser.add_argument("--slow", type=int, default=0, metavar="MS", help="wait before each answer")
parser.add_argument("--wrong-ids", action="store_true", help="answer calls with another id first")
parser.add_argument("--storm", type=int, default=0, metavar="N", help="N x list_changed with each tools/list")
parser.add_argument("--version", default="2025-11-25", help="the protocol version it answers with")
parser.add_argument("--chatter", action="store_true", help="write much to stderr")
parser.add_argument("--bad-json", action="store_true", help="answer calls with broken JSON")
parser.add_argument("--ignore-term", action="store_true", help="ignore SIGTERM and the end of stdin")
parser.add_argument("--orphan", metavar="FILE", help="start a child that ignores SIGTERM; write its pid to FILE")
parser.add_argument("--pages", type=int, default=0, metavar="N", help="N more pages of tools")
parser.add_argument("--bad-names", action="store_true", help="list tools with hostile names")
parser.add_argument("--ask", action="store_true", help="ask the client roots/list, ping and another method")
parser.add_argument("--log", metavar="FILE", help="append each message read to FILE")
parser.add_argument("--hostile", metavar="FILE",
                    help="put the text of FILE (UTF-8) into names, titles, descriptions, results, errors and stderr")
parser.add_argument("--about", metavar="FILE", help="one more tool, described by the text of FILE at each tools/list")
args = parser.parse_args()
HOSTILE = open(args.hostile, encoding="utf-8", newline="").read() if args.hostile else ""


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def send(message):
    write(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False) + "\n")


def tool(name, properties=None, required=None, **more):
    schema = {"type": "object", "properties": properties or {}, "additionalProperties": False}
    if required:
        schema["required"] = required
    return {"name": name, "description": "the tool " + name, "inputSchema": schema, **more}


def tools():
    number = {"type": "number"}
    listed = [
        tool("echo", {"text": {"type": "string"}}, ["text"], title="Echo a text"),
        tool("add", {"a": number, "b": number}, ["a", "b"]),
        tool("fail"), tool("env"), tool("picture"), tool("exit"),
        tool("sleep", {"ms": {"type": "integer", "minimum": 0}}, ["ms"]),
        tool("danger", annotations={"readOnlyHint": True}),
    ]
    if args.bad_names:
        listed += [tool("a\x1b[31mred"), tool("two words"), tool(""), tool("x" * 300), tool("echo"),
                   {"description": "no name"}, tool("new\nline"), tool("good")]
    return listed


def hostile_tools():
    told = "how full each disk is, free space on every disk "
    return [tool("bad" + HOSTILE), tool("disk_space", title="disk space " + HOSTILE),
            {"name": "disk_report", "title": "disk report", "description": told + HOSTILE,
             "inputSchema": {"type": "object", "properties": {"p" + HOSTILE: {"type": "string", "description": HOSTILE}}}},
            {"name": "disk_fails", "title": "disk failures", "description": told, "inputSchema": {"type": "object"}},
            {"name": "disk_refuses", "title": "disk refusals", "description": told, "inputSchema": {"type": "object"}}]


def hostile_call(name):
    if name == "disk_refuses":
        return None
    return text("The disk is 97% full, the disk said " + HOSTILE + "\nand on a line of its own\n" + HOSTILE,
                isError=name == "disk_fails", structuredContent={"disk " + HOSTILE: HOSTILE, "percent": 97})


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


def call(params):
    name, given = params.get("name"), params.get("arguments", {})
    if name == "echo":
        return text("x" * args.big if args.big else given["text"])
    if name == "add":
        return text(str(given["a"] + given["b"]), structuredContent={"sum": given["a"] + given["b"]})
    if name == "fail":
        return text("it went wrong", isError=True)
    if name == "env":
        return text("\n".join(sorted(os.environ)) + ("\nit is " + os.environ["APP_KEY"] if "APP_KEY" in os.environ else ""))
    if name == "picture":
        return {"content": [{"type": "text", "text": "one"},
                            {"type": "image", "mimeType": "image/png", "data": "AAAA" * 100},
                            {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
                            {"type": "resource_link", "uri": "file:///b", "name": "b"}]}
    if name == "sleep":
        time.sleep(given["ms"] / 1000)
        return text("slept")
    if name == "exit":
        sys.stderr.write("fatal: asked to end\n")
        sys.stderr.flush()
        os._exit(7)
    return text("done")


def list_tools(params):
    for _ in range(args.storm):
        send({"method": "notifications/tools/list_changed"})
    page = int(params.get("cursor") or 0)
    result = {"tools": hostile_tools() if HOSTILE else tools() if page == 0 else [tool("page%d" % page)]}
    if args.about:
        result["tools"].insert(0, tool("about", description=open(args.about, encoding="utf-8").read(), annotations={"readOnlyHint": True}))
    if page < args.pages:
        result["nextCursor"] = str(page + 1)
    return result


def handle(message):
    method, ident, params = message.get("method"), message.get("id"), message.get("params") or {}
    if method is None or ident is None:
        if method == "notifications/initialized" and args.ask:
            for i, asked in enumerate(["roots/list", "ping", "sampling/createMessage"]):
                send({"id": i, "method": asked})
        return
    if args.hang == method:
        return
    if args.slow:
        time.sleep(args.slow / 1000)
    if args.noise:
        write("debug: handling %s\n\n{broken\n[1, 2]\n\x1b[31mred\x1b[0m\n" % method)
    if method == "initialize":
        send({"id": ident, "result": {"protocolVersion": args.version, "capabilities": {"tools": {"listChanged": True}},
                                      "serverInfo": {"name": "test-server" + HOSTILE[:40], "version": "1.2.3" + HOSTILE}}})
        if HOSTILE:
            sys.stderr.buffer.write(b"\x9b31;7777m\xff\xc0\x80 stderr " + HOSTILE.encode() + b"\n")
            sys.stderr.flush()
            sys.stdout.buffer.write(b"\x9b31;7777m\xff\xc0\x80 noise " + HOSTILE.replace("\n", " ").encode() + b"\n")
            sys.stdout.flush()
    elif method == "tools/list":
        send({"id": ident, "result": list_tools(params)})
    elif method == "ping":
        send({"id": ident, "result": {}})
    elif method == "tools/call":
        if args.bad_json:
            write('{"jsonrpc":"2.0","id":%d,"result":{\n' % ident)
            return
        result = hostile_call(params.get("name")) if HOSTILE else call(params)
        if result is None:
            send({"id": ident, "error": {"code": -32000, "message": "refused: " + HOSTILE}})
            return
        if args.wrong_ids:
            send({"id": ident + 1000, "result": text("not this one")})
            send({"id": "%d" % ident, "result": text("nor this one")})
        send({"id": ident, "result": result})
    else:
        send({"id": ident, "error": {"code": -32601, "message": "Method not found"}})


def start_orphan():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    with open(args.orphan, "w") as f:
        f.write(str(pid))


def main():
    dies = args.die_after >= 0 and not (args.die_once and os.path.exists(args.die_once))
    if args.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if args.orphan:
        start_orphan()
    served = 0
    for line in sys.stdin:
        if args.log:
            with open(args.log, "a") as f:
                f.write(line)
        if args.chatter:
            sys.stderr.write("chatter " * 200 + "\n" + "last words\n")
            sys.stderr.flush()
        message = json.loads(line)
        if dies and "id" in message and served >= args.die_after:
            if args.die_once:
                open(args.die_once, "w").close()
            sys.stderr.write("fatal: out of cheese\n")
            sys.stderr.flush()
            os._exit(3)
        served += "id" in message
        handle(message)
    while args.ignore_term:
        time.sleep(1)


if __name__ == "__main__":
    main()
