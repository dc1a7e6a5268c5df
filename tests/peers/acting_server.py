#!/usr/bin/env python3
"""An MCP server on stdio that really changes something: values as files of a folder.

acting_server.py FOLDER
Tools: get {key}, set {key, value, ms?, fail?} and drop {key}; enable_backup, disable_backup and show_backup {key}. Each call of set and drop is a line in FOLDER/calls,
written before the change; `ms` waits in between, so that a kill in the middle leaves a call that may have run.
Standard library only.
"""
import json
import os
import sys
import time

folder = sys.argv[1]


def path(key):
    return os.path.join(folder, "value-" + os.path.basename(key))


def word():
    """What the definitions say besides: the file `word` changes them."""
    try:
        with open(os.path.join(folder, "word"), encoding="utf-8") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def tool(name, properties, required, **more):
    return {"name": name, "description": "the tool " + name + word(),
            "inputSchema": {"type": "object", "properties": properties, "required": required,
                            "additionalProperties": False}, **more}


TEXT = {"type": "string"}
TOOLS = [
    tool("get", {"key": TEXT}, ["key"], outputSchema={"type": "object", "properties": {"key": TEXT, "value": TEXT}}),
    tool("enable_backup", {"key": TEXT}, ["key"], title="enable a backup"),
    tool("disable_backup", {"key": TEXT}, ["key"], title="disable a backup"),
    tool("show_backup", {"key": TEXT}, ["key"], outputSchema={"type": "object", "properties": {"enabled": {"type": "boolean"}}}),
    tool("set", {"key": TEXT, "value": TEXT, "ms": {"type": "integer"}, "fail": {"type": "boolean"}},
         ["key", "value"], title="set a value"),
    tool("drop", {"key": TEXT}, ["key"], annotations={"destructiveHint": True}),
]


def note(line):
    with open(os.path.join(folder, "calls"), "a", encoding="utf-8") as out:
        out.write(line + "\n")


def answer(text, **more):
    return {"content": [{"type": "text", "text": text}], **more}


def call(name, given):
    key = given["key"]
    if name == "show_backup":
        return answer("seen", structuredContent={"enabled": os.path.exists(path("backup-" + key))})
    if name.endswith("_backup"):
        note("%s %s" % (name, key))
        if name == "enable_backup":
            open(path("backup-" + key), "w", encoding="utf-8").close()
        elif os.path.exists(path("backup-" + key)):
            os.unlink(path("backup-" + key))
        return answer("done", structuredContent={"backup": "backup-" + key})
    if name == "get":
        try:
            with open(path(key), encoding="utf-8") as value:
                return answer("it is there", structuredContent={"key": key, "value": value.read()})
        except FileNotFoundError:
            return answer("it is not there", structuredContent={"key": key})
    if name == "set":
        note("set %s %s" % (key, given["value"]))
        time.sleep(given.get("ms", 0) / 1000)
        if given.get("fail"):
            return answer("it was refused", isError=True)
        with open(path(key), "w", encoding="utf-8") as value:
            value.write(given["value"])
        return answer("set")
    note("drop %s" % key)
    if os.path.exists(path(key)):
        os.unlink(path(key))
    return answer("dropped")


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "acting", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "tools/call":
        result = call(params["name"], params.get("arguments", {}))
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
