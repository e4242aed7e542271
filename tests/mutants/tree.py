"""A copy of the sources with a seeded bug in it: a folder that make(1) builds again and again, each time what has changed."""

import filecmp
import os
import shutil
import subprocess

import wordpatch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tree:
    """The copy; one bug at a time."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self.build = os.path.join(self.folder, "build")
        self.elf = os.path.join(self.build, "xcall.elf")
        self._changed: list[str] = []
        self.restore()

    def restore(self) -> None:
        """The sources that git has, as they are in the work tree.  What is the same is left alone, for make."""
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in files.split("\0"):
            source, target = os.path.join(ROOT, name), os.path.join(self.folder, name)
            if not name or not os.path.isfile(source):
                continue
            if os.path.isfile(target) and filecmp.cmp(source, target, False):
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)

    def plant(self, patch: str) -> None:
        """Puts the bug in that a patch describes; wordpatch.Unfit when its place is not there."""
        with open(patch, encoding="utf-8") as file:
            changed = wordpatch.patch(file.readlines(), ROOT)
        if not changed:
            raise wordpatch.Unfit("the patch is empty")
        for name, text in changed.items():
            wordpatch.write(os.path.join(self.folder, name), text)
        self._changed = list(changed)

    def weed(self) -> None:
        """Takes it out again."""
        for name in self._changed:
            shutil.copyfile(os.path.join(ROOT, name), os.path.join(self.folder, name))
        self._changed = []

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        """make(1) there; a bug may leave something unused."""
        return subprocess.run(["make", f"BUILD={self.build}", "WARNINGS=-w", *arguments], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False)
