# SPDX-License-Identifier: GPL-2.0-only
"""Run the litmus tests of Documentation/litmus-tests/folio/ with herd7."""

from driver.suites import litmus

HELP = "the litmus tests of the memory ordering"


def arguments(parser):
    pass


def run(context, args):
    litmus.litmus(context)
