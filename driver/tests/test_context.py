# SPDX-License-Identifier: GPL-2.0-only
"""Kernels are composed when they are asked for, once, each on top of the one below it."""

import unittest
from types import SimpleNamespace
from unittest import mock

from driver.core.stage import Fail
from driver.core.tally import Tally
from driver.kernel import compose, mails
from driver.kernel import context as contexts
from driver.kernel.compose import KERNELS, LAB, MM, STOCK_LAB, TCP
from driver.kernel.context import Commits, Context
from driver.tests.helpers import counted, environment, quiet


class Composed(unittest.TestCase):
    def setUp(self):
        self.did = []

        def composed(base, series, onto, theirs=None):
            self.did.append((series, onto, theirs))
            return [(None, "half"), (None, f"{onto}+{series}")]
        for name, value in (("compose", composed), ("stock_with_points", lambda base, *those:
                                                    " ".join(those))):
            patch = mock.patch.object(compose, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def commits(self, **how):
        base = counted(**how).base
        base.commit = "stock"
        return Commits(base)

    def test_on_what(self):
        with quiet():
            commits = self.commits()
            found = {kernel: commits[kernel] for kernel in [*KERNELS, STOCK_LAB]}
        self.assertEqual(found, {
            "stock": "stock", "mm": "stock+mm", "mm+tcp": "stock+mm+tcp",
            "mm+lab": "stock+mm+lab", "all": "stock+mm+tcp+lab",
            STOCK_LAB: "stock stock+mm stock+mm+lab"})
        self.assertEqual(len(self.did), 4)

    def test_just_what_is_asked_for(self):
        with quiet():
            commits = self.commits()
            for _ in range(2):
                self.assertEqual(commits["stock"], "stock")
            self.assertEqual(self.did, [])
            for _ in range(2):
                self.assertEqual(commits["mm"], "stock+mm")
            self.assertEqual(self.did, [(MM, "stock", None)])

    def test_chains(self):
        with quiet():
            commits = self.commits()
            for _ in range(2):
                self.assertEqual([commit for _, commit in commits.chain(TCP, "x")],
                                 ["half", "x+tcp"])
        self.assertEqual(self.did, [(TCP, "x", None)])

    def test_mails_of_the_nearest_release(self):
        with quiet(), mock.patch.multiple(
                mails, committed=lambda series, release: f"{series} of {release}",
                composed=lambda base, series: f"{series} on {base}"), mock.patch.object(
                contexts.source, "from_debian", lambda releases: f"Debian {releases[0]}"):
            for release, lab in (("7.3", "lab of 7.3"), ("6.12", "lab on Debian 6.12")):
                self.did.clear()
                commits = self.commits(foreign=True, release=release)
                self.assertEqual(commits["mm+lab"], "stock+mm+lab")
                self.assertEqual(self.did, [(MM, "stock", f"mm of {release}"),
                                            (LAB, "stock+mm", lab)])

    def test_below_each_kernel_there_is_one(self):
        for kernel, series in KERNELS.items():
            self.assertEqual(compose.name(series), kernel)
            self.assertIn(compose.name(series[:-1]), KERNELS)


class Contexts(unittest.TestCase):
    def test_counted_by(self):
        one = Context(counted().base, Tally())
        other = one.counted_by(Tally("./run test x"))
        self.assertIs(other.commit, one.commit)
        self.assertIs(other.shared, one.shared)
        other.tally.fail("x")
        self.assertEqual(one.tally.failed, [])

    def test_opened(self):
        base = counted().base
        with mock.patch.object(contexts.source, "get", lambda: base), \
                environment(BASE="7.3"), quiet() as out:
            context = contexts.open_context("./run kunit")
        self.assertIs(context.base, base)
        self.assertEqual((context.tally.rerun, context.tally.before), ("./run kunit", "BASE=7.3 "))
        self.assertIn("base: Linux 7.3.4 (", out.getvalue())


class Settle(unittest.TestCase):
    """A base that is newer than all mails."""

    def settled(self, ident, failure=None, **how):
        base = counted(ident=ident, **how).base
        commits = mock.MagicMock()
        commits.__getitem__.side_effect = failure
        older = SimpleNamespace(version="6.12.9")
        context = SimpleNamespace(base=base, commit=commits)
        with mock.patch.object(contexts.source, "from_debian", lambda releases: older), \
                quiet() as out:
            contexts.settle(context)
        self.assertEqual("the base is 6.12" in out.getvalue(), context.base is not base)
        return context.base is base

    def test_a_newer_one_is_the_base_if_the_mails_apply(self):
        self.assertTrue(self.settled("v7.3.4"))
        self.assertTrue(self.settled("v7.4.1", foreign=True))
        self.assertFalse(self.settled("v7.4.1", Fail("0001 does not apply"), foreign=True))
        # What the user has chosen stays
        with self.assertRaisesRegex(Fail, "does not apply"):
            self.settled("kdir-x", Fail("0001 does not apply"), foreign=True)
