# SPDX-License-Identifier: GPL-2.0-only
"""Booting a kernel with the selftests under QEMU."""

import os
import re
import subprocess

from stage import Fail, logfile, run, tail

TIME_LIMIT = 420            # seconds; a boot with all the selftests takes about 60
# What a guest sees does not depend on when it was packed: instructions are counted in it.
EXT4_UUID = "f0110000-0000-4000-8000-000000000000"
PARALLEL = ["-accel", "tcg,thread=multi"]
QEMU = ["qemu-system-x86_64", "-cpu", "max", "-smp", "2",
        "-m", "1G", "-bios", "qboot.rom", "-no-reboot", "-display", "none", "-monitor", "none",
        "-nic", "none"]
# ZONE_MOVABLE is for the cases about long-term pins and memory offlining.
APPEND = "console=ttyS0 panic=-1 oops=panic softlockup_panic=1 movablecore=512M quiet loglevel=7"

# A line in which a more urgent one came up: the kernel prints it once more, as a whole.
CUT = re.compile(r"^.*\n\*\* replaying previous printk message \*\*\r?\n", re.M)


def initramfs(base, tests=None, more=(), name=""):
    """Pack busybox, bash, init and the tests; without tests, what a boot for KUnit needs.

    more: other files, to be put beside the tests.  name: if it is not to replace the usual one.
    """
    spec = """dir /dev 755 0 0
nod /dev/console 600 0 0 c 5 1
dir /bin 755 0 0
dir /tests 755 0 0
file /bin/busybox /bin/busybox 755 0 0
file /bin/bash /bin/bash-static 755 0 0
"""
    here = os.path.dirname(os.path.abspath(__file__))
    spec += f"file /init {here}/guest-init 755 0 0\n"
    path = os.path.join(base.dir, name or ("initramfs" if tests else "initramfs-kunit"))
    if tests:
        for folder, _, names in sorted(os.walk(tests)):
            inside = os.path.normpath(f"/tests/{os.path.relpath(folder, tests)}")
            spec += "".join([f"dir {inside} 755 0 0\n"] * (folder != tests)
                            + [f"file {inside}/{name} {folder}/{name} 755 0 0\n"
                               for name in sorted(names)])
        spec += "".join(f"file /tests/{os.path.basename(file)} {os.path.abspath(file)} 755 0 0\n"
                        for file in more)
        ext4 = os.path.join(base.dir, "ext4.img")
        if not os.path.exists(ext4):
            run(["mke2fs", "-q", "-F", "-t", "ext4", "-U", EXT4_UUID, "-E", f"hash_seed={EXT4_UUID}",
                 ext4 + ".new", "32M"], "ext4.log", env={"E2FSPROGS_FAKE_TIME": "1"})
            os.rename(ext4 + ".new", ext4)
        spec += f"file /ext4.img {ext4} 644 0 0\n"
    with open(path + ".list", "w") as out:
        out.write(spec)
    packer = os.path.join(base.dir, "gen_init_cpio")
    if not os.path.exists(packer):
        run(["gcc", "-O2", "-o", packer + ".new", os.path.join(base.src, "usr/gen_init_cpio.c")],
            "initramfs.log")
        os.rename(packer + ".new", packer)
    run(["bash", "-c", 'set -o pipefail; "$0" -t 1 "$1.list" | gzip -1n > "$1.new" && mv "$1.new" "$1"',
         packer, path], "initramfs.log")
    return path


def boot(image, initrd, name, append="", time_limit=TIME_LIMIT, machine=(), follow=None,
         accel=PARALLEL):
    """Run the tests in a guest; return the paths of its console and of its test output.

    machine: arguments for QEMU.  follow: as count of stage.run(), for lines of the test output.
    """
    console, tests = logfile(f"{name}.console"), logfile(f"{name}.tap")
    for path in (console, tests):
        open(path, "w").close()
    output = f"stdio,id=tests,logfile={tests}" if follow else f"file,id=tests,path={tests}"
    try:
        run(QEMU + [*accel, "-kernel", image, "-initrd", initrd, "-append", f"{APPEND} {append}",
                    "-chardev", output, "-serial", f"file:{console}", "-serial", "chardev:tests",
                    *machine],
            f"{name}.qemu", timeout=time_limit, count=follow)
    except Fail as failure:
        if "did not end" not in str(failure):
            raise
        raise Fail(f"the guest '{name}' did not finish within {time_limit} s; the last it said "
                   f"(see {tests} and {console}):\n{tail(tests, 4)}{tail(console, 4)}") from None
    with open(console, "r+", errors="replace", newline="") as log:
        text = CUT.sub("", log.read())
        log.seek(0)
        log.truncate()
        log.write(text)
    if "lab: tests ended" not in text:
        said = re.search("terminating on signal.*", tail(logfile(f"{name}.qemu"), 2))
        if said:
            raise Fail(f"somebody ended the guest '{name}' from outside (QEMU: {said[0]}): run it "
                       "again")
        raise Fail(f"the guest '{name}' died before its tests ended, see {console}:\n"
                   + tail(console))
    return console, tests


def shell(image, initrd):
    subprocess.call(QEMU + [*PARALLEL, "-kernel", image, "-initrd", initrd, "-append",
                            f"{APPEND} lab.shell kunit.enable=0", "-serial", "mon:stdio",
                            "-serial", "null"])
