# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of tests: each runs one, parses what it printed, and judges that."""
