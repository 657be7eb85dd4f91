# SPDX-License-Identifier: GPL-2.0-only
"""What travels together: a base, the kernels on top of it, and the tally of a run."""

import contextlib
import dataclasses
import threading
from dataclasses import dataclass, field

from driver.core.process import Over
from driver.core.stage import Fail, say, stage
from driver.core.tally import Tally, environment
from driver.kernel import compose, mails, source
from driver.kernel.compose import STOCK_LAB
from driver.kernel.source import RELEASES, Base


class Commits:
    """{kernel: commit}, each composed when it is asked for."""

    def __init__(self, base):
        self.base, self.lock, self.found, self.chains = base, threading.RLock(), {}, {}

    def __getitem__(self, kernel):
        with self.lock:
            if kernel not in self.found:
                with stage(f"compose {kernel}") as this:
                    self.found[kernel] = self.compose(kernel)
                    this.note = self.found[kernel][:12]
            return self.found[kernel]

    def compose(self, kernel):
        if self.base.has_points:
            return self.base.commit
        if kernel == STOCK_LAB:
            return compose.stock_with_points(self.base, self["stock"], self["mm"], self["mm+lab"])
        series = compose.KERNELS.get(kernel, (kernel,))
        if not series:
            return self.base.commit
        chain = self.chain(series[-1], self[compose.name(series[:-1])])
        return chain[-1][1]

    def chain(self, series, onto):
        """[(patch, commit)] of a series on top of a commit."""
        with self.lock:
            if (series, onto) not in self.chains:
                self.chains[series, onto] = compose.compose(self.base, series, onto,
                                                            self.mails(series))
            return self.chains[series, onto]

    def mails(self, series):
        """What a base without mails of its own is tried with."""
        if not self.base.foreign:
            return None
        release = self.base.release
        if series in mails.kept(release):
            return mails.committed(series, release)
        return mails.composed(source.from_debian((release,)), series)


@dataclass
class Context:
    base: Base
    tally: Tally
    commit: Commits = None
    shared: dict = field(default_factory=dict)      # what a step leaves for others

    def __post_init__(self):
        self.commit = self.commit or Commits(self.base)

    def counted_by(self, tally):
        """The same, what is seen being counted by another tally."""
        return dataclasses.replace(self, tally=tally)


def settle(context):
    """A kernel of Debian's that is newer than all mails may not take them: then an older one."""
    if not context.base.foreign:
        return context
    try:
        for kernel in (*compose.KERNELS, STOCK_LAB):
            context.commit[kernel]
    except Fail as failure:
        if context.base.ident.startswith("kdir-"):      # the user's choice
            raise
        say(f"{failure}: the base is {RELEASES[-1]}")
        context.base = source.from_debian(RELEASES[-1:])
        context.commit = Commits(context.base)
    return context


def open_context(rerun, others=()):
    """The base that the environment asks for, and a tally.

    others: releases of which bases are wanted later, and which one CPU can unpack by then.
    """
    def unpack(release):
        with contextlib.suppress(Exception, Over):      # who wants it will be told
            further(release)

    def meanwhile():
        for release in others:
            threading.Thread(target=unpack, args=(release,), daemon=True).start()
    context = settle(Context(source.get(meanwhile), Tally(rerun, environment())))
    say(f"base: Linux {context.base.version} ({context.base.origin})")
    return context


said, saying = {}, threading.Lock()


def further(release):
    """One more base, said."""
    with saying:
        if release not in said:
            base = said[release] = source.from_debian((release,))
            say(f"base: Linux {base.version} ({base.origin})")
        return said[release]
