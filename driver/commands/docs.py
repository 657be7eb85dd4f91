# SPDX-License-Identifier: GPL-2.0-only
"""Run make htmldocs on Documentation/mm/, and check the callers and tests that it names."""

from driver.suites import docs

HELP = "make htmldocs, and check what the documents name"


def arguments(parser):
    pass


def run(context, args):
    docs.documents(context)
