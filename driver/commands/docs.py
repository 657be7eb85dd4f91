# SPDX-License-Identifier: GPL-2.0-only
"""make htmldocs of Documentation/mm/, and what it says of callers and tests."""

from driver.suites import docs

HELP = "the documents"


def arguments(parser):
    pass


def run(context, args):
    docs.documents(context)
