# SPDX-License-Identifier: GPL-2.0-only
"""What each check must be: driver/expected/<name>.toml.

[checks] has the verdicts, one for each of columns; "absent": there is no such check.  A part that
is called [on."6.12"] has those that are others there.
"""

import os
import tomllib

from driver.core.paths import EXPECTED, shown
from driver.core.stage import Fail


def load_file(name, folder=None):
    path = os.path.join(folder or EXPECTED, name + ".toml")
    with open(path, "rb") as text:
        try:
            return path, tomllib.load(text)
        except tomllib.TOMLDecodeError as mistake:
            raise Fail(f"{shown(path)}: {mistake}") from None


def load(name, release="", folder=None):
    """{column: {check: verdict}} of one file."""
    path, found = load_file(name, folder)
    columns = found["columns"]
    checks = {**found["checks"], **found.get("on", {}).get(release, {})}
    for check, verdicts in checks.items():
        if len(verdicts) != len(columns):
            raise Fail(f"{shown(path)}: {check} has {len(verdicts)} verdicts, and there are the "
                       f"columns {', '.join(columns)}")
    return {column: {check: verdicts[number] for check, verdicts in checks.items()
                     if verdicts[number] != "absent"}
            for number, column in enumerate(columns)}
