"""Seeded bugs as patches that outlive edits: a hunk applies where its words of C stand, however they are laid out and commented."""

import os
import re

COMMENT = re.compile(r"/\*.*?\*/", re.S)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\w+|\S')


class Unfit(Exception):
    """A bug that cannot be put in: why."""


def blank(match):
    return re.sub(r"\S", " ", match.group())


def tokens(text):
    """Where each word of C is that is not in a comment."""
    return list(TOKEN.finditer(COMMENT.sub(blank, text)))


def complete(text):
    """Part of a source, without the comment that it may begin or end in."""
    end, begin = text.find("*/"), text.find("/*")
    if end >= 0 and (begin < 0 or end < begin):
        text = text[end + 2:]
    begin = text.rfind("/*")
    return text[:begin] if begin >= 0 > text.find("*/", begin) else text


def apply_hunk(text, old, new):
    """As patch(1) would, wherever it stands, however it is laid out and commented."""
    want, have = [t.group() for t in tokens(complete(old))], tokens(text)
    words = [t.group() for t in have]
    places = [i for i in range(len(words) - len(want) + 1) if words[i:i + len(want)] == want]
    if len(places) != 1 or not want:
        raise Unfit(f"the patch does not apply: {len(places)} places look like:\n{old}")
    first, last = have[places[0]], have[places[0] + len(want) - 1]
    return text[:first.start()] + complete(new).strip() + text[last.end():]


def patch(lines, root="."):
    """The changed files of a unified diff: name to text."""
    changed, name, old, new = {}, None, "", ""

    def flush():
        if old or new:
            text = changed[name] if name in changed else read(os.path.join(root, name))
            changed[name] = apply_hunk(text, old, new)
        return "", ""

    for line in lines + ["@@"]:
        if line.startswith(("--- ", "+++ ", "@@")):
            old, new = flush()
            name = line[6:].split()[0] if line.startswith("+++ ") else name
        elif name is not None:
            old += line[1:] if line[0] in " -" else ""
            new += line[1:] if line[0] in " +" else ""
    return changed


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


def write(name, text):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
