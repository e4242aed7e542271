"""`make gdb`: stopped at the kernel's entry with symbols; later in long mode and in an AP."""

import os
import shutil
import sys

import pexpect
import pytest

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")
LIMIT_S = 120


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_entry_long_mode_and_ap(build):
    log = f"{build}/logs/gdb.log"
    argv = [BOOT, "--gdb", "--firmware", "pvh", "--cpus", "2", "--elf", f"{build}/xcall.elf", "--log", log]
    env = dict(os.environ, TERM="dumb")     # no colours
    child = pexpect.spawn(sys.executable, argv, timeout=LIMIT_S, encoding="utf-8", dimensions=(50, 200), env=env)
    try:
        child.expect(r"boot_pvh")
        child.expect_exact("(gdb) ")
        for function in ("kmain", "ap_main"):
            child.sendline(f"thbreak {function}")
            child.expect_exact("(gdb) ")
            child.sendline("continue")
            child.expect(rf"{function} \(.*\) at kernel/main/main\.c:\d+")
            child.expect_exact("(gdb) ")
        child.sendline("info threads")
        child.expect(r"\* 2 .*ap_main")
        child.expect_exact("(gdb) ")
        child.sendline("quit")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    with open(log, encoding="utf-8") as f:
        assert "xcall " in f.read()
