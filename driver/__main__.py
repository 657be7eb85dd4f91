# SPDX-License-Identifier: GPL-2.0-only
"""python3 -m driver: called by ./run."""

import sys

from driver import cli

sys.exit(cli.run(sys.argv[1:]))
