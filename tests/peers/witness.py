#!/usr/bin/env python3
"""A witness, and a log that asks for cosignatures, from C2SP's tlog-witness and tlog-cosignature alone: Python's
standard library, and openssl for keys and signatures.

usage: witness.py key FOLDER NAME log|witness       makes a key in FOLDER, prints its vkey
       witness.py serve FOLDER LOGVKEY...           a witness with that key, on loopback; prints its port and ends with
                                                    its standard input. The file FOLDER/behaviour says how it answers:
                                                    ok, slow, forged, other-key, size N, no-size, garbage, huge, error
       witness.py verify NOTE LOGVKEY WITNESSVKEY... the note is signed by the log and cosigned by each witness
       witness.py strict URL FOLDER ORIGIN WITNESSVKEY   tries a witness at URL with a log of its own, whose key is in FOLDER
Vkeys are given as files. Exit code 0 verified, 4 not verified.
"""
import base64
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checkpoint import DASH, SPKI, Refused, openssl_verifies, read, sha256, split_note, unbase64, unhash  # noqa: E402

TYPES = {"log": 1, "witness": 4}


# ---- keys

def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def key_id(name, typed):
    return sha256(name.encode(), b"\n", typed)[:4]


class Signer:
    def __init__(self, folder):
        with open(os.path.join(folder, "name"), encoding="utf-8") as source:
            self.name, kind = source.read().split("\n")[:2]
        self.path = os.path.join(folder, "key.pem")
        public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        self.typed = bytes([TYPES[kind]]) + public[len(SPKI):]
        self.id = key_id(self.name, self.typed)

    @staticmethod
    def make(folder, name, kind):
        os.makedirs(folder, exist_ok=True)
        openssl("genpkey", "-algorithm", "ED25519", "-out", os.path.join(folder, "key.pem"))
        with open(os.path.join(folder, "name"), "w", encoding="utf-8") as out:
            out.write(name + "\n" + kind + "\n")
        return Signer(folder)

    def vkey(self):
        return "%s+%s+%s" % (self.name, self.id.hex(), base64.b64encode(self.typed).decode())

    def sign(self, message):
        path = self.path + ".message%d" % threading.get_ident()
        with open(path, "wb") as out:
            out.write(message)
        try:
            return openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", path)
        finally:
            os.unlink(path)

    def line(self, signature):
        return "%s%s %s\n" % (DASH, self.name, base64.b64encode(self.id + signature).decode())

    def cosign(self, body, now):
        return self.line(now.to_bytes(8, "big") + self.sign(b"cosignature/v1\ntime %d\n" % now + body))


def read_vkey(path, kind):
    name, ident, key = read(path).decode().strip().split("+", 2)
    typed = unbase64(key)
    if len(typed) != 33 or typed[0] != TYPES[kind] or key_id(name, typed).hex() != ident:
        raise Refused("not the vkey of a " + kind)
    return name, bytes.fromhex(ident), typed[1:]


def check_checkpoint(data, vkeys):
    """(body, origin, size, root) of a checkpoint that one of these keys of logs signed."""
    body, lines, signatures = split_note(data)
    if len(lines) < 3 or not all(lines) or not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
        raise Refused("not a checkpoint")
    for name, ident, public in vkeys:
        signature = signatures.get((name, ident))
        if name == lines[0] and signature and openssl_verifies(public, body, signature):
            return body, lines[0], int(lines[1]), unhash(lines[2])
    raise Refused("not signed by a log that is known")


def check_cosigned(data, log, witnesses):
    body, origin, size, _ = check_checkpoint(data, [log])
    signatures, times = split_note(data)[2], {}
    for name, ident, public in witnesses:
        raw = signatures.get((name, ident))
        if raw is None or len(raw) != 72:
            raise Refused("not cosigned by " + name)
        at = int.from_bytes(raw[:8], "big")
        if not openssl_verifies(public, b"cosignature/v1\ntime %d\n" % at + body, raw[8:]):
            raise Refused("a cosignature does not verify: " + name)
        times[name] = at
    return {"ok": True, "origin": origin, "size": size, "cosigned": times}


# ---- trees: RFC 6962, section 2.1, as it is written there

def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01", root(leaves[:k]), root(leaves[k:]))


def prove(m, leaves, whole=True):
    n = len(leaves)
    if m == n:
        return [] if whole else [root(leaves)]
    k = split(n)
    if m <= k:
        return prove(m, leaves[:k], whole) + [root(leaves[k:])]
    return prove(m - k, leaves[k:], False) + [root(leaves[:k])]


def follows(m, n, old, new, proof):
    """Computes both roots by walking the proof as it was made, from the root down: RFC 6962, section 2.1.2."""
    proof = list(proof)

    def walk(m, n, whole):
        if m == n:
            value = old if whole else proof.pop(0)
            return value, value
        k = split(n)
        if m <= k:
            before, after = walk(m, k, whole)
            return before, sha256(b"\x01", after, proof.pop(0))
        before, after = walk(m - k, n - k, False)
        left = proof.pop(0)
        return sha256(b"\x01", left, before), sha256(b"\x01", left, after)
    try:
        return walk(m, n, True) == (old, new) and not proof
    except IndexError:
        return False


# ---- the witness

class Witness:
    def __init__(self, folder, logs):
        self.folder, self.signer, self.logs = folder, Signer(folder), logs
        self.seen, self.lock, self.requests = {}, threading.Lock(), 0

    def behaviour(self):
        try:
            with open(os.path.join(self.folder, "behaviour"), encoding="utf-8") as source:
                return source.read().split()
        except FileNotFoundError:
            return ["ok"]

    def add(self, data):
        """(status, content type, body)"""
        with self.lock:
            try:
                head, _, note = data.decode().partition("\n\n")
                lines = head.split("\n")
                if not lines[0].startswith("old "):
                    return 400, "text/plain", "no old size\n"
                old = int(lines[0][4:])
                proof = [unhash(line) for line in lines[1:]]
                names = [name for name, _, _ in self.logs]
                if note.split("\n", 1)[0] not in names:
                    return 404, "text/plain", "unknown\n"
                body, origin, size, new = check_checkpoint(note.encode(), self.logs)
            except Refused as refused:
                return 403, "text/plain", "%s\n" % refused
            known, before = self.seen.get(origin, (0, None))
            if old > size:
                return 400, "text/plain", "old is larger\n"
            if old != known or (old == size and old and before != new):
                return 409, "text/x.tlog.size", "%d\n" % known
            if (proof and not old) or (old and not follows(old, size, before, new, proof)):
                return 422, "text/plain", "no consistency\n"
            self.seen[origin] = size, new
            return 200, "text/plain", self.signer.cosign(body, int(time.time()))

    def answer(self, data):
        how = self.behaviour()
        status, kind, body = self.add(data)
        if how[0] == "slow":
            time.sleep(30)
        elif how[0] == "forged":
            status, body = 200, self.signer.line(int(time.time()).to_bytes(8, "big") + bytes(64))
        elif how[0] == "other-key":
            status, body = 200, "%sanother.example/w %s\n" % (DASH, base64.b64encode(bytes(76)).decode())
        elif how[0] == "size":
            status, kind, body = 409, "text/x.tlog.size", how[1] + "\n"
        elif how[0] == "no-size":
            status, kind, body = 409, "text/plain", "no\n"
        elif how[0] == "garbage":
            status, body = 200, "\x00\x1b[31mnot a note\n"
        elif how[0] == "huge":
            status, body = 200, "x" * 10000000
        elif how[0] == "error":
            status, body = 500, "out of order\n"
        return status, kind, body


def serve(folder, logs):
    witness = Witness(folder, logs)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # noqa: N802
            data = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, body = witness.answer(data)
            raw = body.encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                self.close_connection = True

        def log_message(self, *arguments):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    return 0


# ---- a log that tries a witness

class Log:
    def __init__(self, folder, origin):
        self.signer, self.origin = Signer(folder), origin
        self.leaves = []

    def grow(self, n):
        self.leaves += [sha256(b"\x00", str(len(self.leaves) + i).encode()) for i in range(n)]

    def note(self, size, origin=None, change=None):
        text = "%s\n%d\n%s\n" % (origin or self.origin, size, base64.b64encode(root(self.leaves[:size])).decode())
        signature = bytearray(self.signer.sign(text.encode()))
        if change is not None:
            signature[change] ^= 1
        return text + "\n" + self.signer.line(bytes(signature))

    def request(self, old, size, proof=None, **more):
        if proof is None:
            proof = prove(old, self.leaves[:size]) if 0 < old <= size else []
        return ("old %d\n" % old + "".join(base64.b64encode(h).decode() + "\n" for h in proof) + "\n"
                + self.note(size, **more)).encode()


def post(url, data, path="/add-checkpoint", method="POST", headers=None):
    at = urllib.parse.urlsplit(url)
    link = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
    link.request(method, path, body=data, headers=headers or {})
    answer = link.getresponse()
    result = answer.status, answer.headers.get("Content-Type"), answer.read()
    link.close()
    return result


def raw(url, data, wait=20):
    at = urllib.parse.urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=wait) as link:
        link.sendall(data)
        answer = b""
        while True:
            part = link.recv(65536)
            if not part:
                return answer
            answer += part


def strict(url, folder, origin, witness):
    log = Log(folder, origin)
    log.grow(40)
    vkey = log.signer.name, log.signer.id, log.signer.typed[1:]

    def expect(status, data, **more):
        got = post(url, data, **more)
        if got[0] != status:
            raise Refused("%d %r in place of %d for %r" % (got[0], got[2][:200], status, data[:300]))
        if status == 200:
            note = data.split(b"\n\n", 1)[1] + got[2]
            check_cosigned(note, vkey, [witness])
        if status == 409 and (got[1] != "text/x.tlog.size" or not got[2].strip().isdigit()):
            raise Refused("a conflict without a size: %r" % (got,))
        return got
    if expect(409, log.request(7, 9))[2] != b"0\n":
        raise Refused("what nobody cosigned yet has the size 0")
    expect(422, log.request(0, 9, proof=[sha256(b"x")]))
    expect(200, log.request(0, 9))
    expect(200, log.request(9, 9))                                    # again, with a new time
    expect(404, log.request(9, 12, origin="example.com/other"))
    expect(403, log.request(9, 12, change=5))
    expect(400, log.request(12, 9))
    expect(400, b"")
    expect(400, b"old 9\n\n")
    expect(400, b"old 09\n\n" + log.note(12).encode())
    expect(400, log.request(9, 12).replace(b"\n", b"\r\n"))
    expect(400, log.request(9, 12) + b"more\n")
    expect(400, log.request(9, 12, proof=[sha256(b"x")] * 64))
    expect(422, log.request(9, 12, proof=[]))
    expect(422, log.request(9, 12, proof=prove(9, log.leaves[:12])[::-1]))
    expect(422, log.request(9, 12, proof=prove(9, log.leaves[:12]) + [sha256(b"x")]))
    if expect(409, log.request(8, 12))[2] != b"9\n":
        raise Refused("the size that was cosigned last")
    expect(409, log.request(0, 5))                                    # rolled back
    expect(404, b"", path="/")
    expect(405, b"", method="PUT")
    expect(413, b"x" * 100000)
    kept, log.leaves[2] = log.leaves[2], sha256(b"another history")
    expect(409, log.request(9, 9))
    expect(422, log.request(9, 12))
    log.leaves[2] = kept
    # two at once from the same size: one of them is cosigned
    log_size = 9
    for sizes in ((20, 30), (36, 40)):
        old, got = log_size, []
        runs = [threading.Thread(target=lambda n=n: got.append(post(url, log.request(old, n)))) for n in sizes]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        if sorted(one[0] for one in got) != [200, 409]:
            raise Refused("a race: %r" % got)
        log_size = int(next(one[2] for one in got if one[0] == 409))
    # bytes that are no request, and one that comes in pieces
    for bad in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"POST /add-checkpoint HTTP/1.1\nHost: a\n\n\r\n\r\n",
                b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        if not raw(url, bad).startswith(b"HTTP/1.1 400 "):
            raise Refused("no 400 for %r" % bad)
    if not raw(url, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").startswith(b"HTTP/1.1 501 "):
        raise Refused("no 501")
    if not raw(url, b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n").startswith(b"HTTP/1.1 431 "):
        raise Refused("no 431")
    # slow ones, many of them, stop nobody
    at = urllib.parse.urlsplit(url)
    slow = [socket.create_connection((at.hostname, at.port), timeout=20) for _ in range(40)]
    for link in slow:
        link.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 10\r\n\r\nold")
    began = time.time()
    expect(200, log.request(log_size, log_size))
    if time.time() - began > 5:
        raise Refused("the slow ones stopped it")
    for link in slow:
        link.close()
    return {"ok": True}


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    what, first = sys.argv[1:3]
    try:
        if what == "key":
            print(Signer.make(first, sys.argv[3], sys.argv[4]).vkey())
            return 0
        if what == "serve":
            return serve(first, [read_vkey(path, "log") for path in sys.argv[3:]])
        if what == "verify":
            report = check_cosigned(read(first), read_vkey(sys.argv[3], "log"),
                                    [read_vkey(path, "witness") for path in sys.argv[4:]])
        else:
            report = strict(first, sys.argv[3], sys.argv[4], read_vkey(sys.argv[5], "witness"))
    except (Refused, ValueError, KeyError, IndexError) as refused:
        report = {"ok": False, "error": str(refused)}
    print(json.dumps(report))
    return 0 if report["ok"] else 4


if __name__ == "__main__":
    sys.exit(main())
