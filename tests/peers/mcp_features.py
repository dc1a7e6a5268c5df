#!/usr/bin/env python3
"""An MCP server on stdio for tests of what goes beyond tools. Standard library only.

--era stateful (2025-11-25; server/discover is refused), modern (2026-07-28; initialize is refused),
duplicate (discover is refused, and any initialize after it too), silent (discover is not answered),
version (-32022 with stateful versions). --log FILE: what came in.
Tools: ask (elicitation), ask_twice, model (sampling), roots, slow (progress), wrong (bad structured output),
url (a URL to open first), big (8 MiB of text), huge (17 MiB), picture (blocks and a large number), touch (says that its lists and a resource changed), log.
"""
import argparse
import json
import sys
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--era", default="stateful")
parser.add_argument("--log")
parser.add_argument("--garbage", action="store_true", help="templates are not known, resources fail")
args = parser.parse_args()
MODERN = args.era == "modern"
lock = threading.Lock()
waiting = {}
next_id = 0
listen_id = None
seen_discover = False
FORM = {"type": "object", "properties": {
    "name": {"type": "string", "title": "Name", "minLength": 1},
    "count": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
    "colour": {"type": "string", "enum": ["red", "green"], "default": "green"}}, "required": ["name"]}


def send(message):
    message["jsonrpc"] = "2.0"
    with lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def notify(method, params, listen=False):
    if listen and MODERN:
        if listen_id is None:
            return
        params = dict(params, _meta={"io.modelcontextprotocol/subscriptionId": listen_id})
    send({"method": method, "params": params})


def text(value, **more):
    return dict({"resultType": "complete", "content": [{"type": "text", "text": value}]}, **more)


def schema():
    return {"type": "object", "properties": {}}


def tools():
    names = ["ask", "ask_twice", "model", "roots", "slow", "url", "touch", "log", "badform", "big", "huge", "picture"]
    listed = [{"name": n, "description": n, "inputSchema": schema()} for n in names]
    listed.append({"name": "wrong", "inputSchema": schema(), "outputSchema": {
        "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}})
    return listed


def ask_client(method, params):
    """In the stateful era: a request of this server, and its answer."""
    global next_id
    ident = next_id
    next_id += 1
    event = threading.Event()
    waiting[ident] = [event, None]
    send({"id": ident, "method": method, "params": params})
    event.wait(20)
    return waiting.pop(ident)[1]


def need(key, method, params, state):
    return {"resultType": "input_required", "requestState": state,
            "inputRequests": {key: {"method": method, "params": params}}}


def asked(params, key, method, wanted, state):
    """The client's input: None while it is still to come, then what is to be answered instead."""
    if MODERN:
        got = params.get("inputResponses", {}).get(key)
        if got is None:
            return None, need(key, method, wanted, state)
        return got, None
    answer = ask_client(method, wanted)
    return answer.get("result", {"error": answer.get("error")}), None


def call_asking(name, params):
    if name == "badform":
        got, more = asked(params, "b", "elicitation/create", {"message": "deep", "requestedSchema": {
            "type": "object", "properties": {"a": {"type": "object", "properties": {}}}}}, "s")
    elif name == "ask":
        got, more = asked(params, "f", "elicitation/create",
                          {"mode": "form", "message": "Who is it?", "requestedSchema": FORM}, "one")
        if got and MODERN and params.get("requestState") != "one":
            return text("the state is lost")
    elif name == "model":
        got, more = asked(params, "m", "sampling/createMessage", {
            "messages": [{"role": "user", "content": {"type": "text", "text": params.get("arguments", {}).get("text", "Say hello")}}], "maxTokens": 50}, "m")
    else:
        got, more = asked(params, "r", "roots/list", {}, "r")
    return more or text(json.dumps(got, sort_keys=True))


def ask_twice(params):
    if MODERN:
        if params.get("requestState") == "two":
            return text(json.dumps(params["inputResponses"]))
        return need("again", "elicitation/create", {"message": "Once more", "requestedSchema": FORM},
                    "two" if params.get("requestState") == "one" else "one")
    for _ in range(2):
        got = ask_client("elicitation/create", {"message": "Once more", "requestedSchema": FORM})
    return text(json.dumps({"again": got["result"]}))


def call(ident, params):
    name = params["name"]
    if name in ("ask", "model", "roots", "badform"):
        return call_asking(name, params)
    if name == "ask_twice":
        return ask_twice(params)
    if name == "slow":
        for i in range(8):
            time.sleep(0.15)
            notify("notifications/progress", {"progressToken": params["_meta"]["progressToken"], "progress": i + 1,
                                              "total": 8, "message": "step %d" % i})
        return text("slow and steady")
    if name == "wrong":
        return text("wrong", structuredContent={"n": "seven"})
    if name == "touch":
        for what in ("tools", "resources", "prompts"):
            notify("notifications/%s/list_changed" % what, {}, listen=True)
        notify("notifications/resources/updated", {"uri": "test://one"}, listen=True)
    if name == "log":
        for i in range(3):
            notify("notifications/message", {"level": "warning", "logger": "test", "data": "line %d" % i})
    if name in ("big", "huge"):
        return text("line of text,\u00e9\n" * ((8 if name == "big" else 17) * (1 << 16)) + "END")
    if name == "picture":
        return dict(text("a picture"), structuredContent={"n": 1 << 60}, content=[
            {"type": "text", "text": "a picture"},
            {"type": "image", "mimeType": "image/png", "data": "QUJD" * 100000}])
    return text("done")


LISTS = {
    "tools/list": ("tools", tools()),
    "resources/list": ("resources", [{"uri": "test://%d" % i, "name": "r%d" % i, "mimeType": "text/plain", "size": i}
                                     for i in range(5)]),
    "resources/templates/list": ("resourceTemplates", [{"uriTemplate": "test://{id}", "name": "t"}]),
    "prompts/list": ("prompts", [{"name": "greet", "title": "Greet", "arguments": [
        {"name": "who", "description": "whom", "required": True}]}]),
}
CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True},
                "prompts": {"listChanged": True}, "completions": {}, "logging": {}}


def answer(ident, method, params):
    if method in LISTS:
        key, items = LISTS[method]
        at = int(params.get("cursor", 0))
        page = {key: items[at:at + 3], "resultType": "complete", "ttlMs": 60000, "cacheScope": "private"}
        if at + 3 < len(items):
            page["nextCursor"] = str(at + 3)
        return page
    if method == "resources/read":
        if params["uri"] == "test://big":
            return {"contents": [{"uri": params["uri"], "blob": "QUJD" * 100000, "mimeType": "image/png"}]}
        return {"contents": [{"uri": params["uri"], "text": "text of " + params["uri"], "mimeType": "text/plain"}]}
    if method == "prompts/get":
        return {"messages": [{"role": "user", "content": {
            "type": "text", "text": "Greet " + params.get("arguments", {}).get("who", "nobody")}}]}
    if method == "completion/complete":
        return {"completion": {"values": [v for v in ("anna", "anton", "boris")
                                          if v.startswith(params["argument"]["value"])], "hasMore": False}}
    if method == "tools/call":
        return call(ident, params)
    return {}


class Refused(Exception):
    pass


def handshake(ident, method, params):
    global seen_discover, listen_id
    if method == "server/discover":
        seen_discover = True
        if args.era == "silent":
            return None
        if args.era == "version":
            raise Refused(-32022, "Unsupported protocol version", {"supported": ["2025-06-18", "2024-11-05"]})
        if not MODERN:
            raise Refused(-32601, "Method not found", None)
        return {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES,
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "features", "version": "2"}},
                "ttlMs": 0, "cacheScope": "private", "instructions": "Be kind."}
    if method == "initialize":
        if MODERN:
            raise Refused(-32601, "Method not found", None)
        if args.era == "duplicate" and seen_discover:
            raise Refused(-32600, "duplicate initialize", None)
        return {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES,
                "serverInfo": {"name": "features", "version": "1"}, "instructions": "Be kind."}
    if method == "subscriptions/listen":
        listen_id = ident
        send({"method": "notifications/subscriptions/acknowledged", "params": {
            "notifications": params["notifications"], "_meta": {"io.modelcontextprotocol/subscriptionId": ident}}})
        return None
    return False


def serve(ident, method, params):
    try:
        if MODERN and params.get("_meta", {}).get("io.modelcontextprotocol/protocolVersion") != "2026-07-28":
            raise Refused(-32602, "no _meta", None)
        result = handshake(ident, method, params)
        if args.garbage and method == "resources/list":
            raise Refused(-32603, "the database is down", None)
        if args.garbage and method == "resources/templates/list":
            raise Refused(-32601, "Method not found", None)
        if method == "tools/call" and params["name"] == "url":
            raise Refused(-32042, "open this first", {"elicitations": [
                {"mode": "url", "elicitationId": "e1", "url": "https://user@example.com/a?b=" + "c" * 300,
                 "message": "Sign in there"}]})
        if result is False:
            result = answer(ident, method, params)
        if result is not None:
            send({"id": ident, "result": result})
    except Refused as refusal:
        error = {"code": refusal.args[0], "message": refusal.args[1]}
        if refusal.args[2]:
            error["data"] = refusal.args[2]
        send({"id": ident, "error": error})
        if error["code"] == -32042:
            time.sleep(0.2)
            notify("notifications/elicitation/complete", {"elicitationId": "e1"})


for line in sys.stdin:
    if args.log:
        with open(args.log, "a") as f:
            f.write(line)
    message = json.loads(line)
    if "method" in message and "id" in message:
        threading.Thread(target=serve, args=(message["id"], message["method"], message.get("params", {})),
                         daemon=True).start()
    elif "id" in message and message["id"] in waiting:
        waiting[message["id"]][1] = message
        waiting[message["id"]][0].set()
