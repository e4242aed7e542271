"""Console text as it comes off a serial line, made into lines.

Firmware and boot menus move the cursor where a program would write a newline, colour their text, and
leave half lines behind; a log may stop in the middle of a line.
"""

import re

# ECMA-48 control sequences, operating-system commands (ended by BEL or ESC \), two-byte escapes.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
# Those that put what follows on another line: cursor position, next line, clear screen, ...
_MOVES = frozenset("ABEFHJf")


def plain(text: str) -> str:
    """`text` without escape codes and other control characters; every line ends in a newline alone."""
    text = _SEQUENCE.sub(lambda m: "\n" if m.group(1) in _MOVES and m.group(1) else "", text)
    text = re.sub(r"\r+\n|\n\r+", "\n", text).replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)


def lines(text: str) -> list[str]:
    """The lines of `text`, plain, without trailing blanks.  A last line that was cut off is kept."""
    return [line.rstrip() for line in plain(text).split("\n")]


def last_lines(text: str, count: int = 20) -> str:
    """The last `count` lines that are not empty, indented, for a message about what went wrong."""
    found = [line for line in lines(text) if line][-count:]
    return "\n".join("    " + line for line in found) if found else "    (nothing on the console)"
