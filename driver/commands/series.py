# SPDX-License-Identifier: GPL-2.0-only
"""Recompose patches/ from series/ and the overlay; --import takes the commits of out/tree back."""

import os

from driver.core.paths import OUT, shown
from driver.core.stage import Fail, say
from driver.kernel import mails
from driver.kernel.compose import SERIES, patches
from driver.kernel.context import Commits
from driver.kernel.source import RELEASES
from driver.kernel.tree import Tree

HELP = "recompose patches/, or take the commits of out/tree back"
JUDGES = False


def arguments(parser):
    parser.add_argument("--import", dest="take_back", action="store_true",
                        help="take the commits of out/tree back first")


def run(context, args):
    base = context.base
    if base.foreign:
        raise Fail(f"the series is for Linux {base.release}, and this is {base.version}: unset "
                   "KDIR")
    if args.take_back:
        tree = Tree(base)
        tree.take_back()
        tree.settle(Commits(base)["all"])
        for release in RELEASES[1:]:        # what is only theirs goes by the same names
            for series in SERIES:
                patches(series, release)
    on_demand = os.path.join(OUT, "patches")
    changed = mails.write_all(base, on_demand)
    say("\n".join("rewritten: " + shown(path) for path in changed)
        or "patches/ is what the series composes to")
    made = [mails.name(series, base.release) for series, release in mails.ON_DEMAND
            if release == base.release]
    if made:
        say(f"made on demand: {', '.join(f'{shown(on_demand)}/{name}' for name in made)}")
