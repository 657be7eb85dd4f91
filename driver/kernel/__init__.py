# SPDX-License-Identifier: GPL-2.0-only
"""The kernel: its source, the series on top, builds, and the machines that run it."""
