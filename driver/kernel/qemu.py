# SPDX-License-Identifier: GPL-2.0-only
"""Booting a kernel with the selftests under QEMU."""

import json
import os
import re
import subprocess
import threading

from driver.core.paths import DRIVER, OUT, logfile, read, shown, write
from driver.core.process import run, tail
from driver.core.stage import Fail, stage
from driver.kernel import debian
from driver.kernel.build import ARM64, X86_64

TIME_LIMIT = 420            # seconds; a boot with all the selftests takes about 60
# What a guest sees does not depend on when it was packed: instructions are counted in it.
EXT4_UUID = "f0110000-0000-4000-8000-000000000000"
KVM, TCG = ["-accel", "kvm"], ["-accel", "tcg,thread=multi"]
PROBE_LIMIT = 15            # seconds, for KVM to show that it boots a kernel
MACHINE = ["-cpu", "max", "-smp", "2", "-m", "1G", "-no-reboot", "-display", "none",
           "-monitor", "none", "-nic", "none"]
QEMU = ["qemu-system-x86_64", "-bios", "qboot.rom", *MACHINE]
QEMU_ARM64 = ["qemu-system-aarch64", "-machine", "virt", *MACHINE]
# ZONE_MOVABLE is for the cases about long-term pins and memory offlining.  no_timer_check: on a
# busy machine the emulated timer may not tick in time, and x86 would panic for it.
APPEND = ("console=ttyS0 panic=-1 oops=panic softlockup_panic=1 movablecore=512M quiet loglevel=7 "
          "no_timer_check")
ENDED = "guest: tests ended"
DEVICE = "/dev/kvm"

# A line in which a more urgent one came up: the kernel prints it once more, as a whole.
CUT = re.compile(r"^.*\n\*\* replaying previous printk message \*\*\r?\n", re.M)

# A line that the kernel printed, and not a test
STAMPED = re.compile(r"^(?:\[ *\d+\.\d+\]|guest: ).*\r?\n", re.M)

packing = threading.Lock()


def initramfs(base, tests=None, more=(), name="", arch=X86_64):
    """Pack busybox, bash, init and the tests; without tests, what a boot for KUnit needs.

    more: other files, to be put beside the tests.  name: if it is not to replace the usual one.
    """
    with packing:
        return pack(base, tests, more, os.path.join(base.dir, "-".join(
            [name or ("initramfs" if tests else "initramfs-kunit")] + [arch] * (arch != X86_64))),
                    arch)


def shells(arch):
    """{path in the guest: where it is here} of busybox, and of bash, which selftests need."""
    if arch == X86_64:
        return {"/bin/busybox": "/bin/busybox", "/bin/bash": "/bin/bash-static"}
    return {"/bin/busybox": os.path.join(debian.foreign("busybox-static", arch),
                                         "usr/bin/busybox")}


def pack(base, tests, more, path, arch=X86_64):
    spec = f"""dir /dev 755 0 0
nod /dev/console 600 0 0 c 5 1
dir /bin 755 0 0
dir /tests 755 0 0
file /init {DRIVER}/kernel/guest-init 755 0 0
"""
    spec += "".join(f"file {inside} {file} 755 0 0\n" for inside, file in shells(arch).items())
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
            run(["mke2fs", "-q", "-F", "-t", "ext4", "-U", EXT4_UUID, "-E",
                 f"hash_seed={EXT4_UUID}", ext4 + ".new", "32M"], "ext4.log",
                env={"E2FSPROGS_FAKE_TIME": "1"})
            os.rename(ext4 + ".new", ext4)
        spec += f"file /ext4.img {ext4} 644 0 0\n"
    made_of = spec + "".join(f"{os.stat(file).st_size} {os.stat(file).st_mtime_ns}\n" for file in
                             re.findall(r"^file \S+ (\S+)", spec, re.M))
    if all(map(os.path.exists, (path, path + ".made-of"))) and read(path + ".made-of") == made_of:
        return path
    write(path + ".list", spec)
    packer = os.path.join(base.dir, "gen_init_cpio")
    if not os.path.exists(packer):
        run(["gcc", "-O2", "-o", packer + ".new", os.path.join(base.src, "usr/gen_init_cpio.c")],
            "initramfs.log")
        os.rename(packer + ".new", packer)
    run(["bash", "-c", 'set -o pipefail; "$0" -t 1 "$1.list" | gzip -1n > "$1.new"', packer, path],
        "initramfs.log")
    os.rename(path + ".new", path)
    write(path + ".made-of", made_of)
    return path


class Accelerator:
    """KVM where it works, else TCG; said once, and remembered until the machine is booted anew."""

    def __init__(self):
        self.lock, self.chosen = threading.Lock(), None

    def choose(self, image, initrd):
        with self.lock:
            self.chosen = self.chosen or self.find(image, initrd)
            return self.chosen

    def find(self, image, initrd):
        named = os.environ.get("ACCEL")
        if named not in (None, "", "tcg", "kvm"):
            raise Fail(f"ACCEL={named}: there are tcg and kvm")
        if named:
            return KVM if named == "kvm" else TCG
        if not os.access(DEVICE, os.R_OK | os.W_OK):
            return TCG
        memory = os.path.join(OUT, "kvm.json")
        boot = read("/proc/sys/kernel/random/boot_id").strip()
        known = json.loads(read(memory)) if os.path.exists(memory) else {}
        if known.get("boot") != boot:
            known = {"boot": boot, "works": self.probe(image, initrd)}
            write(memory, json.dumps(known))
        return KVM if known["works"] else TCG

    def probe(self, image, initrd):
        """Does KVM boot this kernel to its init?"""
        with stage("boot with KVM") as this:
            try:
                start(image, initrd, "kvm-probe", "guest.kunit kunit.enable=0", PROBE_LIMIT, (),
                      None, X86_64, KVM)
                this.note = "it works: guests run under KVM"
                return True
            except Fail:
                this.note = "it does not work (out/log/kvm-probe.qemu): guests run under TCG"
                return False


accelerator = Accelerator()


def start(image, initrd, name, append, time_limit, machine, follow, arch, accel):
    """Run a guest to its end; return the paths of its console and of its test output."""
    console, tests = logfile(f"{name}.console"), logfile(f"{name}.tap")
    for path in (console, tests):
        open(path, "w").close()
    channel = f"stdio,id=tests,logfile={tests}" if follow else f"file,id=tests,path={tests}"
    command, words, serial = QEMU, APPEND, ["-serial", f"file:{console}"]
    if arch == X86_64:
        serial = ["-chardev", channel, *serial, "-serial", "chardev:tests"]
    else:                       # it has one serial line
        command, words = QEMU_ARM64, APPEND.replace("ttyS0", "ttyAMA0")
    try:
        run([*command, *accel, "-kernel", image, "-initrd", initrd,
             "-append", f"{words} {append}", *serial, *machine],
            f"{name}.qemu", timeout=time_limit, count=follow)
    except Fail as failure:
        if "did not end" not in str(failure):
            raise
        raise Fail(f"the guest '{name}' did not finish within {time_limit} s; the last it said "
                   f"(see {shown(tests)} and {shown(console)}):\n{tail(tests, 4)}"
                   f"{tail(console, 4)}") from None
    with open(console, "r+", errors="replace", newline="") as log:
        text = CUT.sub("", log.read())
        log.seek(0)
        log.truncate()
        log.write(text)
    if arch == ARM64:
        write(tests, STAMPED.sub("", text).replace("\r", ""))
    if ENDED not in text:
        said = re.search("terminating on signal.*", tail(logfile(f"{name}.qemu"), 2))
        if said:
            raise Fail(f"somebody ended the guest '{name}' from outside (QEMU: {said[0]}): run it "
                       "again")
        raise Fail(f"the guest '{name}' died before its tests ended, see {shown(console)}:\n"
                   + tail(console))
    return console, tests


def boot(image, initrd, name, append="", time_limit=TIME_LIMIT, machine=(), follow=None,
         accel=None, arch=X86_64):
    """Run the tests in a guest; return the paths of its console and of its test output.

    machine: arguments for QEMU.  follow: as count of process.run(), for lines of the test output.
    """
    accel = accel or (accelerator.choose(image, initrd) if arch == X86_64 else TCG)
    return start(image, initrd, name, append, time_limit, machine, follow, arch, accel)


def shell(image, initrd):
    subprocess.call(QEMU + [*accelerator.choose(image, initrd), "-kernel", image, "-initrd", initrd,
                            "-append", f"{APPEND} guest.shell kunit.enable=0", "-serial",
                            "mon:stdio", "-serial", "null"])
