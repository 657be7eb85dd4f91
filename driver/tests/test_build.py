# SPDX-License-Identifier: GPL-2.0-only
"""What was built before is taken again only if it would come out the same."""

import os
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from driver.core.paths import CONFIG
from driver.core.process import output
from driver.kernel import build


class Configuration(unittest.TestCase):
    TREE = ("100644 blob 1\tmm/Kconfig\n100644 blob 2\tmm/vmscan.c\n"
            "100644 blob 3\tarch/x86/configs/tiny.config\n100644 blob 4\tscripts/Kconfig.include\n")

    def key(self, tree=TREE, text="CONFIG_SMP=y\n", *options):
        with tempfile.NamedTemporaryFile("w") as fragment:
            fragment.write(text)
            fragment.flush()
            return build.config_key(SimpleNamespace(git=lambda *args: tree), [fragment.name],
                                    options)

    def test_what_it_is_made_of(self):
        for blob in "134":
            with self.subTest(blob=blob):
                self.assertNotEqual(self.key(), self.key(self.TREE.replace(f"b {blob}", "b 9")))
        self.assertNotEqual(self.key(), self.key(self.TREE, "CONFIG_SMP=n\n"))
        self.assertNotEqual(self.key(), self.key(self.TREE, "CONFIG_SMP=y\n", "ARCH=arm64"))

    def test_code_is_not_of_it(self):
        self.assertEqual(self.key(), self.key(self.TREE.replace("b 2", "b 9")))


class Kernel(unittest.TestCase):
    TREE = ("040000 tree 1\tmm\n040000 tree 2\ttools\n040000 tree 3\tDocumentation\n"
            "100644 blob 4\tMakefile\n100644 blob 5\tMAINTAINERS\n")

    def key(self, tree=TREE, fragments=(os.devnull,)):
        return build.key(SimpleNamespace(git=lambda *args: tree), "0", fragments)

    def test_what_it_is_made_of(self):
        self.assertEqual(self.key(), self.key())
        for blob, same in ((1, False), (2, True), (3, True), (4, False), (5, True)):
            other = self.key(self.TREE.replace(f" {blob}\t", " 9\t"))
            self.assertEqual(self.key() == other, same, blob)
        self.assertNotEqual(self.key(), self.key(fragments=[build.fragment("x86_64")]))

    def test_fragments(self):
        """What a folder of objects is configured with is in driver/config/."""
        for fragment, with_points, _ in build.ARCHS.values():
            for each in filter(None, (fragment, with_points)):
                self.assertTrue(os.path.exists(build.fragment(each)), each)
        self.assertEqual(build.fragment("stress"), os.path.join(CONFIG, "stress.config"))

    def test_sync_points_are_asked_for_where_they_are(self):
        with tempfile.TemporaryDirectory() as src:
            base = mock.Mock(src=src)

            def names(arch, **how):
                return [os.path.relpath(path, src if path.startswith(src) else CONFIG)
                        for path in build.fragments_of(base, arch, **how)]
            self.assertEqual(names("x86_64"), ["x86_64.config"])
            for path in (*build.KUNITCONFIGS, build.SYNC_POINTS):
                os.makedirs(os.path.dirname(os.path.join(src, path)), exist_ok=True)
                open(os.path.join(src, path), "w").close()
            self.assertEqual(names("x86_64"), ["x86_64.config", *build.KUNITCONFIGS,
                                               "sync_points.config"])
            self.assertEqual(names("um"), ["uml.config", *build.KUNITCONFIGS])
            # To compare object code, they are to be off
            self.assertEqual(names("x86_64", kunitconfigs=build.KUNITCONFIGS[:1]),
                             ["x86_64.config", build.KUNITCONFIGS[0]])


class Compiler(unittest.TestCase):
    """An object that ccache has is taken only if all that went into it is the same."""

    def test_what_is_taken_in(self):
        compiler = build.COMPILER[0].removeprefix("CC=")
        with tempfile.TemporaryDirectory() as folder:
            def compiled(text, name):
                with open(os.path.join(folder, "taken"), "w") as taken:
                    taken.write(text)
                output([compiler, "-Wp,-MMD,o.d", "-D__KERNEL__", "-c", name, "-o", "o"],
                       cwd=folder, env={"PATH": build.ENV["PATH"],
                                        "CCACHE_DIR": folder + "/ccache"})
                with open(os.path.join(folder, "o"), "rb") as made:
                    return made.read()

            for name, line in (("piggy.S", '.incbin "taken"'), ("header.c", '#include "taken"')):
                with open(os.path.join(folder, name), "w") as source:
                    source.write(line + "\n")
                with self.subTest(name=name):
                    first = compiled("int a = 1;\n", name)
                    self.assertTrue(first == compiled("int a = 1;\n", name))
                    self.assertFalse(first == compiled("int a = 2;\n", name))


class Selftests(unittest.TestCase):
    def test_fixtures(self):
        self.assertIn("folio_orphan", build.fixtures("folio_orphan"))
        self.assertEqual(build.fixtures("folio_sched"), [])
