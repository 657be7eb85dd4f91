# SPDX-License-Identifier: GPL-2.0-only
"""Building kernels and selftests: one tree, one object folder, incremental."""

import filecmp
import hashlib
import os
import re
import shutil
import sys

from stage import JOBS, OUT, ROOT, Fail, logfile, output, run, stage

FRAGMENT = os.path.join(ROOT, "scripts", "x86_64.config")
# What the lab's kernels have in addition, if the tree is that far.
LAB_FRAGMENT = os.path.join(ROOT, "scripts", "lab.config")
# What all UML kernels have in addition but that of ./run own.
UML_FRAGMENT = os.path.join(ROOT, "scripts", "uml.config")
LAB_SOURCE = "mm/sync_point_debugfs.c"
SELFTESTS = ("folio_orphan", "folio_truncate_race", "folio_sched", "mm_sync_point",
             "folio_stress")
BENCH = "folio_bench"       # judges nothing
# What the KUnit suites ask for, in trees that have them.
KUNITCONFIGS = ("mm/.kunitconfig", "lib/tests/folio_race.kunitconfig")
# What a kernel image does not depend on.
NOT_KERNEL = ("tools", "Documentation", "MAINTAINERS")
# The build id and the version must not tell one commit from another.
REPRODUCIBLE = ["LOCALVERSION=", "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_VERSION=1",
                "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab"]
COMPILER = ["CC=" + os.path.join(ROOT, "scripts/cc"), "HOSTCC=ccache gcc"]
ENV = {"CCACHE_DIR": os.path.join(OUT, "ccache"), "CCACHE_MAXSIZE": "3G"}


def fixtures(test):
    """What the names of a selftest's results begin with, if it uses the kselftest harness."""
    with open(os.path.join(ROOT, "tools/testing/selftests/mm", test + ".c")) as source:
        return re.findall(r"^FIXTURE\((\w+)\)", source.read(), re.M)


def is_object(line):
    return line.startswith("  ") and line.split(None, 1)[0] in ("CC", "AS", "AR", "LD", "HOSTCC")


def make(base, objects, log, *args):
    return run(["make", f"-j{JOBS}", f"O={objects}", *COMPILER, *REPRODUCIBLE, *args], log,
               cwd=base.src, env=ENV, count=is_object)


def kunit_py(verb, objects, configs, *args):
    """A command of kunit.py, for UML."""
    return [sys.executable, "tools/testing/kunit/kunit.py", verb, f"--build_dir={objects}",
            f"--jobs={JOBS}", *(f"--kunitconfig={config}" for config in configs),
            *(f"--make_options={option}" for option in COMPILER), *args]


def uml(base, commit, log, folder, configs):
    """The UML kernel of commit, as kunit.py builds it; the next one built there replaces it."""
    base.checkout(commit)
    objects = os.path.join(base.dir, folder)
    run(kunit_py("build", objects, configs), log, cwd=base.src, env=ENV, count=is_object)
    return os.path.join(objects, "linux")


def objects_of(base):
    return os.path.join(base.dir, "x86_64")


def key(base, commit, fragments=(FRAGMENT, LAB_FRAGMENT)):
    entries = [line for line in base.git("ls-tree", commit).splitlines()
               if line.split("\t")[1] not in NOT_KERNEL]
    inputs = entries + [output(["gcc", "--version"])]
    for fragment in fragments:
        with open(fragment) as text:
            inputs.insert(-1, text.read())
    return hashlib.sha1("\n".join(inputs).encode()).hexdigest()[:16]


def configure(base, log, objects=None, kunitconfigs=KUNITCONFIGS, more=()):
    """tinyconfig, our fragment and more, and what the KUnit suites ask for if the tree has them."""
    fragments = [FRAGMENT, *more] + [path for name in kunitconfigs
                                     if os.path.exists(path := os.path.join(base.src, name))]
    if kunitconfigs == KUNITCONFIGS and os.path.exists(os.path.join(base.src, LAB_SOURCE)):
        fragments.append(LAB_FRAGMENT)
    merge_config(base, log, objects or objects_of(base), fragments)


def keep(made, kept):
    """Copy a file to where it is looked for: it is there as a whole, or not."""
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    shutil.copyfile(made, kept + ".new")
    os.rename(kept + ".new", kept)


def config_key(base, fragments, options):
    """What a configuration is made of, in the tree as it is checked out."""
    made_of = [line for line in base.git("ls-tree", "-r", "HEAD").splitlines()
               if re.search(r"\tscripts/|/configs/|Kconfig", line)]
    for fragment in fragments:
        with open(fragment) as text:
            made_of.append(text.read())
    made_of += [*options, output(["gcc", "--version"])]
    return hashlib.sha1("\n".join(made_of).encode()).hexdigest()[:16]


def merge_config(base, log, objects, fragments, *options):
    """tinyconfig and the fragments, nothing of which is to be lost; options are for make.

    One that was made before is taken again, which is faster; and if it is the one that is there
    the objects are not looked at for it.
    """
    config = os.path.join(objects, ".config")
    kept = os.path.join(base.dir, "configs", config_key(base, fragments, options))
    if os.path.exists(kept):
        if not (os.path.exists(config) and filecmp.cmp(kept, config, shallow=False)):
            os.makedirs(objects, exist_ok=True)
            shutil.copyfile(kept, config)
        return
    os.makedirs(objects, exist_ok=True)
    make(base, objects, log, *options, "tinyconfig")
    run(["scripts/kconfig/merge_config.sh", "-m", "-O", objects, config, *fragments], log,
        cwd=base.src)
    make(base, objects, log, *options, "olddefconfig")
    with open(config) as text:
        have = set(text.read().splitlines())
    for fragment in fragments:
        with open(fragment) as wanted:
            for line in wanted.read().splitlines():
                if re.match(r"CONFIG_\w+=", line) and line not in have:
                    raise Fail(f"{line} of {os.path.relpath(fragment, base.src)} does not end "
                               "up in the configuration: a dependency is missing")
    keep(config, kept)


def kernel(base, commit, name, folder="x86_64", more=()):
    """The bzImage of commit, built if there is none yet; with more fragments in another folder."""
    images, objects = os.path.join(base.dir, "images"), os.path.join(base.dir, folder)
    image = os.path.join(images, key(base, commit, (FRAGMENT, LAB_FRAGMENT, *more)))
    if os.path.exists(image):
        return image
    with stage(f"build {name}"):
        base.checkout(commit)
        configure(base, f"config-{name}.log", objects, more=more)
        make(base, objects, f"build-{name}.log", "bzImage")
        keep(os.path.join(objects, "arch/x86/boot/bzImage"), image)
    return image


def uapi(base):
    """The kernel's headers for user space; return the folder of objects that has them."""
    headers = os.path.join(base.dir, "headers")
    make(base, headers, "headers.log", "headers")
    return headers


def selftests(base, commit):
    """Build the selftests, static, by their own Makefile; return their folder."""
    tests = os.path.join(base.dir, "selftests")
    with stage("build selftests"):
        base.checkout(commit)
        headers = uapi(base)
        os.makedirs(tests, exist_ok=True)
        folder = os.path.join(base.src, "tools/testing/selftests/mm")
        binaries = [os.path.join(tests, test) for test in (*SELFTESTS, BENCH)]
        for binary in binaries:
            if os.path.exists(binary):
                os.unlink(binary)
        run(["make", f"-j{JOBS}", "-C", folder, f"OUTPUT={tests}",
             "EXTRA_CFLAGS=-static -Werror",
             f"KHDR_INCLUDES=-isystem {headers}/usr/include", *binaries], "selftests.log",
            env=ENV)
        for binary in binaries:
            if not os.path.exists(binary):
                raise Fail(f"the selftest binary {os.path.basename(binary)} was not built: "
                           f"see {logfile('selftests.log')}")
        shutil.copy(os.path.join(folder, "run_vmtests.sh"), tests)
        shutil.rmtree(os.path.join(tests, "schedules"), ignore_errors=True)
        shutil.copytree(os.path.join(folder, "schedules"), os.path.join(tests, "schedules"))
    return tests
