#!/usr/bin/env python3
"""An MCP server on Streamable HTTP with exact faults, for the tests. The path of a request names how it
behaves; /stats/PATH tells what arrived. Prints its port; ends when standard input does."""
import base64
import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

SEEN, LOCK = {}, threading.Lock()
OLD_STREAMS = {}
TOKENS, REVOKED, CHALLENGE = [], set(), {}
JTIS, KEYS = set(), []  # of proofs, mode bound
SHORT = 1.0  # seconds that a token of mode short lasts
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
TOOLS = [{"name": "echo", "description": "Says it again", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]


def note(mode, what):
    with LOCK:
        SEEN.setdefault(mode, []).append(what)
        return sum(one == what for one in SEEN[mode])


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def proof_nonce(request, path, token=None):
    """The nonce ("" for none) in the one proof that a request must have; None where the proof is not as RFC 9449, 4.3, wants it
    (what it says; its signature others verify), or is by another key than the ones before."""
    given = request.headers.get_all("DPoP") or []
    if len(given) != 1:
        return None
    head, claims = map(part, given[0].split(".")[:2])
    ath = token and base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().strip("=")
    fine = (head["typ"] == "dpop+jwt" and head["alg"] == "ES256" and sorted(head["jwk"]) == ["crv", "kty", "x", "y"]
            and claims["htm"] == request.command and claims["htu"] == f"http://127.0.0.1:{request.server.server_port}/{path}"
            and claims.get("ath") == ath and abs(claims["iat"] - time.time()) < 60)
    with LOCK:
        KEYS.append(head["jwk"])
        fine = fine and claims["jti"] not in JTIS and head["jwk"] == KEYS[0]
        JTIS.add(claims["jti"])
    return claims.get("nonce", "") if fine else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def mode(self):
        return self.path.strip("/").split("?")[0]

    def reply(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    # ---- an issuer of tokens: modes auth (code), device, short (as auth, with tokens that end soon), bound (DPoP)
    def metadata(self, mode):
        me = f"http://127.0.0.1:{self.server.server_port}"
        if mode.startswith(".well-known/oauth-protected-resource/"):
            name = mode.split("/")[-1]
            return {"resource": f"{me}/{name}", "authorization_servers": [f"{me}/as-{name}"], "scopes_supported": ["tools"]}
        issuer = f"{me}/as-{mode.split('as-')[1]}"
        more = {"device_authorization_endpoint": issuer + "/device", "grant_types_supported": [DEVICE]} if "device" in issuer else {}
        if "bound" in issuer:
            more = {"dpop_signing_alg_values_supported": ["ES256"]}
        return {"issuer": issuer, "token_endpoint": issuer + "/token", "authorization_endpoint": issuer + "/authorize",
                "registration_endpoint": issuer + "/register", "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True, **more}

    def issuer(self, mode, body):
        what, form = mode.split("/")[-1], parse_qs(body.decode())
        grant = form.get("grant_type", [""])[0]
        bound = mode.startswith("as-bound")
        log = "issuer-short" if mode.startswith("as-short") else "issuer-bound" if bound else "issuer"
        count = note(log, what + " " + grant if grant else what)
        if what == "register":
            return self.reply(201, json.dumps({"client_id": "c1", "client_secret": "client-secret-1", "redirect_uris": []}).encode())
        if what == "device":
            answer = {"device_code": "d1", "user_code": "ABCD-1234", "verification_uri": "http://127.0.0.1/device", "interval": 1}
            return self.reply(200, json.dumps(answer).encode())
        if grant == DEVICE and count == 1:
            return self.reply(400, b'{"error":"authorization_pending"}')
        if grant == "authorization_code":
            challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"][0].encode()).digest()).decode().strip("=")
            if form["code"] != ["code-1"] or challenge != CHALLENGE.get("is") or not self.headers.get("Authorization", "").startswith("Basic "):
                return self.reply(400, b'{"error":"invalid_grant"}')
        nonce = proof_nonce(self, mode) if bound and what == "token" else "n1"
        if nonce != "n1":
            note(log, "bad proof" if nonce is None else "wants a nonce")
            return self.reply(400, b'{"error":"use_dpop_nonce"}', DPoP_Nonce="n1")
        short = mode.startswith("as-short")
        if grant == "refresh_token" and short and count == 2:
            return self.reply(503)
        if grant == "refresh_token" and form["refresh_token"] != [f"refresh-{len(TOKENS)}"]:
            return self.reply(400, b'{"error":"invalid_grant"}')
        TOKENS.append(f"access-token-{len(TOKENS) + 1}")
        if short:
            threading.Timer(SHORT, REVOKED.add, [TOKENS[-1]]).start()
        answer = {"access_token": TOKENS[-1], "token_type": "DPoP" if bound else "bearer", "refresh_token": f"refresh-{len(TOKENS)}",
                  "expires_in": int(SHORT) if short else 3600}
        return self.reply(200, json.dumps(answer).encode())

    def unproved(self):
        """True: the request was refused. Nonces change with every fifth one."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "DPoP" or token not in TOKENS or token in REVOKED:
            return self.reply(401, WWW_Authenticate="DPoP") or True
        nonce, wanted = proof_nonce(self, "bound", token), f"s{len(JTIS) // 5}"
        if nonce == wanted:
            return False
        note("bound", "bad proof" if nonce is None else "wants a nonce")
        return self.reply(401, WWW_Authenticate='DPoP error="use_dpop_nonce"', DPoP_Nonce=f"s{(len(JTIS) + 1) // 5}") or True

    def authorize(self):
        query = parse_qs(urlsplit(self.path).query)
        CHALLENGE["is"] = query["code_challenge"][0]
        issuer = f"http://127.0.0.1:{self.server.server_port}/{self.path.split('/')[1]}"
        self.reply(302, Location=query["redirect_uri"][0] + "?" + urlencode({"code": "code-1", "state": query["state"][0], "iss": issuer}))

    # ---- GET
    def do_GET(self):
        mode = self.mode()
        if mode.startswith(".well-known/"):
            return self.reply(200, json.dumps(self.metadata(mode)).encode())
        if mode.endswith("/authorize"):
            return self.authorize()
        if mode.startswith("stats/"):
            with LOCK:
                return self.reply(200, json.dumps(SEEN.get(mode[6:], [])).encode())
        note(mode, "GET")
        if mode in ("old", "oldevil"):
            return self.old_stream(mode)
        last = self.headers.get("Last-Event-ID")
        if mode == "resume" and last:
            note(mode, "resumed at " + last)
            self.stream()
            answer = {"jsonrpc": "2.0", "id": int(last.split("-")[1]), "result": {"content": [{"type": "text", "text": "resumed"}]}}
            self.chunk(f"id: {last}x\ndata: {json.dumps(answer)}\n\n")
            return self.end()
        if mode in ("stream", "resume"):
            time.sleep(0.1)
            note(mode, "stream is open")  # before the client can know, or its next request may be noted first
            self.stream()
            try:
                for _ in range(200):
                    time.sleep(0.05)
                    self.chunk(": still here\n")
            except OSError:
                pass
            return None
        return self.reply(405)

    def old_stream(self, mode):
        self.stream()
        where = "/messages?s=1" if mode == "old" else "http://127.0.0.2:9/messages"
        self.chunk(f"event: endpoint\ndata: {where}\n\n")
        gate, queue = threading.Event(), []
        OLD_STREAMS["1"] = (gate, queue)
        try:
            for _ in range(200):
                gate.wait(0.05)
                gate.clear()
                while queue:
                    self.chunk(f"event: message\ndata: {json.dumps(queue.pop(0))}\n\n")
        except OSError:
            pass

    def do_DELETE(self):
        note(self.mode(), "DELETE " + self.headers.get("Mcp-Session-Id", ""))
        self.reply(200)

    # ---- POST
    def do_POST(self):
        mode = self.mode()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if mode.startswith("as-"):
            return self.issuer(mode, body)
        if mode == "revoke":
            REVOKED.update(TOKENS)
            return self.reply(200)
        message = json.loads(body)
        method = message.get("method", "answer")
        if mode == "messages":
            self.reply(202)
            note("old", method)
            answer = self.answer(message, "old")
            if answer:
                OLD_STREAMS["1"][1].append(answer)
                OLD_STREAMS["1"][0].set()
            return None
        count = note(mode, method)
        if mode in ("old", "oldevil"):
            return self.reply(405)
        if mode == "token" and self.headers.get("Authorization") != "Bearer sesame":
            return self.reply(401, WWW_Authenticate='Bearer error="invalid_token"')
        if mode in ("auth", "device", "short"):
            token = self.headers.get("Authorization", "")[7:]
            if token not in TOKENS or token in REVOKED:
                note(mode, "refused")
                return self.reply(401, WWW_Authenticate="Bearer")
        if mode == "bound" and self.unproved():
            return None
        if mode == "plain" and self.headers.get("X-Extra") != "yes":
            return self.reply(418)
        if method == "server/discover":
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Bad Request: no session"}}
            return self.reply(400, json.dumps(error).encode())
        if "id" not in message:
            return self.reply(202)
        if method == "tools/call" and self.fault(mode, message, count):
            return None
        if mode == "lost" and method == "initialize":
            return self.reply(200, self.text(message, mode), Mcp_Session_Id=f"s{count}")
        if mode == "batch" and method == "tools/call":
            both = [{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}, self.answer(message, mode)]
            return self.reply(200, json.dumps(both).encode())
        return self.reply(200, self.text(message, mode), Mcp_Session_Id="abc")

    def text(self, message, mode):
        return json.dumps(self.answer(message, mode)).encode()

    def answer(self, message, mode):
        method, result = message.get("method"), {}
        if "id" not in message:
            return None
        if method == "initialize":
            result = {"protocolVersion": "2025-03-26" if mode == "batch" else "2024-11-05" if mode == "old" else "2025-11-25",
                      "capabilities": {"tools": {}}, "serverInfo": {"name": mode, "version": "1"}}
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif method == "tools/call":
            result = {"content": [{"type": "text", "text": message["params"]["arguments"].get("text", "")}]}
        elif method == "server/discover":
            return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def fault(self, mode, message, count):
        data = json.dumps(self.answer(message, mode))
        if mode == "slow":
            self.stream()
            for c in ": hello\r\nid: 1\r\ndata:\r\n\r\n" + f"event: message\r\ndata: {data}\r\n\r\n":
                self.chunk(c)
            self.end()
        elif mode == "cut":
            self.stream()
            self.chunk(f"data: {data[:20]}")
            self.cut()
        elif mode == "resume":
            self.stream()
            self.chunk(f"id: e-{message['id']}\nretry: 60\ndata:\n\n")
            self.cut()
        elif mode == "closed":
            self.cut()
        elif mode == "hang":
            time.sleep(3)
            self.cut()
        elif mode == "lost" and count == 1:
            self.reply(404)
        elif mode == "status":
            self.reply(500, b"out of order", "text/plain")
        elif mode == "forbidden":
            self.reply(403, b"Invalid Host", "text/plain")
        elif mode == "redirect":
            self.reply(307, Location="http://127.0.0.1:9/elsewhere")
        elif mode == "html":
            self.reply(200, b"<html>sign in here</html>", "text/html")
        elif mode == "giant":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                for _ in range(18):
                    self.wfile.write(b"x" * (1 << 20))
            except OSError:
                pass
            self.close_connection = True
        else:
            return False
        return True


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a peer that went away is what some tests are about
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
