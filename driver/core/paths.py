# SPDX-License-Identifier: GPL-2.0-only
"""Where things are."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DRIVER = os.path.join(ROOT, "driver")
CONFIG = os.path.join(DRIVER, "config")
EXPECTED = os.path.join(DRIVER, "expected")
OUT = os.path.join(ROOT, "out")
LOG = os.path.join(OUT, "log")


def logfile(name: str) -> str:
    os.makedirs(LOG, exist_ok=True)
    return os.path.join(LOG, name)


def shown(path: str) -> str:
    """A path as a reader can paste it, from the top of the project."""
    return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path


def read(path: str) -> str:
    with open(path, errors="replace") as text:
        return text.read()


def write(path: str, text: str) -> None:
    """Write a file: it is there as a whole, or as it was."""
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)
