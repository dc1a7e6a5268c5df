#!/usr/bin/env python3
"""Verifies the log of a console.db from docs/evidence-format.md alone, without any key.

usage: verify_log.py DATABASE [--size N --head HEX] [--size N --root HEX]
  --size, --head, --root: what was noted elsewhere earlier: the first N entries must end in that head,
  or give that root.
Prints one JSON object {ok, size, head, root, said_erased, problems}; exit code 0 intact, 4 not intact, 1 unreadable.
"""
import argparse
import hashlib
import json
import re
import sqlite3
import sys
from datetime import datetime, timezone

ZEROS = "0" * 64
MEMBERS = {
    "actor": r"[^\0]*", "conversation": r"[0-9a-f]{32}", "key_id": r"[0-9a-f]{16}",
    "payload_hmac": r"[0-9a-f]{64}", "payload_sha256": r"[0-9a-f]{64}", "prev": r"[0-9a-f]{64}",
    "session": r"[0-9a-f]{32}", "trace_id": r"[0-9a-f]{32}", "type": r"[a-z.]+",
    "ts": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
}
OPTIONAL = {"conversation", "trace_id"}
# type and transform: of which types a parent must be; None: of any
NEEDS = {
    ("session.seal", "seal"): {"session.start", "epoch.start"}, ("checkpoint", "cover"): None,
    ("tool.call", "plan"): {"question"}, ("tool.result", "call"): {"tool.call"},
    ("retrieval", "retrieve"): {"question"}, ("summary", "fit"): {"question"}, ("model.call", "ask"): {"question"},
    ("model.output", "generate"): {"model.call"}, ("critique", "generate"): {"model.call"},
    ("verdict", "conclude"): {"question"}, ("answer", "choose"): {"verdict"},
    ("answer", "adopt"): {"model.output", "critique"}, ("stop", "stop"): {"question"},
    ("resume", "resume"): {"question"},
}


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2 ** 53


def canonical(value):
    """RFC 8785 for what an entry holds: ASCII names, integers, strings, arrays of those."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def is_edge(value):
    """[seq, transform] or [seq, transform, confidence per mille]: a parent in version 2."""
    return (isinstance(value, list) and len(value) in (2, 3) and is_int(value[0])
            and isinstance(value[1], str) and re.fullmatch(r"[a-z]+", value[1]) is not None
            and (len(value) == 2 or is_int(value[2]) and value[2] <= 1000))


def parents_of(entry):
    return entry["parents"] if entry["v"] == 1 else [edge[0] for edge in entry["parents"]]


def read_entry(data):
    """The entry as a dict, or None if its bytes are not the canonical form."""
    try:
        entry = json.loads(data.decode())
        if not isinstance(entry, dict) or canonical(entry) != data:
            return None
    except ValueError:
        return None
    names = set(MEMBERS) | {"parents", "pii_tags", "seq", "v"}
    if not (names - OPTIONAL <= set(entry) <= names) or entry["v"] not in (1, 2) or not is_int(entry["seq"]):
        return None
    for name, form in MEMBERS.items():
        if name in entry and not (isinstance(entry[name], str) and re.fullmatch(form, entry[name])):
            return None
    lists = (entry["parents"], entry["pii_tags"])
    if not all(isinstance(one, list) for one in lists) or len(entry["parents"]) > 64:
        return None
    if not all((is_int if entry["v"] == 1 else is_edge)(p) for p in entry["parents"]):
        return None
    if not all(isinstance(tag, str) for tag in entry["pii_tags"]):
        return None
    return entry


def milliseconds(ts):
    at = datetime.strptime(ts[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int(at.timestamp()) * 1000 + int(ts[20:23])


class Tree:
    """RFC 6962, section 2.1, grown leaf by leaf; complete subtrees are reported."""

    def __init__(self):
        self.size = 0
        self.edge = []  # (level, hash), the largest first

    def push(self, leaf):
        level, node, done = 0, leaf, []
        while self.edge and self.edge[-1][0] == level:
            node = sha256(b"\x01", self.edge.pop()[1], node)
            level += 1
            done.append((level, self.size >> level, node))
        self.edge.append((level, node))
        self.size += 1
        return done

    def root(self):
        if not self.edge:
            return sha256()
        node = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            node = sha256(b"\x01", left, node)
        return node


class Verifier:
    def __init__(self, database, noted):
        self.db = sqlite3.connect("file:%s?mode=ro" % database.replace("?", "%3f"), uri=True)
        self.noted = noted
        self.problems = []
        self.tree = Tree()
        self.head = ZEROS
        self.next = 0
        self.nodes = 0
        self.erased = 0
        self.kin = {}  # seq: (type, trace_id)
        self.epoch = 1

    def begin_epoch(self, seq):
        """A tree of its own begins with this entry; seq, prev and the head run on."""
        self.epoch += 1
        self.tree = Tree()
        if self.db.execute("SELECT epoch FROM epochs WHERE base = ?", (seq,)).fetchone() != (self.epoch,):
            self.problem(seq, "epoch", "epoch %d is not in the table" % self.epoch)

    def problem(self, seq, code, text):
        self.problems.append({"seq": seq, "code": code, "text": text})

    def check_noted(self):
        for size, kind, value in self.noted:
            if size == self.next:
                now = self.head if kind == "head" else self.tree.root().hex()
                if now != value:
                    self.problem(size - 1, "noted", "the %s of %d entries is %s, noted was %s"
                                 % (kind, size, now, value))

    def check_row(self, row):
        seq, data, leaf, ts, session, kind, trace_id, sealed = row
        if seq != self.next:
            self.problem(self.next, "missing", "the entry after %d is %d" % (self.next - 1, seq))
            self.next = seq
        entry = read_entry(data)
        if entry is not None and entry["type"] == "epoch.start":
            self.begin_epoch(seq)
        mine = sha256(b"\x00", data)
        if leaf != mine:
            self.problem(seq, "leaf", "the stored leaf is not the entry's")
        if entry is None:
            self.problem(seq, "form", "not in canonical form")
        else:
            self.check_entry(seq, entry, sealed)
            if (milliseconds(entry["ts"]), entry["session"], entry["type"],
                    entry.get("trace_id")) != (ts, session, kind, trace_id):
                self.problem(seq, "columns", "the columns do not say what the entry says")
        for level, index, node in self.tree.push(mine):
            if level % 8:  # only every eighth level is stored
                continue
            self.nodes += 1
            stored = self.db.execute("SELECT hash FROM tree WHERE epoch = ? AND level = ? AND idx = ?",
                                     (self.epoch, level, index)).fetchone()
            if stored is None or stored[0] != node:
                self.problem(seq, "tree", "node %d of level %d" % (index, level))
        self.head = sha256(data).hex()
        self.next = seq + 1
        self.check_noted()

    def check_entry(self, seq, entry, sealed):
        if entry["seq"] != seq:
            self.problem(seq, "seq", "calls itself %d" % entry["seq"])
        if entry["prev"] != self.head:
            self.problem(seq, "prev", "does not follow the entry before it")
        self.check_lineage(seq, entry)
        if sealed is None and self.says_erased(seq):
            self.erased += 1
        elif sealed is None:
            self.problem(seq, "payload_missing", "the payload is not there")
        elif sha256(sealed).hex() != entry["payload_sha256"]:
            self.problem(seq, "payload_changed", "the payload is not the one that was logged")

    def says_erased(self, seq):
        """The table names a later `erase` entry. That its ranges hold seq only its payload shows, which is sealed."""
        row = self.db.execute("SELECT x.entry, e.type FROM erased x JOIN entries e ON e.seq = x.entry"
                              " WHERE x.seq = ?", (seq,)).fetchone()
        return row is not None and row[0] > seq and row[1] == "erase"

    def check_lineage(self, seq, entry):
        self.kin[seq] = entry["type"], entry.get("trace_id")
        if any(parent >= seq or parent not in self.kin for parent in parents_of(entry)):
            self.problem(seq, "lineage", "derives from an entry that is no earlier one, or not there")
        elif entry["v"] > 1:
            for (kind, transform), sources in NEEDS.items():
                by_hand = kind == "tool.call" and "trace_id" not in entry
                if kind == entry["type"] and not by_hand and not any(
                        edge[1] == transform and (sources is None or (
                            self.kin[edge[0]][0] in sources and self.kin[edge[0]][1] == entry.get("trace_id")))
                        for edge in entry["parents"]):
                    self.problem(seq, "lineage", "has no parent by %s: an orphan" % transform)

    def check_ends(self):
        size, head = self.db.execute("SELECT size, head FROM tree_head WHERE id = 1").fetchone()
        if size != self.next or head.hex() != self.head:
            self.problem(self.next, "tail", "the stored head is %d %s" % (size, head.hex()))
        extra = "SELECT count(*) FROM payloads WHERE seq NOT IN (SELECT seq FROM entries)"
        if self.db.execute(extra).fetchone()[0]:
            self.problem(self.next, "tail", "there are payloads without entries")
        if self.db.execute("SELECT count(*) FROM tree").fetchone()[0] != self.nodes:
            self.problem(self.next, "tail", "there are tree nodes without entries")
        for noted in self.noted:
            if noted[0] > self.next:
                self.problem(self.next, "noted", "%d entries were noted" % noted[0])

    def run(self):
        self.db.execute("BEGIN")  # one state of the database, even beside a running console
        self.check_noted()
        for row in self.db.execute(
                "SELECT e.seq, e.entry, e.leaf, e.ts, e.session, e.type, e.trace_id, p.sealed"
                " FROM entries e LEFT JOIN payloads p ON p.seq = e.seq ORDER BY e.seq"):
            self.check_row(row)
        self.check_ends()
        return {"ok": not self.problems, "size": self.next, "head": self.head,
                "root": self.tree.root().hex(), "said_erased": self.erased, "problems": self.problems[:100]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("--size", type=int)
    parser.add_argument("--head")
    parser.add_argument("--root")
    args = parser.parse_args()
    noted = [(args.size, kind, value) for kind, value in (("head", args.head), ("root", args.root))
             if value and args.size is not None]
    try:
        report = Verifier(args.database, noted).run()
    except (sqlite3.Error, TypeError, AttributeError) as failure:
        print(json.dumps({"ok": False, "error": str(failure)}))
        return 1
    print(json.dumps(report))
    return 0 if report["ok"] else 4


if __name__ == "__main__":
    sys.exit(main())
