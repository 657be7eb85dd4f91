# SPDX-License-Identifier: GPL-2.0-only
"""What compilers and sparse say of the files of the series, and what they make of them."""

import os
import re

from driver.core.paths import read, shown
from driver.core.process import in_parallel, output
from driver.core.stage import Fail, stage
from driver.kernel import build, compose
from driver.kernel.compose import LAB, SERIES, STOCK_LAB
from driver.kernel.debian import newer_tool
from driver.kernel.objects import code_difference, complaints, functions

# 6.12 counts locks for sparse, which can't follow guard().
NO_CONTEXTS = "CF=-Wno-context"
# Some messages have their line number in the code.
NO_LINES = "KCFLAGS=-D__LINE__=0 -Wno-builtin-macro-redefined"


def object_of(path):
    return path[:-1] + "o"


def sparse(context):
    """sparse and W=1 say nothing of the touched files that they do not say of the base."""
    base, said = context.base, {}
    touched = [path for series in SERIES for patch in compose.patches(series, base.release)
               for path in patch.paths() if re.match(r"(mm|net|lib|kernel)/.*\.c$", path)]
    checker = newer_tool("sparse")      # that of Debian 12 can't parse this kernel
    patched = ["all", *compose.apart(base)]
    for kernel in (*patched, "stock"):
        with base.tree, stage(f"sparse and W=1 on {kernel}") as this:
            base.checkout(context.commit[kernel])
            objects = [object_of(path) for path in dict.fromkeys(touched)
                       if os.path.exists(os.path.join(base.src, path))]
            build.configure(base, build.X86_64, f"config-static-{kernel}.log",
                            base.objects("x86_64"))
            _, log = build.make(base, base.objects("x86_64"), f"static-{kernel}.log", "W=1", "C=2",
                                f"CHECK={checker}", NO_CONTEXTS, *objects)
            lines = read(log).splitlines()
            checked = sum(line.startswith("  CHECK") for line in lines)
            if checked < len(objects):
                raise Fail(f"sparse ran on {checked} of {len(objects)} files, see {shown(log)}")
            said[kernel] = complaints(lines)
            this.note = f"{len(objects)} files, {len(said[kernel])} complaints"
    new = set().union(*map(said.get, patched)) - said["stock"]
    context.tally.check(not new, "sparse or W=1 complains: " + "; ".join(sorted(new)))


def disassembly(path):
    return output(["objdump", "-dr", "--no-show-raw-insn", path])


def object_code(context):
    """With sync points off, the files that the lab edits compile to what they did.

    UML's own are not compiled for x86_64.
    """
    base, objects = context.base, context.base.objects("x86_64")
    touched = sorted({object_of(path) for patch in compose.patches(LAB, base.release)
                      for path in patch.paths()
                      if path.endswith(".c") and path not in patch.files
                      and not path.startswith("arch/um/")})
    for plain, lab in (("stock", STOCK_LAB), ("mm", "mm+lab")):
        with base.tree, stage(f"object code of {lab} is that of {plain}") as this:
            code = {}
            for kernel in (plain, lab):
                base.checkout(context.commit[kernel])
                build.configure(base, build.X86_64, f"config-object-code-{kernel}.log", objects,
                                build.KUNITCONFIGS[:1])
                build.make(base, objects, f"object-code-{kernel}.log", NO_LINES, *touched)
                code[kernel] = dict(zip(touched, in_parallel(
                    lambda path: disassembly(os.path.join(objects, path)), touched)))
            count = 0
            for path in touched:
                count += len(functions(code[plain][path]))
                name = code_difference(code[plain][path], code[lab][path])
                context.tally.check(name is None, f"with sync points off, {name} of {path} is not "
                                    f"on {lab} what it is on {plain}")
            this.note = f"{len(touched)} files, {count} functions"
            context.tally.check(count > 100, "objdump found hardly any function")
