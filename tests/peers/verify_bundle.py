#!/usr/bin/env python3
"""Verifies a bundle from docs/evidence-format.md alone: Python's standard library and the openssl command.

usage: verify_bundle.py [--key VKEYFILE] BUNDLE
Prints {ok, entries, disclosed, problems}; exit code 0 good, 4 not good, 1 unreadable.
"""
import argparse
import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FIXED = ["README.md", "statement.json", "statement.dsse.json", "entries.jsonl", "payloads.jsonl"]
LAST = ["keys", "policy.json", "oscal-assessment-results.json", "sbom.cdx.json", "lineage.json", "report.html"]
TYPE = "application/vnd.in-toto+json"


class Bad(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Bad(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value):
    """RFC 8785 for statements and lineage: ASCII names, integers, strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# ---- the archive

def header(name, size, mtime):
    head = bytearray(512)
    head[0:len(name)] = name.encode()
    for at, text in ((100, "0000644"), (108, "0000000"), (116, "0000000"), (124, "%011o" % size),
                     (136, "%011o" % mtime), (148, " " * 8), (156, "0"), (257, "ustar"), (263, "00")):
        head[at:at + len(text)] = text.encode()
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def read_tar(data):
    files, at, mtime = {}, 0, None
    while data[at:at + 512] != bytes(512):
        head = data[at:at + 512]
        need(len(head) == 512, "the archive is cut off")
        try:
            name = head[:100].split(b"\0")[0].decode("ascii")
            size, when = int(head[124:135], 8), int(head[136:147], 8)
        except ValueError:
            raise Bad("a header is not in form")
        mtime = when if mtime is None else mtime
        need(re.fullmatch(r"[A-Za-z0-9._/-]+", name) and name not in files, "a name is not in form")
        need(head == header(name, size, when) and when == mtime, "the header of %s is not in form" % name)
        body = data[at + 512:at + 512 + size]
        pad = data[at + 512 + size:at + 512 + size + -size % 512]
        need(len(body) == size and pad == bytes(-size % 512), "%s is cut off, or its block not empty" % name)
        files[name] = body
        at += 512 + size + -size % 512
    need(data[at:] == bytes(1024), "the archive does not end as it should")
    return files, mtime


# ---- keys and signatures

def key_bytes(vkey, kind=1):
    name, ident, key = vkey.split("+", 2)
    typed = base64.b64decode(key, validate=True)
    need(len(typed) == 33 and typed[0] == kind, "a verifier key is of another type")
    need(sha256(name.encode(), b"\n", typed)[:4].hex() == ident, "a verifier key's id is not its own")
    return name, bytes.fromhex(ident), typed[1:]


def signed_by(public, text, signature):
    need(len(signature) == 64, "a signature has not 64 bytes")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "key").write_bytes(bytes.fromhex("302a300506032b6570032100") + public)
        (folder / "text").write_bytes(text)
        (folder / "sig").write_bytes(signature)
        run = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
                              folder / "key", "-rawin", "-in", folder / "text", "-sigfile", folder / "sig"],
                             capture_output=True)
    return run.returncode == 0


def read_keys(text):
    """[(first, vkey)], and the statements by which a key hands on to the next, checked."""
    head, *notes = text.split("\n\nmcp-console key rotation v1\n")
    keys = []
    for line in head.rstrip("\n").split("\n"):
        first, vkey = line.split(" ")
        need(re.fullmatch(r"0|[1-9][0-9]*", first), "keys: a size is not a number")
        keys.append((int(first), vkey))
        key_bytes(vkey)
    need(keys and keys[0][0] == 0 and all(a[0] < b[0] for a, b in zip(keys, keys[1:])), "keys do not ascend")
    need(len(notes) == len(keys) - 1, "keys: a statement is missing for each key but the first")
    for (_, old), (first, new), note in zip(keys, keys[1:], notes):
        name, _, _ = key_bytes(old)
        body = "mcp-console key rotation v1\n%s\n%d\n%s\n%s\n" % (name, first, old, new)
        note = "mcp-console key rotation v1\n" + note
        note = note if note.endswith("\n") else note + "\n"
        need(note.startswith(body + "\n"), "keys: a statement is of other keys")
        for vkey in (old, new):
            check_note_signature(body, note[len(body) + 1:], vkey)
    return keys


def check_note_signature(body, lines, vkey):
    name, ident, public = key_bytes(vkey)
    good = False
    for line in lines.rstrip("\n").split("\n"):
        dash, who, text = line.split(" ")
        data = base64.b64decode(text, validate=True)
        need(dash == "\u2014", "a signature line is not in form")
        if who == name and data[:4] == ident:
            need(signed_by(public, body.encode(), data[4:]), "a note's signature does not verify")
            good = True
    need(good, "a note is not signed by the key of its size")


def check_cosignatures(body, lines, witnesses):
    """The names of the witnesses that cosigned a note (C2SP tlog-cosignature)."""
    found = []
    for line in lines.rstrip("\n").split("\n"):
        _, who, text = line.split(" ")
        data = base64.b64decode(text, validate=True)
        for vkey in witnesses:
            name, ident, public = key_bytes(vkey, 4)
            if who == name and data[:4] == ident:
                at = int.from_bytes(data[4:12], "big")
                need(signed_by(public, b"cosignature/v1\ntime %d\n" % at + body.encode(), data[12:]),
                     "a cosignature does not verify")
                found.append(name)
    return found


def key_at(keys, end):
    return [vkey for first, vkey in keys if first < end][-1]


# ---- trees

def root_of(size, leaf, rest):
    def root(low, high):
        if not any(low <= index < high for index in leaf):
            need(rest, "a proof is too short")
            return rest.pop(0)
        if high - low == 1:
            return leaf[low]
        half = 1 << (high - low - 1).bit_length() - 1
        return sha256(b"\1", root(low, low + half), root(low + half, high))
    found = root(0, size)
    need(not rest, "a proof is too long")
    return found


def consistent(m, n, old, new, proof):
    """RFC 9162, section 2.1.4.2."""
    if m == n:
        return not proof and old == new
    path = ([old] if m & (m - 1) == 0 else []) + proof
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not path:
        return False
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\1", c, fr), sha256(b"\1", c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\1", sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old and sr == new


def hash_line(line):
    data = base64.b64decode(line, validate=True)
    need(len(data) == 32 and base64.b64encode(data).decode() == line, "a hash is not in form")
    return data


def read_notes(text):
    """[(origin, size, root, body, signatures)]"""
    parts = text.split("\n\n")
    need(parts and parts[-1] == "" and len(parts) % 2 == 1, "checkpoints are not in form")
    notes = []
    for body, lines in zip(parts[0:-1:2], parts[1::2]):
        origin, size, root = body.split("\n")[:3]
        notes.append((origin, int(size), hash_line(root), body + "\n", lines))
    return notes


def check_tree(files, tree, leaf, keys, witnesses):
    cosigned = set()
    notes = read_notes(files["checkpoints/%d" % tree["epoch"]].decode())
    for origin, size, _, body, lines in notes:
        need(origin == tree["origin"], "a checkpoint is of another log")
        check_note_signature(body, lines, key_at(keys, tree["base"] + size))
        cosigned.update(check_cosignatures(body, lines, witnesses))
    lines = files["proofs/%d" % tree["epoch"]].decode().split("\n")
    need(lines.pop() == "", "a proof does not end with a line")
    _, size, root, _, _ = notes[-1]
    need(lines[:4] == ["mcp-console proofs v1", "epoch %d" % tree["epoch"], "base %d" % tree["base"],
                       "size %d" % tree["size"]], "a proof is of another tree")
    need(size == tree["size"] and root.hex() == tree["root"], "statement and checkpoint differ")
    count = int(lines[4].split(" ")[1])
    need(lines[4] == "inclusion %d" % count, "a proof is not in form")
    need(root_of(size, leaf, [hash_line(one) for one in lines[5:5 + count]]) == root,
         "the entries do not give the checkpoint's root")
    at = 5 + count
    for _, before, older, _, _ in notes[:-1]:
        _, from_size, count = lines[at].split(" ")
        need(lines[at] == "consistency %d %d" % (before, int(count)), "a proof is not in form")
        proof = [hash_line(one) for one in lines[at + 1:at + 1 + int(count)]]
        need(consistent(before, size, older, root, proof), "a checkpoint does not lead to the newest")
        at += 1 + int(count)
    need(at == len(lines), "a proof goes on")
    return cosigned


# ---- entries and payloads

def lineage(parsed, entries):
    nodes, edges = [], []
    for entry, data in list(zip(parsed, entries))[:5000]:
        nodes.append({"id": entry["seq"], "hash": sha256(data).hex(), "produced_at": entry["ts"],
                      "transform_type": entry["type"], "actor": entry["actor"]})
        for parent in entry["parents"]:
            parts = parent if isinstance(parent, list) else [parent]
            edge = {"from": parts[0], "to": entry["seq"]}
            edge.update(dict(zip(("transform", "confidence"), parts[1:])))
            edges.append(edge)
    return canonical({"nodes": nodes, "edges": edges, "truncated": len(entries) > 5000})


def check_payloads(text, parsed):
    lines = text.split(b"\n")
    need(lines.pop() == b"" and len(lines) == len(parsed), "there is not one payload line for each entry")
    states, erased = {"disclosed": 0, "attested": 0, "withheld": 0, "erased": 0}, {}
    plain = {}
    for line, entry in zip(lines, parsed):
        about = json.loads(line)
        seq = entry["seq"]
        need(about["seq"] == seq, "a payload is of another entry")
        states[about["state"]] += 1
        if about["state"] == "disclosed":
            need(re.match(rb'\{"commit_key":"[0-9a-f]{64}","payload":', line), "a payload is not in form")
            data = line.split(b'","payload":', 1)[1].rsplit(b',"seq":', 1)[0]
            mac = hmac.new(bytes.fromhex(about["commit_key"]), data, "sha256").hexdigest()
            need(mac == entry["payload_hmac"], "payload of entry %d is not what it commits to" % seq)
            plain[seq] = json.loads(data)
        elif about["state"] != "attested":
            need(canonical(about) == line, "a payload line is not canonical")
            need(about["sealed_sha256"] == entry["payload_sha256"], "the sealed payload of %d is another" % seq)
            if about["state"] == "erased":
                erased[seq] = about["entry"]
    kinds = {entry["seq"]: entry["type"] for entry in parsed}
    for seq, by in erased.items():
        need(kinds.get(by) == "erase" and by > seq and
             any(first <= seq <= last for first, last in plain[by]["ranges"]), "%d was not erased so" % seq)
    return states


def check(data, pinned):
    files, mtime = read_tar(data)
    statement = json.loads(files["statement.json"])
    need(canonical(statement) == files["statement.json"], "the statement is not canonical")
    said = statement["predicate"]
    need(statement["_type"] == "https://in-toto.io/Statement/v1" and
         statement["predicateType"] == "urn:mcp-console:evidence-bundle:1", "it is no statement of a bundle")
    need(said["created_s"] == mtime, "the archive's time is not the statement's")
    trees = said["trees"]
    named = [part % tree["epoch"] for tree in trees for part in ("proofs/%d", "checkpoints/%d")]
    need(list(files) == FIXED + named + LAST, "the files are not those of a bundle, in order")

    keys = read_keys(files["keys"].decode())
    name, ident, public = key_bytes(keys[-1][1])
    need(pinned in (None, *[vkey for _, vkey in keys]), "it is not signed by the key that was given")
    body = files["statement.json"]
    envelope = json.loads(files["statement.dsse.json"])
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    want = {"payload": base64.b64encode(body).decode(), "payloadType": TYPE,
            "signatures": [{"keyid": "%s+%s" % (name, ident.hex()), "sig": base64.b64encode(signature).decode()}]}
    need(canonical(want) == files["statement.dsse.json"], "the envelope is not the statement's")
    need(signed_by(public, b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(body), body), signature),
         "the statement's signature does not verify")
    subjects = [{"name": one, "digest": {"sha256": sha256(files[one]).hex()}}
                for one in files if not one.startswith("statement.")]
    need(statement["subject"] == subjects, "a file is not the one that the statement names")

    entries = files["entries.jsonl"].split(b"\n")
    need(entries.pop() == b"" and entries, "entries are cut off")
    parsed = [json.loads(entry) for entry in entries]
    for entry, data in zip(parsed, entries):
        need(canonical(entry) == data, "an entry is not canonical")
    for before, entry, after in zip(entries, parsed, parsed[1:]):
        need(after["seq"] > entry["seq"], "entries do not ascend")
        need(after["seq"] > entry["seq"] + 1 or after["prev"] == sha256(before).hex(), "the chain is broken")
    cosigned = set()
    for number, tree in enumerate(trees):
        end = trees[number + 1]["base"] if number + 1 < len(trees) else 1 << 62
        start = tree["base"] if number else 0
        leaf = {one["seq"] - tree["base"]: sha256(b"\0", data)
                for one, data in zip(parsed, entries) if start <= one["seq"] < end}
        need(all(0 <= index < tree["size"] for index in leaf), "an entry is outside its tree")
        cosigned |= check_tree(files, tree, leaf, keys, said["witnesses"])
    states = check_payloads(files["payloads.jsonl"], parsed)
    need(files["lineage.json"] == lineage(parsed, entries), "the lineage is not that of the entries")
    need(said["payloads"] == states and said["entries"]["count"] == len(entries), "the counts differ")
    return {"ok": True, "entries": len(entries), "disclosed": states["disclosed"],
            "pinned": pinned is not None, "cosigned": sorted(cosigned), "problems": []}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--key")
    parser.add_argument("bundle")
    args = parser.parse_args()
    try:
        pinned = Path(args.key).read_text().split("\n")[0] if args.key else None
        data = Path(args.bundle).read_bytes()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        report = check(data, pinned)
    except Bad as bad:
        report = {"ok": False, "problems": [str(bad)]}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        report = {"ok": False, "problems": ["not in form: %r" % error]}
    print(json.dumps(report))
    return 0 if report["ok"] else 4


if __name__ == "__main__":
    sys.exit(main())
