# SPDX-License-Identifier: GPL-2.0-only
"""Each kind of bad run must be seen as one: python3 -m unittest discover -s driver/tests -t ."""
