"""The peer: Debian's stock Linux in the same QEMU, in the same mode, measured by linux/calls.c.

Packages are downloaded and unpacked under the build folder: a kernel that is only booted here need not be
installed on the host.  Needs apt, gcc, make, busybox-static.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import kernelrun

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "linux")
BUSYBOX = "/bin/busybox"
ROWS_PREFIX, BOOT_PREFIX = "BENCH ", "LINUX "
TIMEOUT_S = 7200     # 254 CPUs in exact mode: 7 minutes of a quiet host, 36 were seen on a busy one

# No MWAIT: emulated, it is a busy wait.  No 5-level paging: slower emulation.  No random numbers from the
# host: they would undo the exact mode's repeatability.
CPU = "max,-monitor,-la57,-rdrand,-rdseed"
ARGUMENTS = [
    "console=ttyS0", "quiet", "panic=-1",
    "nokaslr", "randomize_kstack_offset=off",       # the same addresses in every run
    "mitigations=off",                              # Linux at its fastest
    "tsc=reliable", "no_timer_check",               # slow emulation must not demote the time stamp counter
    "nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1",  # CPUs that spin are part of the measurement
    "lpj=4000000",                                  # else each CPU calibrates its delay loop for 90 ms
    "audit=0", "apparmor=0", "log_buf_len=1M",
]  # fmt: skip
# One tick is one instruction is one nanosecond.  QEMU 7.2 runs virtual CPUs in turn, each up to the next timer
# deadline, and the one behind a CPU that used its turn up gets none: CPU 0 spins without a pause while it
# starts another, so virtual CPU 1 would never run.  It stays halted, and there is one CPU more.
EXACT_ARGUMENTS = ["tsc_early_khz=1000000", "disable_cpu_apicid=1"]


def _run(argv: list[str], **kwargs) -> str:
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs)
    if done.returncode != 0:
        raise kernelrun.BenchError(f"{' '.join(argv)}:\n{done.stdout[-2000:]}")
    return done.stdout


def _fetch(top: str) -> str:
    """Downloads and unpacks kernel, headers and what builds modules; returns the release."""
    root, release_file = os.path.join(top, "root"), os.path.join(top, "release")
    if not os.path.exists(release_file):
        depends = _run(["apt-cache", "depends", "linux-image-amd64"])
        match = re.search(r"Depends: linux-image-(6\.\S+)-amd64", depends)
        if match is None:
            raise kernelrun.BenchError("apt knows no linux-image-amd64: apt-get update")
        release = match.group(1)
        packages = os.path.join(top, "packages")
        os.makedirs(packages, exist_ok=True)
        _run(
            ["apt-get", "download", f"linux-image-{release}-amd64", f"linux-headers-{release}-amd64",
             f"linux-headers-{release}-common", "linux-kbuild-6.1", "linux-compiler-gcc-12-x86"],
            cwd=packages,
        )  # fmt: skip
        for package in sorted(glob.glob(os.path.join(packages, "*.deb"))):
            if "linux-image" not in package:
                _run(["dpkg-deb", "-x", package, root])
                continue
            # Its modules are 300 MB, and none is needed.
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as tar:
                _run(["tar", "-x", "-C", _folder(root), "./boot"], stdin=tar.stdout)
        # The only absolute path in them.
        makefile = os.path.join(root, "usr", "src", f"linux-headers-{release}-amd64", "Makefile")
        _run(["sed", "-i", f"s#^include /usr/src/#include {root}/usr/src/#", makefile])
        with open(release_file, "w", encoding="ascii") as f:
            f.write(release)
    with open(release_file, encoding="ascii") as f:
        return f.read()


def _folder(path: str) -> str:
    os.makedirs(path, exist_ok=True)
    return path


def _module(top: str, release: str) -> str:
    folder = _folder(os.path.join(top, "module"))
    shutil.copyfile(os.path.join(HERE, "calls.c"), os.path.join(folder, "calls.c"))
    with open(os.path.join(folder, "Kbuild"), "w", encoding="ascii") as f:
        f.write("obj-m := calls.o\n")
    headers = os.path.join(top, "root", "usr", "src", f"linux-headers-{release}-amd64")
    # The outer make's flags are for the outer make.
    outer = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    _run(["make", "-s", "-C", headers, f"M={folder}", "modules"], env=environment)
    module = os.path.join(folder, "calls.ko")
    _run(["strip", "--strip-debug", module])
    return module


def _archive(entries: list[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive in the "newc" format (Linux, initramfs buffer format): name, mode, content."""
    out = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)


def prepare(build: str) -> str:
    """Fetches and builds what is not there yet; returns the folder."""
    top = _folder(os.path.abspath(os.path.join(build, "bench", "linux")))
    if not os.path.exists(BUSYBOX):
        raise kernelrun.BenchError("busybox is missing: make setup")
    release = _fetch(top)
    files = [("bin/busybox", BUSYBOX), ("init", os.path.join(HERE, "init")), ("calls.ko", _module(top, release))]
    entries = [(name, 0o40755, b"") for name in ("bin", "proc", "dev")] + [("bin/sh", 0o120777, b"busybox")]
    for name, path in files:
        with open(path, "rb") as f:
            entries.append((name, 0o100755, f.read()))
    with open(os.path.join(top, "initrd"), "wb") as f:
        f.write(_archive(entries))
    shutil.copyfile(os.path.join(top, "root", "boot", f"vmlinuz-{release}-amd64"), os.path.join(top, "vmlinuz"))
    return top


def boot(build: str, cpus: int, mode: str = "exact", samples: int = 1000, calls: bool = True) -> dict:
    """Boots Linux once: the machine's line, the rows by name, and how long its CPUs took to start."""
    top = os.path.abspath(os.path.join(build, "bench", "linux"))
    words = [*ARGUMENTS, f"samples={samples}", *([] if calls else ["calls=no"])]
    argv = ["qemu-system-x86_64", *kernelrun.qemu.ACCEL_ARGS[mode], "-machine", "pc", "-cpu", CPU, "-m", "1G"]
    if mode == "exact":
        argv += [*kernelrun.EXACT_ARGS, "-smp", str(cpus + 1)]
        words += EXACT_ARGUMENTS
    else:
        argv += ["-smp", str(cpus)]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-kernel", os.path.join(top, "vmlinuz"), "-initrd", os.path.join(top, "initrd")]
    argv += ["-append", " ".join(words)]
    with tempfile.TemporaryDirectory(prefix="linux-") as scratch:
        console, results = os.path.join(scratch, "console"), os.path.join(scratch, "results")
        argv += ["-serial", f"file:{console}", "-serial", f"file:{results}"]
        text = _boot(argv, console, results)
    machine, rows = kernelrun.parse(text)
    found = {"machine": machine, "rows": {name: row.data for name, row in rows.items()}}
    for line in text.splitlines():
        if line.startswith(BOOT_PREFIX):
            found["boot"] = kernelrun.json.loads(line[len(BOOT_PREFIX):])
    if "boot" not in found or (calls and not rows):
        raise kernelrun.BenchError(f"Linux with {cpus} CPUs measured nothing")
    return found


def _boot(argv: list[str], console: str, results: str) -> str:
    process = kernelrun.runner.start(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired as e:
        raise kernelrun.BenchError(f"Linux did not end within {TIMEOUT_S} s") from e
    finally:
        kernelrun.runner.stop(process)
        words = process.stderr.read().decode(errors="replace")
        process.stderr.close()
    if not os.path.exists(results):
        raise kernelrun.BenchError(f"QEMU did not start Linux: {words}")
    with open(results, encoding="utf-8", errors="replace") as f:
        text = f.read()
    if BOOT_PREFIX in text:
        return text
    with open(console, encoding="utf-8", errors="replace") as f:
        raise kernelrun.BenchError("Linux failed; its last lines:\n" + f.read()[-2000:])
