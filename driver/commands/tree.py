# SPDX-License-Identifier: GPL-2.0-only
"""Check the series out as commits in out/tree, for hacking."""

from driver.core.stage import say
from driver.kernel.tree import Tree

HELP = "the series as commits in out/tree"
JUDGES = False


def arguments(parser):
    pass


def run(context, args):
    tree = Tree(context.base)
    how = tree.make(context.commit["all"])
    say(f"{tree.name}: Linux {context.base.version} and the series as commits, {how}.  Hack, "
        "commit --amend or rebase -i base,\nthen ./run series --import takes the commits back.")
