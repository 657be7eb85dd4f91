# SPDX-License-Identifier: GPL-2.0-only
"""The report's interleaving as it was replayed: kept, and drawn for README.

driver/results/report.story has what the kernel printed of it.  Each replay on the newest release is
compared with that, event by event.
"""

import os
import re

from driver.core.paths import DRIVER, ROOT, read, write
from driver.core.stage import Fail
from driver.story import model, svg

CLAIM = "F"
STORY = os.path.join(DRIVER, "results", "report.story")
PICTURE = os.path.join(ROOT, "doc", "report.svg")
HEADING = "The steps 0 to 10 that the report of March 2024 claims, replayed on Linux {}"
RENEW = "./run results report"


def keep(console, version):
    """Take the story out of a console."""
    story = re.search(rf"folio_race: begin {CLAIM}\|.*?folio_race: end {CLAIM}\|\d+", console, re.S)
    if not story:
        raise Fail(f"there is no whole story of {CLAIM} to keep")
    lines = re.findall(r"folio_race: .*", story[0])
    write(STORY, f"# SPDX-License-Identifier: GPL-2.0-only\n# Linux {version}; {RENEW} renews it\n"
          + "\n".join([*lines, ""]))


def kept():
    """(the release that was replayed, its story)."""
    text = read(STORY)
    return re.search(r"Linux (\S+);", text)[1], model.parse(text)[CLAIM]


def drawn():
    version, story = kept()
    return svg.svg_file(story, "stock and patched", HEADING.format(version))


def draw():
    write(PICTURE, drawn())


def is_current(tally, where, story):
    """What was replayed is what the picture shows."""
    _, old = kept()
    same = (model.timeline(story), model.verdict(story)) == (model.timeline(old),
                                                             model.verdict(old))
    tally.check(same, f"{where}: the picture in README shows another replay of {CLAIM}; "
                f"{RENEW} draws it again")
