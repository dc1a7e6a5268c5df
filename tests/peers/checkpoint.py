#!/usr/bin/env python3
"""Verifies a checkpoint or a proof of one entry from docs/evidence-format.md alone: Python's standard library,
and openssl for the signature.

usage: checkpoint.py note VKEY NOTE              the signed note in the file NOTE
       checkpoint.py notes VKEY CHECKPOINTS      every note of a file `checkpoints`
       checkpoint.py proof VKEY PROOF ENTRY      a tlog-proof, and the entry's bytes
       checkpoint.py trusted VKEY TRUSTED CHECKPOINTS   the chain of keys in keys/trusted from VKEY, the first, on, and
                                                 each checkpoint by the key that is trusted for it
       checkpoint.py signify VKEY NOTE BASE      writes BASE.txt, BASE.txt.sig and BASE.pub for signify
VKEY is a file with the verifier key (keys/checkpoint.pub). Prints one JSON object {ok, origin, size, root, ...};
exit code 0 verified, 4 not verified.
"""
import base64
import binascii
import hashlib
import json
import os
import subprocess
import sys
import tempfile

DASH = "\u2014 "
SPKI = bytes.fromhex("302a300506032b6570032100")  # an Ed25519 public key in DER (RFC 8410)


class Refused(Exception):
    pass


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not base64: " + text)
    if base64.b64encode(data).decode() != text:
        raise Refused("not the one base64 form: " + text)
    return data


def unhash(text):
    data = unbase64(text)
    if len(data) != 32:
        raise Refused("a hash of %d bytes" % len(data))
    return data


def read_vkey(text):
    """(name, id, public key); the id belongs to name and key."""
    name, key_id, key = text.strip().split("+", 2)
    data = unbase64(key)
    if len(data) != 33 or data[0] != 1:
        raise Refused("not an Ed25519 key")
    if sha256(name.encode(), b"\n", data)[:4].hex() != key_id:
        raise Refused("the key's id is not its own")
    return name, bytes.fromhex(key_id), data[1:]


def openssl_verifies(public_key, message, signature):
    pem = "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % base64.b64encode(SPKI + public_key).decode()
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for name, data in (("key", pem.encode()), ("message", message), ("signature", signature)):
            names[name] = os.path.join(folder, name)
            with open(names[name], "wb") as out:
                out.write(data)
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", names["key"], "-rawin",
                               "-in", names["message"], "-sigfile", names["signature"]],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def split_note(data):
    """(signed text, its lines, signature of the key that is asked for: name and id -> bytes)."""
    text = data.decode("utf-8")
    if any(ord(c) < 32 and c != "\n" for c in text) or not text.endswith("\n"):
        raise Refused("a control character, or no last new line")
    at = text.rfind("\n\n")
    if at < 0:
        raise Refused("no empty line")
    signatures = {}
    for line in text[at + 2:].splitlines():
        parts = line[len(DASH):].split(" ")
        if not line.startswith(DASH) or len(parts) != 2 or not parts[0]:
            raise Refused("a signature line: " + line)
        raw = unbase64(parts[1])
        signatures[parts[0], raw[:4]] = raw[4:]
    if not signatures:
        raise Refused("no signature")
    return text[:at + 1].encode(), text[:at].split("\n"), signatures


def epoch_of(name, origin):
    """The origin is the key's name, in epoch k > 1 with #k behind it."""
    log, _, number = origin.partition("#")
    if log != name or (origin != name and not (number.isdecimal() and str(int(number)) == number and int(number) > 1)):
        raise Refused("of another log: " + origin)
    return int(number or 1)


def check_note(vkey, data):
    name, key_id, public_key = vkey
    body, lines, signatures = split_note(data)
    if len(lines) < 3 or not all(lines):
        raise Refused("not a checkpoint")
    epoch = epoch_of(name, lines[0])
    if not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
        raise Refused("the size: " + lines[1])
    signature = signatures.get((name, key_id))
    if signature is None:
        raise Refused("not signed by this key")
    if len(signature) != 64 or not openssl_verifies(public_key, body, signature):
        raise Refused("the signature does not verify")
    return {"ok": True, "origin": lines[0], "epoch": epoch, "size": int(lines[1]), "root": unhash(lines[2]).hex()}


def split_notes(data):
    """The notes of a file `checkpoints`: an empty line stands behind each."""
    notes, paragraphs = [], data.decode("utf-8").split("\n\n")
    if paragraphs[-1] != "" or len(paragraphs) % 2 == 0:
        raise Refused("the file is not made of whole notes")
    for i in range(0, len(paragraphs) - 1, 2):
        notes.append((paragraphs[i] + "\n\n" + paragraphs[i + 1] + "\n").encode())
    return notes


def root_from_path(index, size, leaf, path):
    """RFC 6962, section 2.1.1, read from the leaf up."""
    node, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            raise Refused("the proof is too long")
        if index % 2 or index == last:
            node = sha256(b"\x01", sibling, node)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            node = sha256(b"\x01", node, sibling)
        index, last = index // 2, last // 2
    if last:
        raise Refused("the proof is too short")
    return node


def check_proof(vkey, proof, entry):
    head, _, note = proof.decode("utf-8").partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
        raise Refused("not a tlog-proof")
    index = lines[1][len("index "):]
    if not index.isdecimal() or str(int(index)) != index:
        raise Refused("the index: " + index)
    report = check_note(vkey, note.encode())
    if int(index) >= report["size"]:
        raise Refused("the checkpoint does not cover it")
    root = root_from_path(int(index), report["size"], sha256(b"\x00", entry), [unhash(line) for line in lines[2:]])
    if root.hex() != report["root"]:
        raise Refused("the entry is not in this tree")
    base = json.loads(entry)["seq"] - int(index)  # where its epoch begins: the first one at 0
    if base < 0 or (report["epoch"] == 1) != (base == 0):
        raise Refused("the entry calls itself another")
    report["index"] = int(index)
    return report


def read_trusted(pinned, data):
    """[(first, vkey line)] of a file keys/trusted: each key but the first is introduced by the one before it."""
    listing, *statements = data.decode("utf-8").split("\n\n")
    keys = []
    for line in listing.splitlines():
        first, _, key = line.partition(" ")
        if not first.isdecimal() or str(int(first)) != first:
            raise Refused("not a list of keys: " + line)
        read_vkey(key)
        keys.append((int(first), key))
    if not keys or keys[0] != (0, pinned.strip()):
        raise Refused("the first key is not the one that was noted")
    if len(statements) != 2 * (len(keys) - 1) or (len(keys) == 1) != listing.endswith("\n"):
        raise Refused("not one statement for each further key")
    for i in range(1, len(keys)):
        (_, old), (first, new) = keys[i - 1], keys[i]
        text, signed = statements[2 * i - 2:2 * i]
        body, _, signatures = split_note((text + "\n\n" + signed.rstrip("\n") + "\n").encode())
        if body.decode() != "mcp-console key rotation v1\n%s\n%d\n%s\n%s\n" % (read_vkey(old)[0], first, old, new):
            raise Refused("statement %d says something else" % i)
        if first <= keys[i - 1][0] or len(signatures) != 2:
            raise Refused("statement %d" % i)
        for key in (old, new):
            name, key_id, public_key = read_vkey(key)
            signature = signatures.get((name, key_id), b"")
            if len(signature) != 64 or not openssl_verifies(public_key, body, signature):
                raise Refused("statement %d is not signed by %s" % (i, key))
    return keys


def check_trusted(pinned, trusted, notes):
    """Each note by the key for its size; a log of one epoch."""
    keys = read_trusted(pinned, trusted)
    reports = []
    for note in split_notes(notes):
        size = int(split_note(note)[1][1])
        key = [line for first, line in keys if first < size or first == 0][-1]
        reports.append(check_note(read_vkey(key), note))
    return {"ok": True, "keys": len(keys), "notes": len(reports), "sizes": [one["size"] for one in reports]}


def write_signify(vkey, note, base):
    """The same key and the same 64 bytes of signature in OpenBSD signify's files."""
    name, key_id, public_key = vkey
    body, _, signatures = split_note(note)
    head = b"Ed" + key_id + b"\0\0\0\0"
    for suffix, data in ((".txt", body), (".pub", head + public_key), (".txt.sig", head + signatures[name, key_id])):
        with open(base + suffix, "wb") as out:
            out.write(data if suffix == ".txt" else
                      b"untrusted comment: " + name.encode() + b"\n" + base64.b64encode(data) + b"\n")
    return {"ok": True}


def read(path):
    with open(path, "rb") as source:
        return source.read()


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    what, key_file, first = sys.argv[1:4]
    try:
        vkey = read_vkey(read(key_file).decode())
        if what == "note":
            report = check_note(vkey, read(first))
        elif what == "notes":
            all_of_them = [check_note(vkey, note) for note in split_notes(read(first))]
            report = {"ok": True, "notes": len(all_of_them), "sizes": [one["size"] for one in all_of_them]}
        elif what == "trusted":
            report = check_trusted(read(key_file).decode(), read(first), read(sys.argv[4]))
        elif what == "proof":
            report = check_proof(vkey, read(first), read(sys.argv[4]))
        else:
            report = write_signify(vkey, read(first), sys.argv[4])
    except (Refused, ValueError, KeyError, IndexError) as refused:
        report = {"ok": False, "error": str(refused)}
    print(json.dumps(report))
    return 0 if report["ok"] else 4


if __name__ == "__main__":
    sys.exit(main())
