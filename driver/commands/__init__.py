# SPDX-License-Identifier: GPL-2.0-only
"""The commands of ./run, one module each: HELP, arguments(), run()."""
