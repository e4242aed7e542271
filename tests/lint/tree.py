"""What the checks of this folder share: the files of a tree, C text without comments, the report."""
import argparse
import os
import re
import subprocess
import sys

# What clang, cppcheck and the self-containedness check must know of the kernel's compile flags.
KERNEL_FLAGS = ("-std=c11 -ffreestanding -mno-red-zone -mgeneral-regs-only -Wall -Wextra "
                "-Wstrict-prototypes -Wmissing-prototypes -DXCALL_VERSION=\"lint\" -I.").split()
SKIPPED_FOLDERS = {".git", "build", "__pycache__", ".pytest_cache"}


class Tree:
    """A source tree: reads each file once, gathers violations, prints them as file:line."""

    def __init__(self, root):
        self.root = root
        self.found = []
        self._text = {}
        self._code = {}
        self.files = sorted(self._list())

    def _list(self):
        if os.path.exists(os.path.join(self.root, ".git")):
            out = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=self.root,
                                 check=True, stdout=subprocess.PIPE).stdout
            names = [name for name in out.decode().split("\0") if name]
        else:
            names = []
            for folder, subfolders, files in os.walk(self.root):
                subfolders[:] = [sub for sub in subfolders if sub not in SKIPPED_FOLDERS]
                names += [os.path.relpath(os.path.join(folder, name), self.root) for name in files]
        return [name for name in names if os.path.isfile(os.path.join(self.root, name)) and
                not SKIPPED_FOLDERS & set(name.split("/"))]

    def matching(self, *endings, under=""):
        return [name for name in self.files if name.endswith(endings) and name.startswith(under)]

    def text(self, name):
        if name not in self._text:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as file:
                self._text[name] = file.read()
        return self._text[name]

    def code(self, name):
        """The C text with comments and the insides of literals blanked; lines stay where they were."""
        if name not in self._code:
            self._code[name] = blank(self.text(name))
        return self._code[name]

    def kind(self, name):
        """c, asm, python, shell, man, or another file's ending."""
        ending = os.path.splitext(name)[1].lstrip(".")
        known = {"h": "c", "py": "python", "sh": "shell", "9": "man"}
        if ending:
            return known.get(ending, ending)
        first = self.text(name).split("\n", 1)[0]
        if first.startswith("#!"):
            if "python" in first:
                return "python"
            if re.search(r"\b(ba|da)?sh\b", first):
                return "shell"
        return ""

    def of_kind(self, kind):
        return [name for name in self.files if self.kind(name) == kind]

    def report(self, name, line, what):
        self.found.append(f"{name}:{line}: {what}")

    def finish(self, title):
        for entry in self.found:
            print(entry)
        count = len(self.found)
        print(f"{title}: {f'{count} violations' if count else 'ok'}")
        return 1 if count else 0


def blank(text):
    """Comments become spaces; literals keep their quotes only."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def hide(match):
        found = match.group(0)
        if found[0] == "/":
            return re.sub(r"[^\n]", " ", found)
        return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[0]

    return re.sub(pattern, hide, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def main(title, check, doc):
    """Runs check(tree) on the tree of --root, by default the one this folder lies in."""
    parser = argparse.ArgumentParser(description=doc)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    tree = Tree(parser.parse_args().root)
    check(tree)
    sys.exit(tree.finish(title))
