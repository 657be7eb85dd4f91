# SPDX-License-Identifier: GPL-2.0-only
"""A replay: parsed, as text, as a page."""
