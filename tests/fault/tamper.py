#!/usr/bin/env python3
"""Changes to the log behind its back: `evidence verify` exits 4 and names the first bad entry; the console shows it."""
import os
import shutil
import sqlite3

from faultlib import HANGS, Console, attack, check, fresh, run, verify

SOURCE = fresh()
for text in ("is the disk filling up?", "why is this machine slow?"):
    r = run("--state", SOURCE, "ask", text)
    check(r.code == 0, "a question", r)
db = sqlite3.connect(SOURCE + "/console.db")
SIZE = db.execute("SELECT count(*) FROM entries").fetchone()[0]
db.close()
check(SIZE > 20, "a log of some length", SIZE)


def changed(change):
    state = fresh()
    shutil.copytree(SOURCE, state)
    db = sqlite3.connect(state + "/console.db")
    db.execute("PRAGMA foreign_keys=OFF")
    if callable(change):
        change(db)
    else:
        db.executescript(change)
    db.commit()
    db.close()
    return state


def edit_entry(seq, old, new):
    def change(db):
        entry = db.execute("SELECT entry FROM entries WHERE seq=?", (seq,)).fetchone()[0]
        assert old in entry, entry
        db.execute("UPDATE entries SET entry=? WHERE seq=?", (entry.replace(old, new, 1), seq))
    return change


def insert(db):
    """An entry in the middle, the later ones moved up."""
    rows = db.execute("SELECT * FROM entries WHERE seq >= 7 ORDER BY seq DESC").fetchall()
    for row in rows:
        db.execute("UPDATE payloads SET seq=seq+1 WHERE seq=?", (row[0],))
        db.execute("UPDATE entries SET seq=seq+1 WHERE seq=?", (row[0],))
    row = rows[-1]
    db.execute("INSERT INTO entries VALUES(?,?,?,?,?,?,?)", row)
    db.execute("INSERT INTO payloads SELECT 7, sealed FROM payloads WHERE seq=8")
    db.execute("UPDATE tree_head SET size=size+1")


def cut_tail(db):
    """As if the last entries had never been: only the checkpoint beside the database knows."""
    import hashlib
    db.execute("DELETE FROM payloads WHERE seq >= 9")
    db.execute("DELETE FROM entries WHERE seq >= 9")
    db.execute("DELETE FROM checkpoints WHERE size > 9 OR entry >= 9")
    db.execute("DELETE FROM sessions WHERE first >= 9")
    head = db.execute("SELECT entry FROM entries WHERE seq = 8").fetchone()[0]
    db.execute("UPDATE tree_head SET size = 9, head = ?", (hashlib.sha256(head).digest(),))


def leaf_of_another(db):
    db.execute("UPDATE entries SET leaf=(SELECT leaf FROM entries WHERE seq=3) WHERE seq=5")


SWAP = """UPDATE entries SET seq=-1 WHERE seq=5; UPDATE entries SET seq=5 WHERE seq=6; UPDATE entries SET seq=6 WHERE seq=-1;
UPDATE payloads SET seq=-1 WHERE seq=5; UPDATE payloads SET seq=5 WHERE seq=6; UPDATE payloads SET seq=6 WHERE seq=-1;"""
LAST = SIZE - 1
ATTACKS = (  # what, change, the first bad entry (None: any is named)
    ("a byte of an entry", edit_entry(5, b'"actor"', b'"acTor"'), 5),
    ("an entry's time", "UPDATE entries SET ts = ts + 1 WHERE seq = 5", 5),
    ("an entry's type column", "UPDATE entries SET type = 'score' WHERE seq = 5", 5),
    ("an entry's session column", "UPDATE entries SET session = '%s' WHERE seq = 5" % ("0" * 32), 5),
    ("an entry replaced by garbage", "UPDATE entries SET entry = x'00ff' WHERE seq = 5", 5),
    ("an entry of 50 MB", "UPDATE entries SET entry = zeroblob(50000000) WHERE seq = 5", 5),
    ("an empty entry", "UPDATE entries SET entry = x'' WHERE seq = 5", 5),
    ("a deep JSON entry", lambda db: db.execute("UPDATE entries SET entry=? WHERE seq=5", (b"[" * 100000,)), 5),
    ("a leaf", leaf_of_another, 5),
    ("a byte of a payload", "UPDATE payloads SET sealed = CAST(sealed || x'00' AS BLOB) WHERE seq = 5", 5),
    ("payloads exchanged", "UPDATE payloads SET seq = CASE seq WHEN 5 THEN -6 ELSE -5 END WHERE seq IN (5, 6);"
                           "UPDATE payloads SET seq = -seq WHERE seq < 0", 5),
    ("a payload deleted", "DELETE FROM payloads WHERE seq = 5", 5),
    ("an entry deleted", "DELETE FROM payloads WHERE seq = 5; DELETE FROM entries WHERE seq = 5", None),
    ("entries exchanged", SWAP, 5),
    ("an entry inserted", insert, None),
    ("the first entry deleted", "DELETE FROM payloads WHERE seq = 0; DELETE FROM entries WHERE seq = 0", 0),
    ("the last entry deleted", "DELETE FROM payloads WHERE seq = %d; DELETE FROM entries WHERE seq = %d" % (LAST, LAST), None),
    ("all entries deleted", "DELETE FROM payloads; DELETE FROM entries", None),
    ("the head", "UPDATE tree_head SET head = zeroblob(32)", None),
    ("the head's size", "UPDATE tree_head SET size = size + 5", None),
    ("a huge size", "UPDATE tree_head SET size = 9223372036854775807", None),
    ("a negative size", "UPDATE tree_head SET size = -3", None),
    ("a node of the tree", "INSERT INTO tree VALUES(1, 8, 0, zeroblob(32))", None),
    ("a node of no level", "INSERT INTO tree VALUES(1, 2, 0, zeroblob(32))", None),
    ("an epoch made up", "INSERT INTO epochs VALUES(2, 7, 7)", None),
    ("a payload and its hash column", "UPDATE payloads SET sealed = zeroblob(90) WHERE seq = 6", 6),
    ("a checkpoint", "UPDATE checkpoints SET note = replace(note, '1', '2')", None),
    ("the tail cut off, and the head with it", cut_tail, None),
    ("an entry far out", "UPDATE entries SET seq = 9223372036854775806 WHERE seq = %d" % LAST, None),
    ("data keys deleted", "DELETE FROM data_keys WHERE session = (SELECT session FROM entries WHERE seq = 0)", None),
)


NO_EPOCH = ("a node of no level", "an epoch made up")  # they say nothing of any entry


def goes_on(state, what, report):
    """The log goes on in one new epoch, signed again; the report says what was found; no further epoch begins."""
    r = run("--state", state, "ask", "disk?")
    check(r.code == 0, "questions are answered: " + what, r)
    # A console that ends waits 300 ms for its disk; what was not signed then, the next one signs.
    for _ in range(4):
        db = sqlite3.connect(state + "/console.db")
        epochs = [row[0] for row in db.execute("SELECT epoch FROM epochs WHERE epoch < 50 ORDER BY epoch")]
        signed = db.execute("SELECT max(epoch) FROM checkpoints").fetchone()[0]
        db.close()
        if signed == len(epochs):
            break
        run("--state", state, "cost")
    if what in NO_EPOCH:
        return
    most = 3 if what == "an entry far out" else 2  # an end that is not there, and an entry where none can be
    check(2 <= len(epochs) <= most and report.get("epoch") == len(epochs), "one new epoch: " + what, (epochs, report.get("epoch")))
    check(signed == len(epochs), "it is signed: " + what, signed)
    r = run("--state", state, "evidence", "report")
    check(r.code == 0 and b"What to do" in r.out, "the report: " + what, r)
    check(os.listdir(state + "/forensics"), "the report's files: " + what)
    r = run("--state", state, "evidence", "verify", "--json", limit=HANGS)
    last = ((r.json() or {}).get("epochs") or [{}])[-1]
    check(last.get("epoch") == len(epochs) and last.get("intact"), "no further epoch, and this one is intact: " + what, r)


def found(part):
    for what, change, first in ATTACKS[part::3]:
        state = changed(change)
        r = run("--state", state, "evidence", "verify", "--json", limit=HANGS)
        report = r.json() or {}
        problems = report.get("problems") or []
        if what == "data keys deleted":  # may be an erasure: the chain and the sealed bytes still hold
            check(r.code in (0, 4), what, r)
            continue
        check(r.code == 4 and report.get("ok") is False and problems, "found: " + what, r)
        goes_on(state, what, report)
        numbers = [p["seq"] for p in problems if p["seq"] >= 0]
        if first is not None:
            check(numbers and numbers[0] == first, "the first bad entry of `%s` is %d" % (what, first), problems[:4])
        elif what in ("an entry deleted", "an entry inserted"):
            check(numbers and numbers[0] in (5, 6, 7, 8), "the place is named: " + what, problems[:4])
        state = changed(change)
        r = run("--state", state, "evidence", "verify")
        check(r.code == 4 and b"TAMPERED" in r.out and b"problem" in r.out, "in words: " + what, r)


def found_0():
    found(0)


def found_1():
    found(1)


def found_2():
    found(2)


def shown():
    for what in ("a byte of an entry", "a payload deleted", "the last entry deleted", "entries exchanged"):
        state = changed(next(a[1] for a in ATTACKS if a[0] == what))
        c = Console("--state", state)
        c.expect("quarantined", 10)
        c.write("\x03")
        c.ended("a console on a log that was changed: " + what)
        r = run("--state", state, "doctor")
        check(r.code == 1 or b"NOT VERIFY" in r.out or b"not verified yet" in r.out, "the doctor: " + what, r)
        r = run("--state", state, "score", "--json")
        rows = {c["id"]: c["status"] for c in (r.json() or {}).get("controls", [])}
        check("fail" in rows.values(), "the scorecard fails: " + what, rows)
        check(run("--state", state, "ask", "disk?").code == 0, "questions are still answered and logged: " + what)
        verify(state, "a later entry does not hide it: " + what, 4)


def not_provable():
    # What cannot be found without a copy of a head kept elsewhere, and is said so: an older copy of all.
    old, newer = fresh(), fresh()
    shutil.copytree(SOURCE, old)
    shutil.copytree(SOURCE, newer)  # the others copy SOURCE meanwhile: nobody writes there
    run("--state", newer, "ask", "disk?")
    r = run("--state", old, "evidence", "verify")
    check(r.code == 0 and b"Not proved: that nothing was cut off" in r.out, "an older copy verifies, and the report says what that is worth", r)


attack(shown, found_0, found_1, found_2, not_provable)
