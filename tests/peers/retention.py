#!/usr/bin/env python3
"""What retention.test looks for in the files of a state directory, with Python's standard library only.

  remember DB FILE TYPE...   writes down the sealed bytes of payloads of these types and all wraps of keys
  intact DB FILE             all of those payloads are there
  gone DB FILE               some of them are not, and no byte of these is in console.db, -wal or -shm, nor are the
                             wraps that were replaced
  all_gone DB FILE           none of them is there, in the same sense
  absent STATE TEXT --but P  no file of the directory holds the text in clear, but those under P
  first FILE TYPE            the number of the first of that type
  act BIN STATE ACT          the entry retention.act has the SHA-256 of both files of the act
  forge DB                   takes a payload away and says that an erase entry covers it
Exit code 0 if so, 4 if not.
"""
import hashlib
import json
import os
import sqlite3
import subprocess
import sys


def fail(text):
    print(text)
    sys.exit(4)


def files_of(path):
    return b"".join(open(path + end, "rb").read() for end in ("", "-wal", "-shm") if os.path.exists(path + end))


def remember(path, out, *types):
    db = sqlite3.connect(path)
    marks = ",".join("?" * len(types))
    rows = db.execute("SELECT e.seq, e.type, p.sealed FROM entries e JOIN payloads p ON p.seq = e.seq"
                      " WHERE e.type IN (%s) ORDER BY e.seq" % marks, types).fetchall()
    wraps = db.execute("SELECT session, wrap FROM data_keys").fetchall()
    with open(out, "w") as file:
        json.dump({"payloads": [[seq, kind, sealed.hex()] for seq, kind, sealed in rows],
                   "wraps": {session: wrap.hex() for session, wrap in wraps}}, file)


def read(path, noted):
    db = sqlite3.connect(path)
    with open(noted) as file:
        before = json.load(file)
    there = {seq: sealed.hex() for seq, sealed in db.execute("SELECT seq, sealed FROM payloads")}
    wraps = {session: wrap.hex() for session, wrap in db.execute("SELECT session, wrap FROM data_keys")}
    db.close()
    return before, there, wraps


def intact(path, noted):
    before, there, _ = read(path, noted)
    for seq, kind, sealed in before["payloads"]:
        if there.get(seq) != sealed:
            fail("the payload of entry %d is not there" % seq)


def check_gone(path, noted, all_of_them):
    before, there, wraps = read(path, noted)
    gone = [(seq, bytes.fromhex(sealed)) for seq, kind, sealed in before["payloads"] if seq not in there]
    stay = [bytes.fromhex(sealed) for seq, kind, sealed in before["payloads"] if seq in there]
    old = [bytes.fromhex(wrap) for session, wrap in before["wraps"].items() if wraps.get(session) != wrap]
    if not gone or not old or (all_of_them and stay):
        fail("%d payloads went, %d stay, %d wraps were replaced" % (len(gone), len(stay), len(old)))
    bytes_now = files_of(path)
    for seq, sealed in gone:
        for part in (sealed[:24], sealed[-24:]):  # nonce and tag: random
            if part in bytes_now:
                fail("sealed bytes of entry %d are still in the files" % seq)
    for wrap in old:
        if wrap[:24] in bytes_now or wrap[-24:] in bytes_now:
            fail("the old wrap of a session's keys is still in the files")
    for sealed in stay:
        if sealed[:24] not in bytes_now:
            fail("what stays is not found: the search itself is wrong")


def absent(state, text, _but, under):
    for folder, _, names in os.walk(state):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, state).startswith(under):
                continue
            with open(path, "rb") as file:
                data = file.read()
            for form in (text, text.lower(), text.upper()):
                if form.encode() in data:
                    fail("%s holds the text" % path)


def first(noted, kind):
    with open(noted) as file:
        print(next(seq for seq, its, _ in json.load(file)["payloads"] if its == kind))


def act(binary, state, name):
    rows = json.loads(subprocess.run([binary, "--state", state, "evidence", "list", "--json", "--type", "retention.act"],
                                     capture_output=True, check=True).stdout)
    for row in rows:
        entry = json.loads(subprocess.run([binary, "--state", state, "evidence", "show", "--json", str(row["seq"])],
                                          capture_output=True, check=True).stdout)
        if entry["payload"]["act"] != name:
            continue
        files = entry["payload"]["files"]
        for file, want in files.items():
            with open(os.path.join(state, "retention", "acts", file), "rb") as data:
                if hashlib.sha256(data.read()).hexdigest() != want:
                    fail("%s is not as it was logged" % file)
        if sorted(files) != [name + ".json", name + ".txt"]:
            fail("the act has other files: %s" % sorted(files))
        return
    fail("no entry retention.act names %s" % name)


def forge(path):
    db = sqlite3.connect(path)
    entry = db.execute("SELECT max(seq) FROM entries WHERE type = 'erase'").fetchone()[0]
    seq = db.execute("SELECT max(p.seq) FROM payloads p WHERE p.seq < ?", (entry,)).fetchone()[0]
    db.execute("DELETE FROM payloads WHERE seq = ?", (seq,))
    db.execute("INSERT INTO erased VALUES(?, ?)", (seq, entry))
    db.commit()


ACTIONS = {"remember": remember, "intact": intact, "absent": absent, "first": first, "act": act, "forge": forge,
           "gone": lambda path, noted: check_gone(path, noted, False),
           "all_gone": lambda path, noted: check_gone(path, noted, True)}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
