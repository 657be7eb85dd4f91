# SPDX-License-Identifier: GPL-2.0-only
"""Building kernels and selftests: one tree, one object folder, incremental."""

import hashlib
import os
import re
import shutil
import sys

from stage import JOBS, OUT, ROOT, Fail, logfile, output, run, stage

FRAGMENT = os.path.join(ROOT, "scripts", "x86_64.config")
SELFTESTS = ("folio_orphan", "folio_truncate_race")
# What the KUnit suites ask for, in trees that have them.
KUNITCONFIGS = ("mm/.kunitconfig", "lib/tests/folio_race.kunitconfig")
# What a kernel image does not depend on.
NOT_KERNEL = ("tools", "Documentation", "MAINTAINERS")
# The build id and the version must not tell one commit from another.
REPRODUCIBLE = ["LOCALVERSION=", "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_VERSION=1",
                "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab"]
COMPILER = ["CC=ccache gcc", "HOSTCC=ccache gcc"]
ENV = {"CCACHE_DIR": os.path.join(OUT, "ccache"), "CCACHE_MAXSIZE": "3G"}


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


def key(base, commit):
    entries = [line for line in base.git("ls-tree", commit).splitlines()
               if line.split("\t")[1] not in NOT_KERNEL]
    with open(FRAGMENT) as fragment:
        inputs = entries + [fragment.read(), output(["gcc", "--version"])]
    return hashlib.sha1("\n".join(inputs).encode()).hexdigest()[:16]


def configure(base, log, objects=None, kunitconfigs=KUNITCONFIGS):
    """tinyconfig, our fragment, and what the KUnit suites ask for if the tree has them."""
    objects = objects or objects_of(base)
    os.makedirs(objects, exist_ok=True)
    fragments = [FRAGMENT] + [path for name in kunitconfigs
                              if os.path.exists(path := os.path.join(base.src, name))]
    make(base, objects, log, "tinyconfig")
    run(["scripts/kconfig/merge_config.sh", "-m", "-O", objects,
         os.path.join(objects, ".config"), *fragments], log, cwd=base.src)
    make(base, objects, log, "olddefconfig")
    with open(os.path.join(objects, ".config")) as config:
        have = set(config.read().splitlines())
    for fragment in fragments:
        with open(fragment) as wanted:
            for line in wanted.read().splitlines():
                if re.match(r"CONFIG_\w+=", line) and line not in have:
                    raise Fail(f"{line} of {os.path.relpath(fragment, base.src)} does not end "
                               "up in the configuration: a dependency is missing")


def kernel(base, commit, name):
    """The bzImage of commit, built if there is none yet."""
    images = os.path.join(base.dir, "images")
    image = os.path.join(images, key(base, commit))
    if os.path.exists(image):
        return image
    with stage(f"build {name}"):
        base.checkout(commit)
        configure(base, f"config-{name}.log")
        make(base, objects_of(base), f"build-{name}.log", "bzImage")
        os.makedirs(images, exist_ok=True)
        shutil.copyfile(os.path.join(objects_of(base), "arch/x86/boot/bzImage"), image + ".new")
        os.rename(image + ".new", image)
    return image


def selftests(base, commit):
    """Build the selftests, static, by their own Makefile; return their folder."""
    tests = os.path.join(base.dir, "selftests")
    with stage("build selftests"):
        base.checkout(commit)
        headers = os.path.join(base.dir, "headers")
        if not os.path.isdir(os.path.join(headers, "usr/include/linux")):
            make(base, headers, "headers.log", "headers")
        os.makedirs(tests, exist_ok=True)
        folder = os.path.join(base.src, "tools/testing/selftests/mm")
        binaries = [os.path.join(tests, test) for test in SELFTESTS]
        for binary in binaries:
            if os.path.exists(binary):
                os.unlink(binary)
        run(["make", "-C", folder, f"OUTPUT={tests}", "EXTRA_CFLAGS=-static -Werror",
             f"KHDR_INCLUDES=-isystem {headers}/usr/include", *binaries], "selftests.log",
            env=ENV)
        for binary in binaries:
            if not os.path.exists(binary):
                raise Fail(f"the selftest binary {os.path.basename(binary)} was not built: "
                           f"see {logfile('selftests.log')}")
        for script in ("run_vmtests.sh", "ksft_folio.sh"):
            shutil.copy(os.path.join(folder, script), tests)
    return tests
