# SPDX-License-Identifier: GPL-2.0-only
"""What a patch adds to the kernel's MAINTAINERS, of the file of that name of this project."""

import fnmatch
import os
import re

from driver.core.paths import ROOT, read
from driver.core.stage import Fail

PATH = "MAINTAINERS"


def lines():
    """[(section, pattern)]."""
    found, section = [], None
    for line in read(os.path.join(ROOT, PATH)).splitlines():
        if line.startswith("F:\t"):
            found.append((section, line[3:]))
        elif line:
            section = line
    return found


def covers(pattern, path):
    """Does F: with this pattern name the file?"""
    return path.startswith(pattern) if pattern.endswith("/") else fnmatch.fnmatchcase(path, pattern)


def wanted(files):
    """[(section, pattern, the files that it names)], of those that name any."""
    found = ((section, pattern, [path for path in files if covers(pattern, path)])
             for section, pattern in lines())
    return [each for each in found if each[2]]


def added(text, wanted_lines):
    """The kernel's MAINTAINERS, with what wanted() gave."""
    for section, pattern, named in wanted_lines:
        for title in (section, section.partition(" - ")[0]):
            start = re.search(rf"^{re.escape(title)}\n", text, re.M)
            if start:
                break
        else:
            raise Fail(f"{PATH}: the kernel has no section '{section}'")
        end = text.find("\n\n", start.end())
        entry = text[start.end():end].splitlines()
        there = [line[3:] for line in entry if line.startswith("F:\t")]
        if all(any(covers(each, path) for each in there) for path in named):
            continue
        after = [number for number, line in enumerate(entry)
                 if line.startswith("F:\t") and line[3:] < pattern]
        first = next(number for number, line in enumerate(entry) if line.startswith("F:\t"))
        entry.insert(after[-1] + 1 if after else first, f"F:\t{pattern}")
        text = text[:start.end()] + "\n".join(entry) + text[end:]
    return text
