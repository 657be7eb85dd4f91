# SPDX-License-Identifier: GPL-2.0-only
"""Building kernels and selftests: one folder of objects for each architecture, incremental."""

import filecmp
import hashlib
import os
import re
import shutil

from driver.core.paths import CONFIG, OUT, ROOT, logfile, read, shown
from driver.core.process import JOBS, output, run
from driver.core.stage import Fail, stage

X86_64, UML, ARM64 = "x86_64", "um", "arm64"
SYNC_POINTS = "mm/sync_point_debugfs.c"
# {architecture: (fragment, what a kernel with sync points has in addition, image)}
ARCHS = {X86_64: ("x86_64.config", "sync_points.config", "arch/x86/boot/bzImage"),
         UML: ("uml.config", None, "linux"),
         ARM64: ("arm64.config", "sync_points.config", "arch/arm64/boot/Image")}
CROSS = {ARM64: "aarch64-linux-gnu-"}
KSELFTEST = "tools/testing/selftests"
# {selftest: the folder that it is in}
SELFTESTS = {**dict.fromkeys(("folio_orphan", "folio_truncate_race", "folio_sched",
                              "mm_sync_point", "folio_stress"), "mm"),
             "tcp_zerocopy_splice": "net"}
BENCH = "folio_bench"       # judges nothing
# What the KUnit suites ask for, in trees that have them.
KUNITCONFIGS = ("mm/.kunitconfig", "lib/tests/folio_links.kunitconfig",
                "lib/tests/folio_race.kunitconfig")
# What a kernel image does not depend on.
NOT_KERNEL = ("tools", "Documentation", "MAINTAINERS")
# The build id and the version must not tell one commit from another.
REPRODUCIBLE = ["LOCALVERSION=", "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_VERSION=1",
                "KBUILD_BUILD_USER=folio", "KBUILD_BUILD_HOST=folio"]
# By name, not by path: else all would be compiled anew when the project's folder has moved.
COMPILER = ["CC=folio-cc", "HOSTCC=ccache gcc"]
ENV = {"PATH": f"{CONFIG}/bin:{os.environ['PATH']}",
       "CCACHE_DIR": os.environ.get("CCACHE_DIR") or os.path.join(OUT, "ccache"),
       "CCACHE_MAXSIZE": os.environ.get("CCACHE_MAXSIZE") or "3G", "CCACHE_NOHASHDIR": "1"}


def fragment(name):
    """The path of a file in driver/config/."""
    return os.path.join(CONFIG, name if name.endswith(".config") else name + ".config")


def fixtures(test):
    """What the names of a selftest's results begin with, if it uses the kselftest harness."""
    source = read(os.path.join(ROOT, KSELFTEST, SELFTESTS[test], test + ".c"))
    return re.findall(r"^FIXTURE\((\w+)\)", source, re.M)


def is_object(line):
    return line.startswith("  ") and line.split(None, 1)[0] in ("CC", "AS", "AR", "LD", "HOSTCC")


def make(base, objects, log, *args):
    return run(["make", f"-j{JOBS}", f"O={objects}", *COMPILER, *REPRODUCIBLE, *args], log,
               cwd=base.src, env=ENV, count=is_object, background=True)


def options(arch):
    cross = CROSS.get(arch)
    return [f"ARCH={arch}"] + ([f"CROSS_COMPILE={cross}", f"CC=env FOLIO_CC={cross}gcc folio-cc"]
                               if cross else [])


def key(base, commit, fragments):
    """What a kernel is made of."""
    entries = [line for line in base.git("ls-tree", commit).splitlines()
               if line.split("\t")[1] not in NOT_KERNEL]
    inputs = [*entries, *map(read, fragments), output(["gcc", "--version"])]
    return hashlib.sha1("\n".join(inputs).encode()).hexdigest()[:16]


def keep(made, kept):
    """Copy a file to where it is looked for: it is there as a whole, or not."""
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    shutil.copy(made, kept + ".new")
    os.rename(kept + ".new", kept)


def config_key(base, fragments, args):
    """What a configuration is made of, in the tree as it is checked out."""
    made_of = [line for line in base.git("ls-tree", "-r", "HEAD").splitlines()
               if re.search(r"\tscripts/|/configs/|Kconfig", line)]
    made_of += [*map(read, fragments), *args, output(["gcc", "--version"])]
    return hashlib.sha1("\n".join(made_of).encode()).hexdigest()[:16]


def merge_config(base, log, objects, fragments, *args):
    """tinyconfig and the fragments, nothing of which is to be lost; args are for make.

    One that was made before is taken again, which is faster; and if it is the one that is there
    the objects are not looked at for it.
    """
    config = os.path.join(objects, ".config")
    kept = os.path.join(base.dir, "configs", config_key(base, fragments, args))
    os.makedirs(objects, exist_ok=True)
    if os.path.exists(kept):
        if not (os.path.exists(config) and filecmp.cmp(kept, config, shallow=False)):
            shutil.copyfile(kept, config)
        return
    make(base, objects, log, *args, "tinyconfig")
    run(["scripts/kconfig/merge_config.sh", "-m", "-O", objects, config, *fragments], log,
        cwd=base.src)
    make(base, objects, log, *args, "olddefconfig")
    for line, name in lost(read(config), fragments):
        raise Fail(f"{line} of {shown(name)} does not end up in the configuration: a dependency is "
                   "missing, or something selects it")
    keep(config, kept)


def settings(text):
    """{option: its line} of a configuration; None: it is not set."""
    return {name or unset: None if unset else line for line, name, unset in
            re.findall(r"^((?:CONFIG_(\w+)=.*|# CONFIG_(\w+) is not set))$", text, re.M)}


def lost(config, fragments):
    """(line, fragment) of what a configuration has not got; the last fragment to name it counts."""
    have, asked = settings(config), {}
    for path in fragments:
        asked.update({name: (line, path) for name, line in settings(read(path)).items()})
    for name, (line, path) in asked.items():
        if have.get(name) != line:
            yield line or f"# CONFIG_{name} is not set", path


def fragments_of(base, arch, kunitconfigs=KUNITCONFIGS, more=()):
    """Ours and more, and what the KUnit suites ask for if the tree has them."""
    first, with_points, _ = ARCHS[arch]
    found = [fragment(first), *more]
    found += [path for name in kunitconfigs
              if os.path.exists(path := os.path.join(base.src, name))]
    if (with_points and kunitconfigs == KUNITCONFIGS
            and os.path.exists(os.path.join(base.src, SYNC_POINTS))):
        found.append(fragment(with_points))
    return found


def configure(base, arch, log, objects, kunitconfigs=KUNITCONFIGS, more=()):
    merge_config(base, log, objects, fragments_of(base, arch, kunitconfigs, more), *options(arch))


def kernel(base, commit, name, arch=X86_64, more=(), folder=None, kunitconfigs=KUNITCONFIGS):
    """The image of commit, built if there is none yet; with more fragments in another folder.

    kunitconfigs: of which suites; sync points go with the usual ones.
    """
    if arch == UML:
        base = base.for_uml()
    ours = [fragment(each) for each in ARCHS[arch][:2] if each]
    objects, made = base.objects(folder or arch), ARCHS[arch][2]
    image = os.path.join(base.dir, "images", f"{arch}-{key(base, commit, [*ours, *more])}",
                         os.path.basename(made))
    if os.path.exists(image):
        return image
    # Nothing is built here yet?  ccache has the objects of the stock kernel, if of any: each
    # configuration is part of all objects that are built from nothing with it.
    first = (arch == X86_64 and not more and os.path.isdir(ENV["CCACHE_DIR"])
             and not os.path.exists(os.path.join(objects, "vmlinux")))
    if first and commit != base.commit:
        kernel(base, base.commit, "stock")
    with base.tree, stage(f"build {name}" + {UML: ", UML", ARM64: ", arm64"}.get(arch, "")):
        base.checkout(commit)
        configurations = [kunitconfigs]
        if first and base.has_points:
            # There is no stock kernel of such a tree, but it can be configured as one
            configurations.insert(0, ())
        for suites in configurations:
            configure(base, arch, f"config-{arch}-{name}.log", objects, suites, more)
            make(base, objects, f"build-{arch}-{name}.log", *options(arch), os.path.basename(made))
        keep(os.path.join(objects, made), image)
    return image


def uapi(base):
    """The kernel's headers for user space; return the folder of objects that has them."""
    headers = base.objects("headers")
    make(base, headers, "headers.log", "headers")
    return headers


def binaries(tests, folder):
    """What is built of a folder of selftests."""
    if folder != "mm":          # tests has those of mm beside run_vmtests.sh
        tests = os.path.join(tests, folder)
    return [os.path.join(tests, test) for test in (*SELFTESTS, BENCH)
            if SELFTESTS.get(test, "mm") == folder]


def selftests(base, commit):
    """Build the selftests, static, by their own Makefiles; return their folder."""
    trees = base.git("rev-parse", f"{commit}:{KSELFTEST}", f"{commit}:include")
    tests = os.path.join(base.dir, "selftests")
    made_of = os.path.join(base.dir, "selftests.made-of")
    if os.path.exists(made_of) and read(made_of) == trees:
        return tests
    with base.tree, stage("build selftests"):
        base.checkout(commit)
        headers = uapi(base)
        os.makedirs(tests, exist_ok=True)
        for folder in dict.fromkeys(SELFTESTS.values()):
            build_selftests(base, folder, headers, binaries(tests, folder))
        mm = os.path.join(base.src, KSELFTEST, "mm")
        shutil.copy(os.path.join(mm, "run_vmtests.sh"), tests)
        shutil.rmtree(os.path.join(tests, "schedules"), ignore_errors=True)
        shutil.copytree(os.path.join(mm, "schedules"), os.path.join(tests, "schedules"))
        with open(made_of, "w") as out:
            out.write(trees)
    return tests


def build_selftests(base, folder, headers, wanted):
    """Build some of a folder of selftests."""
    output_folder, log = os.path.dirname(wanted[0]), f"build-selftests-{folder}.log"
    os.makedirs(output_folder, exist_ok=True)
    for binary in wanted:
        if os.path.exists(binary):
            os.unlink(binary)
    run(["make", f"-j{JOBS}", "-C", os.path.join(base.src, KSELFTEST, folder),
         f"OUTPUT={output_folder}", "USERCFLAGS=-Werror", "USERLDFLAGS=-static",
         f"KHDR_INCLUDES=-isystem {headers}/usr/include", *wanted], log, env=ENV, background=True)
    for binary in wanted:
        if not os.path.exists(binary):
            raise Fail(f"the selftest binary {os.path.basename(binary)} was not built: "
                       f"see {shown(logfile(log))}")


def schedule_checker(base):
    """folio_sched for this machine: to look for mistakes in a schedule file takes no kernel."""
    program = os.path.join(base.dir, "check-schedule")
    mm = os.path.join(ROOT, KSELFTEST, "mm")
    sources = [os.path.join(mm, name) for name in sorted(os.listdir(mm))
               if re.match(r"folio_(sched|util)\w*\.[ch]$", name)]
    sources.append(os.path.join(ROOT, "include/linux/mm_sync_point_defs.h"))
    if os.path.exists(program) and all(os.stat(source).st_mtime < os.stat(program).st_mtime
                                       for source in sources):
        return program
    with base.tree:
        headers = base.objects("headers")
        if not os.path.isdir(os.path.join(headers, "usr/include")):
            base.checkout(base.commit)
            uapi(base)
        folder = os.path.join(base.src, KSELFTEST)
        if not os.path.exists(os.path.join(folder, "mm/vm_util.c")):
            base.checkout(base.commit)
        run(["gcc", "-O1", "-D_GNU_SOURCE=", f"-I{folder}", f"-I{folder}/mm",
             "-isystem", f"{headers}/usr/include", "-o", program + ".new",
             *(source for source in sources if source.endswith(".c")),
             f"{folder}/mm/vm_util.c", "-lpthread"], "check-schedule.log")
    os.rename(program + ".new", program)
    return program
