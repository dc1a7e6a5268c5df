#!/usr/bin/env python3
"""Runs client scenarios of the public conformance suite and judges what its checks.json say.

usage: conformance.py NODE SUITE_DIR VERSION CLIENT EXPECTED OUT [-- OPTIONS OF THE SUITE]
A scenario passes if it has a check with SUCCESS and none with FAILURE: a client that does nothing ends
well and has no checks. Ends with 0 if all pass but those that EXPECTED names, and those do not.
"""
import json
import os
import re
import subprocess
import sys


def expected(path, version):
    rows = {}
    for line in open(path, encoding="utf-8"):
        match = re.match(r"(\S+) (\S+): (.+)$", line.strip())
        if match and not line.startswith("#") and match[1] == version:
            rows[match[2]] = match[3]
    return rows


def scenarios(out):
    found = {}
    for folder, _, files in os.walk(out):
        if "checks.json" not in files:
            continue
        name = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", os.path.relpath(folder, out))
        with open(os.path.join(folder, "checks.json"), encoding="utf-8") as file:
            found[name] = [(c.get("status"), c.get("id"), c.get("errorMessage") or "") for c in json.load(file)]
    return found


def passes(checks):
    of = [status for status, _, _ in checks]
    return "SUCCESS" in of and "FAILURE" not in of


def main():
    node, suite, version, client, names, out = sys.argv[1:7]
    options = sys.argv[8:]

    def suite_run(into, *more):
        return subprocess.run(
            [node, os.path.join(suite, "node_modules/@modelcontextprotocol/conformance/dist/index.js"), "client",
             "--command", client, "--timeout", "30000", "-o", into, *more],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False)

    run = suite_run(out, *options)
    with open(out + ".log", "wb") as log:
        log.write(run.stdout)
    known, found, bad = expected(names, version), scenarios(out), 0
    # The suite runs all of them at once; some measure time. What failed then is judged by a run of its own.
    for name in [n for n in found if n not in known and not passes(found[n])][:3]:
        suite_run(out + "-alone", "--scenario", os.path.basename(name))
        alone = [checks for other, checks in scenarios(out + "-alone").items() if os.path.basename(other) == os.path.basename(name)]
        if alone:
            print(f"{name}: run again alone")
            found[name] = alone[0]
    if len(found) < 20:
        print(run.stdout.decode(errors="replace")[-2000:])
        sys.exit(f"only {len(found)} scenarios ran")
    succeeded = 0
    for name in sorted(found):
        checks = found[name]
        successes = sum(status == "SUCCESS" for status, _, _ in checks)
        failures = [(what, why) for status, what, why in checks if status == "FAILURE"]
        passed = passes(checks)
        succeeded += successes
        if passed and name in known:
            bad += 1
            print(f"{name}: passes, although it is listed as one that does not")
        elif not passed and name not in known:
            bad += 1
            print(f"{name}: {successes} checks passed, {len(failures)} failed")
            for what, why in failures[:3]:
                print(f"    {what}: {why[:160]}")
    late = sum(name in known for name in found)
    print(f"{version} {' '.join(options)}: {len(found)} scenarios, {succeeded} checks passed, {late} expected failures, {bad} wrong")
    sys.exit(bad > 0)


main()
