#!/usr/bin/env python3
"""A model that reads its sources and gets figures wrong: quotes lines of tools, and changes the first figure of about
every third one. Which ones depends on the line and the model's name alone. Speaks OpenAI's chat, streamed or not; prints
its port."""
import hashlib
import http.server
import json
import re
import sys

LINES = 5


def altered(line, name):
    """The line, or the line with its first figure changed."""
    figure = re.search(r"(?<![\w.:/-])\d+(?:[.,]\d+)?(?![\w.:/-]*[\w])", line)
    if not figure or hashlib.sha256((name + line).encode()).digest()[0] % 3:
        return line
    old = figure.group(0)
    new = str(int(re.split(r"[.,]", old)[0]) * 3 + 7)
    return line[:figure.start()] + new + line[figure.end():]


def answer(prompt, name):
    said = []
    for number, kind, fence in re.findall(r"^\[(\d+)\] (\w+) [^\n]*\n<<<(\w+)$", prompt, re.M):
        body = re.search(rf"^\[{number}\] {kind} [^\n]*\n<<<{fence}\n(.*?)\n>>>{fence}", prompt, re.M | re.S)
        if kind != "tool" or not body:
            continue
        for line in body.group(1).split("\n"):
            if len(re.findall(r"\w", line)) > 3 and len(said) < LINES:
                said.append(f"{altered(line.strip().rstrip('.'), name)} [{number}].")
    return "\n".join(said) or "I cannot answer this: the sources do not say it."


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = answer(request["messages"][-1]["content"], request["model"])
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        if request.get("stream"):
            events = [{"choices": [{"index": 0, "delta": {"content": text}}]},
                      {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}]
            body = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            body = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                                            "finish_reason": "stop"}], "usage": usage})
            kind = "application/json"
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):  # calls are cancelled: that is no fault
        pass


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
