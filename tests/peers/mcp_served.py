"""The console as an MCP server, from outside: standard streams and HTTP, with the standard library
alone. Friendly peers first, then those that are slow, huge, garbled, without a token, from elsewhere.
usage: mcp_served.py BINARY DIR"""
import http.client, json, os, re, signal, socket, subprocess, sys, threading, time

BIN, DIR = sys.argv[1], sys.argv[2]
TOKEN = "0123456789abcdef0123456789abcdef"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def check(good, what):
    if not good:
        sys.exit("FAILED: %s" % (what,))


def request(i, method, params=None):
    m = {"jsonrpc": "2.0", "id": i, "method": method}
    if params is not None:
        m["params"] = params
    return m


def hello(version="2025-11-25"):
    return request(1, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})


class Stdio:
    def __init__(self, *options):
        self.p = subprocess.Popen([BIN, "--state", DIR + "/stdio", *options, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, *messages):
        for m in messages:
            self.p.stdin.write((m if isinstance(m, bytes) else json.dumps(m).encode()) + b"\n")
        self.p.stdin.flush()

    def hear(self):
        return json.loads(self.p.stdout.readline())

    def until(self, i):
        notes = []
        while True:
            m = self.hear()
            if m.get("id") == i and "method" not in m:
                return m, notes
            notes.append(m)

    def end(self):
        self.p.stdin.close()
        code = self.p.wait(20)
        rest, err = self.p.stdout.read(), self.p.stderr.read()
        return code, rest, err


def over_stdio():
    s = Stdio()
    s.say(request(9, "tools/list"))
    check(s.hear()["error"]["code"] == -32600, "a request before initialize")
    s.say(hello("2025-06-18"))
    check(s.hear()["result"]["protocolVersion"] == "2025-06-18", "the version asked for")
    s.say({"jsonrpc": "2.0", "method": "notifications/initialized"}, request(2, "tools/list"))
    tools = s.hear()["result"]["tools"]
    names = {t["name"] for t in tools}
    check({"ask", "search_evidence", "verify_evidence", "connector_health", "cost_summary", "scorecard"} <= names, names)
    for t in tools:
        check(t["annotations"]["readOnlyHint"] is True and t["outputSchema"] and t["title"], t)
    check("sign_checkpoint" not in names and "check_connector" not in names, "a tool that acts is offered")
    s.say(request(3, "tools/call", {"name": "sign_checkpoint", "arguments": {}}))
    check(s.hear()["error"]["code"] == -32602, "a tool that acts can be called")
    s.say(request(4, "tools/call", {"name": "ask", "arguments": {"question": "are all connectors healthy?"}, "_meta": {"progressToken": "p"}}))
    answer, notes = s.until(4)
    body = answer["result"]["structuredContent"]
    check(not answer["result"]["isError"] and body["state"] == "done" and body["sources"], answer)
    steps = [n["params"]["progress"] for n in notes if n["method"] == "notifications/progress"]
    check(len(steps) > 2 and steps == sorted(set(steps)), steps)
    trace = body["trace_id"]
    # what it said can be looked up, and leads to the log
    s.say(request(5, "tools/call", {"name": "lineage", "arguments": {"id": trace}}))
    check(len(s.hear()["result"]["structuredContent"]["nodes"]) > 2, "lineage")
    s.say(request(6, "tools/call", {"name": "search_evidence", "arguments": {"type": "answer"}}))
    seq = s.hear()["result"]["structuredContent"]["entries"][0]["seq"]
    s.say(request(7, "resources/read", {"uri": "evidence://entry/%d" % seq}))
    check(trace in s.hear()["result"]["contents"][0]["text"], "the entry as a resource")
    s.say(request(8, "completion/complete", {"ref": {"type": "ref/resource", "uri": "evidence://trace/{trace_id}"}, "argument": {"name": "trace_id", "value": trace[:4]}}))
    check(s.hear()["result"]["completion"]["values"] == [trace], "completion")
    s.say(request(10, "resources/read", {"uri": "runbook://en/disk-full"}), request(11, "resources/read", {"uri": "runbook://../../etc/passwd"}))
    first, second = s.hear(), s.hear()
    check(first["result"]["contents"][0]["mimeType"] == "text/markdown" and second["error"]["code"] == -32002, (first, second))
    s.say(request(12, "tools/call", {"name": "get_evidence", "arguments": {"seq": -1}}))
    check(s.hear()["result"]["isError"], "a bad argument is a result for the model")
    s.say(request(13, "prompts/get", {"name": "investigate_alert", "arguments": {"alert": "disk {connector} full"}}))
    check("disk {connector} full" in s.hear()["result"]["messages"][0]["content"]["text"], "what an argument holds stays as it is")
    # garbage, deep, huge, of no form; then it still answers
    s.say(b"garbage", b"[" * 100, b'{"jsonrpc":"2.0","id":{},"method":"ping"}', b"x" * (3 << 20), b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', b"\xff\xfe", b'{"a":1,"a":2}')
    codes = [s.hear()["error"]["code"] for _ in range(7)]
    check(codes == [-32700, -32700, -32600, -32700, -32600, -32700, -32700], codes)
    # cancelled: no answer comes, and the console goes on
    s.say(request(14, "tools/call", {"name": "ask", "arguments": {"question": "why is the disk full?"}}), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 14}}, request(15, "ping"))
    check(s.hear()["id"] == 15, "a cancelled request was answered")
    s.say(request("d", "server/discover", {"_meta": META}), request("e", "tools/list", {"_meta": dict(META, **{"io.modelcontextprotocol/protocolVersion": "1900-01-01"})}))
    d, e = s.hear(), s.hear()
    check(d["result"]["resultType"] == "complete" and "2026-07-28" in d["result"]["supportedVersions"] and e["error"]["code"] == -32022, (d, e))
    code, rest, err = s.end()
    check(code == 0 and rest == b"", (code, rest, err))

    # a batch is answered by one, without what was cancelled and what wants no answer
    s = Stdio()
    s.say(hello("2025-03-26"))
    s.hear()
    ask = {"name": "ask", "arguments": {"question": "are all connectors healthy?"}}
    s.say([request(2, "ping"), 1, {"jsonrpc": "2.0", "method": "notifications/initialized"}, request(3, "tools/call", ask), request(4, "tools/call", ask),
           {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}}, request(5, "no/method"), {"jsonrpc": "2.0", "id": 9, "result": {}}],
          [{"jsonrpc": "2.0", "method": "notifications/initialized"}], [], request(6, "ping"))
    check(s.hear()["error"]["code"] == -32600 and s.hear()["id"] == 6, "an empty batch, and what comes behind a batch that waits")
    got = s.hear()
    check(sorted(m["id"] or 0 for m in got) == [0, 2, 3, 5] and {m["id"]: m for m in got}[3]["result"]["isError"] is False, got)
    code, rest, err = s.end()
    check(code == 0 and rest == b"", (code, rest, err))

    s = Stdio("--role", "demo")
    s.say(hello(), request(2, "tools/list"))
    s.hear()
    check("ask" not in {t["name"] for t in s.hear()["result"]["tools"]}, "ask is offered to the demo role")
    s.p.send_signal(signal.SIGTERM)
    check(s.p.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM), "it ends by a signal")
    s.p.stdin.close(), s.p.stdout.close(), s.p.stderr.close()


class Http:
    def __init__(self, state, *lines):
        conf = "%s/%s.conf" % (DIR, state)
        with open(conf, "w") as f:
            f.write("[mcp_server]\n" + "\n".join(lines) + "\n")
        env = dict(os.environ, T_TOKEN=TOKEN)
        self.p = subprocess.Popen([BIN, "--config", conf, "--state", DIR + "/" + state, "mcp", "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        line = self.p.stderr.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/mcp", line)
        check(found, line)
        self.port = int(found[1])
        until = time.time() + 20
        while self.send("GET")[0] == 503 and time.time() < until:
            time.sleep(0.05)

    def open(self, method, body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        h = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + TOKEN}
        h.update({k.replace("_", "-"): v for k, v in headers.items()})
        data = json.dumps(body) if not isinstance(body, (bytes, type(None))) else body
        c.request(method, "/mcp", data, {k: v for k, v in h.items() if v is not None})
        return c, c.getresponse()

    def send(self, method, body=None, **headers):
        c, r = self.open(method, body, **headers)
        data = r.read()
        c.close()
        return r.status, dict(r.getheaders()), data

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        code = self.p.wait(20)
        rest = self.p.stdout.read()
        check(code == -signal.SIGTERM and rest == b"", (code, rest, self.p.stderr.read()))


def events(data):
    out = []
    for block in data.decode().split("\n\n"):
        fields = dict(l.split(": ", 1) for l in block.split("\n") if ": " in l and not l.startswith(":"))
        if "id" in fields or fields.get("data"):
            out.append((fields.get("id"), json.loads(fields["data"]) if fields.get("data", "").strip() else None))
    return out


def batches(h):
    session = h.send("POST", hello("2025-03-26"))[1]["Mcp-Session-Id"]
    wrong = [1, 2, {"jsonrpc": "2.0", "id": 7}, {"jsonrpc": "1.0", "id": 8, "method": "ping"}, []]
    status, headers, data = h.send("POST", [request(2, "ping"), *wrong, request("a", "tools/list")], Mcp_Session_Id=session)
    got = json.loads(data)
    check(status == 200 and headers["Content-Type"] == "application/json" and len(got) == 6, (status, got))
    check([m["id"] for m in got] == [2, None, None, 8, None, "a"] and all(("error" in m) == (m["id"] in (None, 8)) for m in got), got)
    check(h.send("POST", wrong[:2], Mcp_Session_Id=session)[0] == 200, "only nonsense")
    status, headers, data = h.send("POST", [{"jsonrpc": "2.0", "method": "notifications/initialized"}], Mcp_Session_Id=session)
    check(status == 202 and data == b"", "only what wants no answer")
    slow = [request(3, "ping"), request(4, "tools/call", {"name": "ask", "arguments": {"question": "are all connectors healthy?"}, "_meta": {"progressToken": 1}})]
    status, headers, data = h.send("POST", slow, Mcp_Session_Id=session)
    got = [m for _, m in events(data) if m]
    check(headers["Content-Type"] == "text/event-stream" and sorted(m["id"] for m in got[-1]) == [3, 4] and got[0]["method"] == "notifications/progress", got)
    new = h.send("POST", hello())[1]["Mcp-Session-Id"]
    check(h.send("POST", slow, Mcp_Session_Id=new)[0] == 400, "a batch in a revision without them")


def pages(h):
    """What browsers ask and want to be told for a page of another origin."""
    origin = "https://agents.example.com"
    asks = {"Origin": origin, "Access_Control_Request_Method": "POST", "Authorization": None,
            "Access_Control_Request_Headers": "authorization,content-type, mcp-protocol-version,mcp-param-connector,x-evil,mcp-bad:"}
    status, headers, data = h.send("OPTIONS", **asks)
    check(status == 204 and data == b"" and headers["Access-Control-Allow-Origin"] == origin and headers["Vary"] == "Origin", (status, headers))
    check("POST" in headers["Access-Control-Allow-Methods"] and "Access-Control-Allow-Credentials" not in headers, headers)
    allowed = headers["Access-Control-Allow-Headers"].lower()
    check("mcp-param-connector" in allowed and "evil" not in allowed and "bad" not in allowed, allowed)
    status, headers, _ = h.send("OPTIONS", **dict(asks, Origin="https://evil.example"))
    check(status == 403 and "Access-Control-Allow-Origin" not in headers, (status, headers))
    check(h.send("OPTIONS", **dict(asks, Host="evil.example"))[0] == 403, "a preflight for a host that is rebound")
    check(h.send("OPTIONS", Authorization=None)[0] == 401, "OPTIONS that is no preflight")
    for more, wanted in (({}, 200), ({"Authorization": None}, 401), ({"Content_Type": "text/plain"}, 415)):
        status, headers, _ = h.send("POST", hello(), Origin=origin, **more)
        check(status == wanted and headers["Access-Control-Allow-Origin"] == origin and "Mcp-Session-Id" in headers["Access-Control-Expose-Headers"], (status, headers))
    session = h.send("POST", hello(), Origin=origin)[1]["Mcp-Session-Id"]
    c, r = h.open("GET", Origin=origin, Mcp_Session_Id=session)
    check(r.getheader("Access-Control-Allow-Origin") == origin, "a stream")
    c.close()
    check("Access-Control-Allow-Origin" not in h.send("POST", hello())[1], "nothing of that without an origin")


def over_http():
    h = Http("http", "token = env:T_TOKEN", "rate = 500", "origins = https://agents.example.com")
    status, headers, data = h.send("POST", hello(), Authorization=None)
    check(status == 401 and headers["WWW-Authenticate"].startswith("Bearer"), (status, headers))
    for bad in ("Bearer ", "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x", "Basic " + TOKEN, "Bearer " + "x" * 4000):
        check(h.send("POST", hello(), Authorization=bad)[0] == 401, bad)
    check(h.send("POST", hello(), Origin="http://evil.example")[0] == 403, "an origin from elsewhere")
    check(h.send("POST", hello(), Origin="https://agents.example.com")[0] == 200, "an origin of the list")
    check(h.send("POST", hello(), Host="evil.example:%d" % h.port)[0] == 403, "a host that is rebound")
    check(h.send("POST", hello(), Content_Type="text/plain")[0] == 415, "415")
    check(h.send("POST", hello(), Accept="application/json")[0] == 406, "406")
    check(h.send("PUT", hello())[0] == 405 and h.send("GET")[0] == 405, "405")
    check(h.send("POST", b"{")[0] == 400 and h.send("POST", b"[]")[0] == 400, "400")
    check(h.send("POST", request(2, "tools/list"))[0] == 400, "no session")
    check(h.send("POST", request(2, "tools/list"), Mcp_Session_Id="0" * 32)[0] == 404, "no such session")
    check(h.send("POST", b"x" * ((1 << 20) + 1))[0] == 413, "413")
    status, headers, data = h.send("POST", hello())
    session = headers["Mcp-Session-Id"]
    check(status == 200 and headers["Content-Type"] == "application/json" and re.fullmatch("[0-9a-f]{32}", session), headers)
    check(h.send("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}, Mcp_Session_Id=session)[0] == 202, "202")
    check(h.send("POST", request(2, "ping"), Mcp_Session_Id=session, MCP_Protocol_Version="2024-11-05")[0] == 400, "another version than the session's")
    ask = request(3, "tools/call", {"name": "ask", "arguments": {"question": "are all connectors healthy?"}, "_meta": {"progressToken": 1}})
    status, headers, data = h.send("POST", ask, Mcp_Session_Id=session)
    got = events(data)
    check(headers["Content-Type"] == "text/event-stream" and got[0][1] is None and got[0][0], got[:1])
    check(got[-1][1]["id"] == 3 and got[-1][1]["result"]["structuredContent"]["state"] == "done", got[-1])
    check(len({i for i, _ in got}) == len(got), "ids of events")
    # a stream that breaks after its first event goes on by its id
    c, r = h.open("POST", dict(ask, id=4), Mcp_Session_Id=session)
    first = r.readline().decode()
    check(first.startswith("id: "), first)
    c.close(), r.close()
    last, found = first[4:].strip(), None
    until = time.time() + 20
    while not found and time.time() < until:
        status, headers, data = h.send("GET", Mcp_Session_Id=session, Last_Event_ID=last)
        found = [m for _, m in events(data) if m and m.get("id") == 4]
    check(found and found[0]["result"]["structuredContent"]["state"] == "done", "resumed")
    # a resource that changes is told on the session's own stream
    check(h.send("POST", request(5, "resources/subscribe", {"uri": "console://checkpoint"}), Mcp_Session_Id=session)[0] == 200, "subscribe")
    told = []
    c, r = h.open("GET", Mcp_Session_Id=session)

    def listen():
        for line in r:
            if b"resources/updated" in line:
                told.append(line)
                return

    t = threading.Thread(target=listen, daemon=True)
    t.start()
    h.send("POST", dict(ask, id=6), Mcp_Session_Id=session)
    t.join(15)
    check(told, "resources/updated")
    c.close()
    check(h.send("DELETE", Mcp_Session_Id=session)[0] == 204 and h.send("POST", request(7, "ping"), Mcp_Session_Id=session)[0] == 404, "DELETE")
    modern(h)
    batches(h)
    pages(h)
    hostile(h)
    pieces = (piece for piece in (b'{"jsonrpc": "2.0", "id": 1, "method": "initi', b'alize", "params": ', json.dumps(hello()["params"]).encode(), b"}"))
    c = http.client.HTTPConnection("127.0.0.1", h.port, timeout=20)
    c.request("POST", "/mcp", pieces, {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + TOKEN}, encode_chunked=False)
    check(json.loads(c.getresponse().read())["result"]["protocolVersion"] == "2025-11-25", "a body in chunks")
    c.close()
    check(h.send("POST", hello())[0] == 200, "it answers after all that")
    h.stop()
    h = Http("open", "auth = none", "rate = 5", "write = yes")
    got = [h.send("POST", request(1, "tools/list", {"_meta": META}), Authorization=None, MCP_Protocol_Version="2026-07-28", Mcp_Method="tools/list") for _ in range(30)]
    check({s for s, _, _ in got} == {200, 429}, "the rate")
    tools = {t["name"]: t for t in json.loads([d for s, _, d in got if s == 200][0])["result"]["tools"]}
    check(tools["sign_checkpoint"]["annotations"]["readOnlyHint"] is False, "write = yes")
    h.stop()


def modern(h):
    def post(method, params=None, name=None, **headers):
        all_headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method}
        if name:
            all_headers["Mcp_Name"] = name
        all_headers.update(headers)
        s, k, d = h.send("POST", request(1, method, dict(params or {}, _meta=META)), **all_headers)
        return s, json.loads(d) if k.get("Content-Type") == "application/json" else events(d)

    s, m = post("tools/list")
    check(s == 200 and m["result"]["resultType"] == "complete" and m["result"]["cacheScope"] == "private", m)
    call = {"name": "connector_health", "arguments": {"connector": "host"}}
    s, m = post("tools/call", call, "connector_health", Mcp_Param_Connector="=?base64?aG9zdA==?=")
    check(s == 200 and m["result"]["structuredContent"]["connectors"][0]["name"] == "host", m)
    for bad in ({}, {"Mcp_Param_Connector": "other"}, {"Mcp_Param_Connector": "=?base64?aG9zdA?="}):
        s, m = post("tools/call", call, "connector_health", **bad)
        check(s == 400 and m["error"]["code"] == -32020, (bad, m))
    check(post("tools/list", Mcp_Method="ping")[0] == 400, "a method that the header denies")
    check(post("ping")[0] == 404, "a method of another revision")
    # the end of a listening stream is its end here
    c, r = h.open("POST", request(7, "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["console://status", "x://y"]}, "_meta": META}), MCP_Protocol_Version="2026-07-28", Mcp_Method="subscriptions/listen")
    line = r.readline()
    note = json.loads(line[6:])
    check(note["params"]["notifications"] == {"resourceSubscriptions": ["console://status"]} and note["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7, note)
    c.close()


def hostile(h):
    def raw(data, wait=5):
        s = socket.create_connection(("127.0.0.1", h.port), timeout=wait)
        try:
            s.sendall(data)
            return s.recv(200)
        except (socket.timeout, ConnectionError):
            return b""
        finally:
            s.close()

    auth = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
    host = b"Host: localhost:%d\r\n" % h.port
    check(b"400" in raw(b"\x16\x03\x01\x00" + b"\0" * 300 + b"\r\n\r\n"), "TLS")
    check(b"400" in raw(b"POST /mcp HTTP/1.1\r\n" + host + host + auth + b"Content-Length: 0\r\n\r\n"), "two hosts")
    check(b"403" in raw(b"GET /mcp HTTP/1.1\r\n" + auth + b"\r\n"), "no host")
    check(b"431" in raw(b"GET /mcp HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n"), "a long header")
    check(b"501" in raw(b"POST /mcp HTTP/1.1\r\n" + host + auth + b"Transfer-Encoding: gzip\r\n\r\n"), "a coding that is not known")
    check(b"413" in raw(b"POST /mcp HTTP/1.1\r\n" + host + auth + b"Transfer-Encoding: chunked\r\n\r\n100001\r\n"), "a chunk that is too long")
    slow = [socket.create_connection(("127.0.0.1", h.port)) for _ in range(40)]
    for s in slow:
        s.sendall(b"POST /mcp HTTP/1.1\r\nHost: lo")
    check(h.send("POST", hello())[0] == 200, "beside 40 peers that are slow")
    for s in slow:
        s.close()
    many = [h.send("POST", hello()) for _ in range(80)]
    check({s for s, _, _ in many} == {200}, "more sessions than are kept")


def settings():
    for lines, what in ((["token = env:T_NONE"], "NOT_FOUND"), (["auth = none", "remote = yes"], "CONFIG"), ([], "CONFIG"), (["token = secretliteral0123456789"], "CONFIG")):
        conf = DIR + "/bad.conf"
        with open(conf, "w") as f:
            f.write("[mcp_server]\n" + "\n".join(lines) + "\n")
        p = subprocess.run([BIN, "--config", conf, "--state", DIR + "/bad", "mcp", "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        check(p.returncode == 1 and p.stdout == b"" and b"secretliteral" not in p.stderr, (lines, p))
    p = subprocess.run([BIN, "--config", DIR + "/http.conf", "--state", DIR + "/bad", "mcp", "--listen", "0.0.0.0:0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, env=dict(os.environ, T_TOKEN=TOKEN))
    check(p.returncode == 3 and b"other machines" in p.stderr, p)


def own_client():
    """The console's own MCP client connects to the console's own server, both ways."""
    h = Http("far", "token = env:T_TOKEN")
    with open(DIR + "/own.conf", "w") as f:
        f.write("[connector \"near\"]\nkind = mcp-stdio\ncommand = %s --state %s/near mcp\nread_tools = *\n" % (BIN, DIR))
        f.write("[connector \"far\"]\nkind = mcp-http\nurl = http://127.0.0.1:%d/mcp\ntoken = env:T_TOKEN\nread_tools = *\n" % h.port)
    for name in ("near", "far"):
        p = subprocess.run([BIN, "--config", DIR + "/own.conf", "--state", DIR + "/own", "connectors", "call", "--json", name, "scorecard", "{}"], capture_output=True, timeout=60, env=dict(os.environ, T_TOKEN=TOKEN))
        check(p.returncode == 0 and b"controls" in p.stdout, (name, p))
    h.stop()


over_stdio()
over_http()
settings()
own_client()
print("served: standard streams, HTTP, hostile peers, the console's own client")
