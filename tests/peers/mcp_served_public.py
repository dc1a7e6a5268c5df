"""Public clients against the console as an MCP server: the conformance suite's server scenarios, and the
inspector over both transports.
usage: mcp_served_public.py BINARY NODE-FOLDER DIR EXPECTED"""
import glob, json, os, re, shutil, signal, subprocess, sys

BIN, NODE, DIR, EXPECTED = sys.argv[1:5]
node = NODE + "/node_modules/.bin/node"
suite = NODE + "/node_modules/@modelcontextprotocol/conformance/dist/index.js"
inspector = NODE + "/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"

expected = {}
for line in open(EXPECTED):
    if line.strip() and not line.startswith("#"):
        what, reason = line.rstrip("\n").split(": ", 1)
        expected[what] = reason

with open(DIR + "/c.conf", "w") as f:
    f.write("[mcp_server]\nauth = none\nrate = 1000\n")
server = subprocess.Popen([BIN, "--config", DIR + "/c.conf", "--state", DIR + "/state", "mcp", "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
line = server.stderr.readline()
port = re.search(r":(\d+)/mcp", line)
if not port:
    sys.exit("FAILED: " + line)
url = "http://localhost:%s/mcp" % port[1]
problems, used, passed = [], set(), 0


def inspect(*options):
    p = subprocess.run([node, inspector, "--cli", "--format", "json", "-q", *options], capture_output=True, text=True, timeout=60)
    try:
        return json.loads(p.stdout)["result"]
    except (ValueError, KeyError):
        problems.append("inspector %s: %s %s" % (" ".join(options), p.stdout[:300], p.stderr[:300]))
        return {}


try:
    for version in ("2025-06-18", "2025-11-25", "2026-07-28"):
        out = "%s/%s" % (DIR, version)
        subprocess.run([node, suite, "server", "--url", url, "--suite", "all", "--spec-version", version, "-o", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        ran = sorted(glob.glob(out + "/*/checks.json"))
        if len(ran) < 15:
            problems.append("%s: only %d scenarios ran" % (version, len(ran)))
        for path in ran:
            scenario = re.sub(r"^server-(.*?)-\d{4}-\d\d-\d\dT.*$", r"\1", os.path.basename(os.path.dirname(path)))
            checks = json.load(open(path))
            failed = {c["id"] for c in checks if c["status"] == "FAILURE"}
            good = sum(c["status"] == "SUCCESS" for c in checks)
            for name in failed:
                for known in (scenario, scenario + "/" + name):
                    if known in expected:
                        used.add(known)
                        break
                else:
                    problems.append("%s %s: %s" % (version, scenario, next(c for c in checks if c["id"] == name).get("errorMessage", name)))
            if not failed and not good and scenario in expected:
                used.add(scenario)
            elif not failed and not good:
                problems.append("%s %s: nothing was checked" % (version, scenario))
            passed += not failed and good > 0
    for stale in sorted(set(expected) - used):
        problems.append("%s is expected to fail and does not" % stale)
    for where in (["--", BIN, "--state", DIR + "/near", "mcp"], ["--server-url", url, "--transport", "http"]):
        near = where[0] == "--"
        options = lambda *o: [*o, *where] if near else [*where, *o]
        tools = inspect(*options("--method", "tools/list")).get("tools", [])
        if "ask" not in {t["name"] for t in tools}:
            problems.append("the inspector does not list ask")
        answer = inspect(*options("--method", "tools/call", "--tool-name", "scorecard"))
        if "score" not in answer.get("structuredContent", {}):
            problems.append("the inspector's call: %.300s" % answer)
finally:
    server.send_signal(signal.SIGTERM)
    server.wait(20)
for p in problems:
    print(p)
print("%d scenarios pass, %d are listed with a reason, %d problems" % (passed, len(used), len(problems)))
sys.exit(1 if problems or passed < 20 else 0)
