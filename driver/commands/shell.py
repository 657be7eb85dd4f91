# SPDX-License-Identifier: GPL-2.0-only
"""Boot the patched kernel to a shell; leave with exit."""

from driver.kernel import qemu
from driver.suites import selftests

HELP = "a shell on the patched kernel"
JUDGES = False


def arguments(parser):
    pass


def run(context, args):
    qemu.shell(selftests.image(context, selftests.PATCHED), selftests.initramfs(context))
