#!/usr/bin/env python3
"""Finds text for people that no translator can reach: a literal with words, handed to a function that shows
it, outside _("..."). usage: strings.py FILE...; prints FILE:LINE: TEXT, exit 1 if there is one.
"""
import re
import sys

# Function: the argument that people read, counted from 0, and whether all behind it are read too (printf).
SHOWN = {
    "tui_put": (5, False), "tui_putf": (5, True), "tui_put_right": (5, False), "tui_text_add": (4, False),
    "tui_text_addf": (4, True), "tui_text_add_markdown": (3, False), "tui_say": (0, True), "tui_confirm": (0, False),
    "tui_overlay": (0, False),
}
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\s+|.', re.S)
DIRECTIVE = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]|%%|\\x[0-9a-fA-F]{2}|\\.")


def tokens(text):
    line = 1
    for m in TOKEN.finditer(text):
        t = m.group()
        if not (t.isspace() or t.startswith(("/*", "//"))):
            yield line, t
        line += t.count("\n")


def arguments(all_tokens, at):
    """The arguments of the call whose ( stands at `at`: lists of (line, token, the call it is inside of)."""
    args, inside = [[]], []
    for i in range(at, len(all_tokens)):
        line, t = all_tokens[i]
        if t in "([{":
            inside.append(all_tokens[i - 1][1] if t == "(" else t)
            if len(inside) == 1:
                continue
        elif t in ")]}":
            inside.pop()
            if not inside:
                return args
        if t == "," and len(inside) == 1:
            args.append([])
        else:
            args[-1].append((line, t, inside[1:]))
    return args


def shown(args, first, and_more):
    for arg in args[first:] if and_more else args[first:first + 1]:
        for line, t, inside in arg:
            # Inside another function's call it is that function's business; ( of an expression is not a call.
            if t.startswith('"') and not any(re.match(r"\w", name) and name != "return" for name in inside):
                yield line, t


def main():
    found = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            all_tokens = list(tokens(f.read()))
        for i in range(len(all_tokens) - 1):
            if all_tokens[i][1] in SHOWN and all_tokens[i + 1][1] == "(":
                for line, t in shown(arguments(all_tokens, i + 1), *SHOWN[all_tokens[i][1]]):
                    if re.search(r"[^\W\d_]{2}", DIRECTIVE.sub(" ", t[1:-1])):
                        print("%s:%d: %s" % (path, line, t))
                        found = 1
    return found


if __name__ == "__main__":
    sys.exit(main())
