#!/usr/bin/env python3
"""A model server with exact control, for tests: speaks Ollama's and OpenAI's chat shapes on loopback.

It prints its port on the first line of standard output and ends when standard input does. The name of
the model in the request says how it behaves:

    ok          three pieces and usage             slow-SECONDS   a pause before each piece
    bytes       as ok, sent byte by byte           stall          one piece, then nothing
    cut         two pieces, then a clean end       reset          two pieces, then the chunk is cut
    hang        takes the request, says nothing    silent-head    headers only
    nonsense    a piece, then what is no JSON      html           200 and an HTML page
    error       an error object mid-stream         500, 401       that status with an error object
    429         with Retry-After: 7                plain-503      a body that is no JSON
    nousage     no usage                           zero           a usage of zero tokens
    length      ends by length                     think          reasoning apart from the text
    nodone      OpenAI without [DONE]              whole          one JSON object, no stream
    longline    a line of 2 MiB                    echo-key       401 that repeats the key
    crlf        CRLF, comments, multi-line data    linger         end mark, then the connection stays
    huge        text without an end                keepalive      comments only, for ever
    say-WORD    the text of TEXTS by that word
    hostile     the text of the file named on the command line, byte by byte
    hostile-500, hostile-mid   that text in an error, before or in the stream
    paced       LONG: 16 characters every 20 ms, the same stream for every client

GET /log answers what happened: a list of {model, path, body, headers, disconnected}.
"""
import json
import socket
import sys
import threading
import time

LOG = []
LOCK = threading.Lock()
RUN = __name__ == "__main__"
HOSTILE = open(sys.argv[1], encoding="utf-8", newline="").read() if RUN and len(sys.argv) > 1 else ""
PIECES = ["Disk is ", "93.5% full", " [1]. Диск."]
TEXTS = {
    "fine": "The root file system has room [1]. Look with `df -h` if that changes [2].",
    "alike": "The root file system has room [1]. Look with `df -h` when that changes [2].",
    "risky": "The root file system has room [1]. Delete it all with `rm -rf /` at once [1].",
    "apart": "Bananas ripen in warm weather; ships sail south in winter [1].",
    "nothing": "I do not know what that could be.",
}
PACE_CHARS, PACE_SECONDS = 16, 0.02


def long_text(length=3145):
    """Markdown of exactly so many ASCII characters: headings, lists, code, emphasis, a table, prose."""
    part = """## Step {n}: find what fills the volume

The file system **/var** grew by *{n}.4 GB* since yesterday. Most of it is the journal, which keeps
every message until a limit is reached; the limit is not set on this host, so it is a tenth of the disk.

1. Look at the largest folders first, one level at a time.
2. Compare with the history of `disk_used` before anything is removed.
   - a steady slope is a log, a step is a backup or a core dump

```sh
du -x --max-depth=1 /var | sort -n | tail -n {n}
journalctl --disk-usage
```

| folder | size | trend |
|---|---|---|
| /var/log/journal | {n}.1 GB | rising |
| /var/lib/docker | 2{n}.0 GB | steady |

> A deleted file that a process still holds is freed only when the process closes it.

"""
    text = ""
    n = 1
    while len(text) < length:
        text += part.format(n=n)
        n += 1
    return text[:length]


LONG = long_text()


class Gone(Exception):
    pass


class Talk:
    def __init__(self, sock, entry, ollama):
        self.sock, self.entry, self.ollama = sock, entry, ollama
        self.chunked, self.one_by_one = False, False

    def raw(self, data):
        try:
            if self.one_by_one:
                for i in range(len(data)):
                    self.sock.sendall(data[i:i + 1])
            else:
                self.sock.sendall(data)
        except OSError:
            self.entry["disconnected"] = True
            raise Gone from None

    def head(self, status, kind, extra=(), length=None):
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *extra]
        if length is None:
            self.chunked = True
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {length}")
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        if not self.chunked:
            self.raw(data)
        elif self.one_by_one:
            for i in range(len(data)):
                self.raw(b"1\r\n" + data[i:i + 1] + b"\r\n")
        else:
            self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def finish(self):
        if self.chunked:
            self.raw(b"0\r\n\r\n")

    def whole(self, status, kind, text, extra=()):
        data = text.encode()
        self.head(status, kind, extra, len(data))
        self.raw(data)

    def stream(self, extra=()):
        self.head(200, "application/x-ndjson" if self.ollama else "text/event-stream", extra)

    def piece(self, text, **more):
        if self.ollama:
            self.send(json.dumps({"message": {"role": "assistant", "content": text, **more},
                                  "done": False}, ensure_ascii=False) + "\n")
        else:
            self.send("data: " + json.dumps({"choices": [{"index": 0, "delta":
                      {"content": text, **more}}]}, ensure_ascii=False) + "\n\n")

    def end(self, usage=(31, 12), reason="stop", done=True):
        if self.ollama:
            last = {"message": {"content": ""}, "done": True, "done_reason": reason}
            if usage:
                last.update(prompt_eval_count=usage[0], eval_count=usage[1])
            self.send(json.dumps(last) + "\n")
            return
        self.send("data: " + json.dumps({"choices": [{"delta": {}, "finish_reason": reason}]})
                  + "\n\n")
        if usage:
            self.send("data: " + json.dumps({"choices": [], "usage":
                      {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}) + "\n\n")
        if done:
            self.send("data: [DONE]\n\n")

    def wait_gone(self, seconds=20):
        """Waits until the client closes."""
        self.sock.settimeout(seconds)
        try:
            if self.sock.recv(1) == b"":
                self.entry["disconnected"] = True
        except socket.timeout:
            pass
        except OSError:
            self.entry["disconnected"] = True

    def error(self, status, message, extra=()):
        error = message if self.ollama else {"message": message, "type": "x"}
        self.whole(status, "application/json", json.dumps({"error": error}), extra)


def behave(t, model, headers):
    """True if the connection may be used again."""
    if model == "hang":
        t.wait_gone()
        return False
    if model == "hostile-500":
        t.error(500, "no, since " + HOSTILE)
        return True
    if model in ("500", "401"):
        t.error(int(model), f"broken in the mock with {model}\n\x1b[31m")
        return True
    if model == "429":
        t.error(429, "too many requests", ["Retry-After: 7"])
        return True
    if model == "echo-key":
        t.error(401, "bad key " + headers.get("authorization", ""))
        return True
    if model == "plain-503":
        t.whole(503, "text/plain", "upstream is\nbeing mended")
        return True
    if model == "html":
        t.whole(200, "text/html", "<html><body>login please</body></html>")
        return True
    if model == "whole":
        t.whole(200, "application/json", json.dumps(
            {"choices": [{"message": {"content": "".join(PIECES)}, "finish_reason": "stop"}],
             "usage": {"prompt_tokens": 5, "completion_tokens": 6}}))
        return True
    t.one_by_one = model in ("bytes", "hostile")
    t.stream()
    if model == "silent-head":
        t.wait_gone()
    elif model in ("stall", "cut", "reset", "nonsense", "error"):
        t.piece(PIECES[0])
        if model == "stall":
            t.wait_gone()
            return False
        t.piece(PIECES[1])
        if model == "reset":
            t.raw(b"ff\r\ndata: {")
            return False
        if model == "nonsense":
            t.send("{oops\n" if t.ollama else "data: {oops\n\n")
        if model == "error":
            words = "the card fell out"
            t.send(json.dumps({"error": words}) + "\n" if t.ollama else
                   "event: error\ndata: " + json.dumps({"error": {"message": words}}) + "\n\n")
    elif model == "hostile":
        for text in HOSTILE:
            t.piece(text)
        t.end()
    elif model == "hostile-mid":
        t.piece("The disk is full ")
        t.send(json.dumps({"error": "it fell over: " + HOSTILE}) + "\n")
    elif model == "longline":
        t.send("data: " + "x" * (2 << 20) + "\n")
    elif model == "huge":
        while True:
            t.piece("y" * 60000)
    elif model == "paced":
        due = time.monotonic()
        for i in range(0, len(LONG), PACE_CHARS):
            t.piece(LONG[i:i + PACE_CHARS])
            due += PACE_SECONDS
            time.sleep(max(0, due - time.monotonic()))
        t.end(usage=(31, len(LONG) // 4))
    elif model == "keepalive":
        while True:
            t.send(": still there\n\n" if not t.ollama else "\n")
            time.sleep(0.02)
    elif model == "crlf":
        t.send("\ufeff: comment\r\nid: 1\r\nretry: 5\r\n")
        t.send('data: {"choices":\r\ndata:[{"delta":{"content":"a\\nb"}}]}\r\n\r\n')
        t.send('data: {"choices":[{"delta":{"content":"c"}}]}\r\rdata: [DONE]\n\n')
    else:
        for text in [TEXTS[model[4:]]] if model.startswith("say-") else PIECES:
            if model.startswith("slow-"):
                time.sleep(float(model[5:]))
            if model == "think":
                t.piece("", **{"thinking" if t.ollama else "reasoning_content": "secret plan "})
            t.piece(text)
        t.end(usage=None if model in ("nousage", "think") else (0, 0) if model == "zero" else (31, 12),
              reason="length" if model == "length" else "stop", done=model != "nodone")
    if model == "linger":
        t.wait_gone()
        return False
    t.finish()
    return True


def read_request(file):
    line = file.readline(65536).decode("latin-1").split()
    if len(line) < 2:
        return None
    headers = {}
    while True:
        header = file.readline(65536).decode("latin-1").rstrip("\r\n")
        if not header:
            break
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    return line[0], line[1], headers, body


def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = sock.makefile("rb")
    try:
        while True:
            request = read_request(file)
            if not request:
                break
            method, path, headers, body = request
            if path == "/log":
                with LOCK:
                    text = json.dumps(LOG)
                Talk(sock, {}, True).whole(200, "application/json", text)
                continue
            parsed = json.loads(body)
            entry = {"model": parsed["model"], "path": path, "body": parsed, "headers": headers,
                     "disconnected": False}
            with LOCK:
                LOG.append(entry)
            if not behave(Talk(sock, entry, path.endswith("/api/chat")), parsed["model"], headers):
                break
    except (Gone, OSError):
        pass
    finally:
        sock.close()


def main():
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)

    def accept():
        while True:
            sock, _ = server.accept()
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
