# SPDX-License-Identifier: GPL-2.0-only
"""What was built before is taken again only if it would be the same; what compilers say."""

import os
from types import SimpleNamespace
from unittest import mock

from driver.core.paths import CONFIG
from driver.core.process import output
from driver.kernel import build, compose, objects
from driver.kernel.compose import MM, SERIES, TCP
from driver.kernel.objects import code_difference, complaints
from driver.suites import matrix
from driver.suites.matrix import Row
from driver.tests.helpers import Case, counted, put

SAID = """\
  CC      mm/vmscan.o
In file included from mm/vmscan.c:12:
mm/vmscan.c:90:5: warning: unused variable 'x' [-Wunused-variable]
mm/folio.c:7:1: error: implicit declaration of function 'y'
mm/Kconfig:12:warning: type of 'Z' redefined from 'bool' to 'tristate'
WARNING: unmet direct dependencies detected for MIGRATION
ld: folio_race_actors.c:(.text+0x1f2): undefined reference to `do_madvise'
1 warning generated.
cc1: all warnings being treated as errors
"""


class Build(Case):
    FILES = ("100644 blob 1\tmm/Kconfig\n100644 blob 2\tmm/vmscan.c\n"
             "100644 blob 3\tarch/x86/configs/tiny.config\n100644 blob 4\tscripts/Kconfig.include\n"
             "100755 blob 5\tscripts/x.sh\n")
    FOLDERS = ("040000 tree 1\tmm\n040000 tree 2\ttools\n040000 tree 3\tDocumentation\n"
               "100644 blob 4\tMakefile\n100644 blob 5\tMAINTAINERS\n")
    CODE = ("x.o: file format\n0 <a>:\n 0: ret\n\n5 <b>:\n 5: call\n   6: R_X86_64_PLT32 c-0x4\n"
            "\nDisassembly of section .init.text:\n\n0 <c>:\n 0: ret\n")

    def config(self, text=FILES, setting="CONFIG_SMP=y\n", *options):
        fragment = os.path.join(self.folder({"x.config": setting}), "x.config")
        return build.config_key(mock.Mock(**{"git.return_value": text}), [fragment], options)

    def kernel(self, text=FOLDERS, fragments=(os.devnull,)):
        return build.key(mock.Mock(**{"git.return_value": text}), "0", fragments)

    def test_keys(self):
        """Whatever a configuration or a kernel is made of makes it another one."""
        for key, text, same in ((self.config, self.FILES, "2"), (self.kernel, self.FOLDERS, "235")):
            for number in "12345":
                other = key(text.replace(f" {number}\t", " 9\t"))
                self.assertEqual(key() == other, number in same, number)
        self.assertNotEqual(self.config(), self.config(self.FILES, "CONFIG_SMP=n\n"))
        self.assertNotEqual(self.config(), self.config(self.FILES, "CONFIG_SMP=y\n", "ARCH=arm64"))
        self.assertNotEqual(self.kernel(), self.kernel(fragments=[build.fragment("x86_64")]))

    def test_what_is_named_is_there(self):
        for fragment, with_points, _ in build.ARCHS.values():
            for each in filter(None, (fragment, with_points)):
                self.assertTrue(os.path.exists(build.fragment(each)), each)
        self.assertEqual(build.fragment("stress"), os.path.join(CONFIG, "stress.config"))
        self.assertIn("folio_orphan", build.fixtures("folio_orphan"))
        self.assertEqual(build.fixtures("folio_sched"), [])

    def test_lost(self):
        """The last fragment that names an option counts, also one that wants it off."""
        folder = self.folder({"a": "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n",
                              "b": "# CONFIG_A is not set\nCONFIG_N=3\n"})
        paths = [os.path.join(folder, name) for name in "ab"]
        for config, want in (("CONFIG_B=y\nCONFIG_N=3\n", []),
                             ("# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_N=3\n", []),
                             ("CONFIG_A=y\nCONFIG_C=y\nCONFIG_N=4\n",
                              [("# CONFIG_A is not set", "b"), ("CONFIG_B=y", "a"),
                               ("# CONFIG_C is not set", "a"), ("CONFIG_N=3", "b")])):
            self.assertEqual([(line, os.path.basename(path)) for line, path in
                              build.lost(config, paths)], want)

    def test_sync_points_are_asked_for_where_they_are(self):
        src = self.folder()
        base = mock.Mock(src=src)

        def names(arch, **how):
            return [os.path.relpath(path, src if path.startswith(src) else CONFIG)
                    for path in build.fragments_of(base, arch, **how)]
        self.assertEqual(names("x86_64"), ["x86_64.config"])
        put(src, dict.fromkeys((*build.KUNITCONFIGS, build.SYNC_POINTS), ""))
        self.assertEqual(names("x86_64"), ["x86_64.config", *build.KUNITCONFIGS,
                                           "sync_points.config"])
        self.assertEqual(names("um"), ["uml.config", *build.KUNITCONFIGS])
        # To compare object code, they are to be off
        self.assertEqual(names("x86_64", kunitconfigs=build.KUNITCONFIGS[:1]),
                         ["x86_64.config", build.KUNITCONFIGS[0]])

    def test_cache_of_objects(self):
        """An object that ccache has is taken only if all that went into it is the same."""
        compiler = build.COMPILER[0].removeprefix("CC=")
        folder = self.folder({"piggy.S": '.incbin "taken"\n', "header.c": '#include "taken"\n'})

        def compiled(text, name):
            put(folder, {"taken": text})
            output([compiler, "-Wp,-MMD,o.d", "-D__KERNEL__", "-c", name, "-o", "o"], cwd=folder,
                   env={"PATH": build.ENV["PATH"], "CCACHE_DIR": folder + "/ccache"})
            with open(os.path.join(folder, "o"), "rb") as made:
                return made.read()
        for name in ("piggy.S", "header.c"):
            first = compiled("int a = 1;\n", name)
            self.assertTrue(first == compiled("int a = 1;\n", name), name)
            self.assertFalse(first == compiled("int a = 2;\n", name), name)

    def test_complaints(self):
        for text in (SAID, SAID.replace(":90:5:", ":80:5:").replace("0x1f2", "0x2f2")):
            self.assertEqual(complaints(text.splitlines()), {
                "mm/vmscan.c: warning: unused variable 'x' [-Wunused-variable]",
                "mm/folio.c: error: implicit declaration of function 'y'",
                "mm/Kconfig:warning: type of 'Z' redefined from 'bool' to 'tristate'",
                "WARNING: unmet direct dependencies detected for MIGRATION",
                "ld: folio_race_actors.c: undefined reference to `do_madvise'"})

    def test_code(self):
        for old, new, name in (("x.o", "y.o", None), ("PLT32 c", "PLT32 d", "b"),
                               ("ret\n\n5", "nop\n\n5", "a"), ("0 <c>:\n 0: ret\n", "", "c"),
                               ("<b>", "<bb>", "b")):
            self.assertEqual(code_difference(self.CODE, self.CODE.replace(old, new)), name, new)
        self.assertEqual(list(objects.functions(self.CODE)), ["a", "b", "c"])
        one, same, other = (f"0 <a>:\n 0: jmp 54 <__UNIQUE_ID_addressable_{name}+0x4>\n"
                            for name in ("b_668", "b_669", "c_669"))
        self.assertEqual([code_difference(one, each) for each in (same, other)], [None, "a"])


def config(row, **changes):
    """The .config of a row, all of which took, but for changes."""
    have = {**row.wanted, **changes}
    return "".join(f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
                   for name, value in have.items()) + "CONFIG_CC_VERSION_TEXT=\"gcc SWAP=n\"\n"


class Rows(Case):
    def test_what_did_not_take(self):
        row = Row("", "SWAP=n KUNIT=m", refused="FOLIO_LRU_KUNIT_TEST")
        self.assertEqual(matrix.did_not_take(config(row), row), [])
        self.assertEqual(row.asked["FOLIO_LRU_KUNIT_TEST"], "y")
        for changes, words in (({"SWAP": "y"}, "^SWAP is y, .* as n: something selects it"),
                               ({"DEBUG_VM": "n"}, "^DEBUG_VM is n, .* as y: .* is not there"),
                               ({"KUNIT": "y"}, "^KUNIT is y, was asked for as m"),
                               ({"FOLIO_LRU_KUNIT_TEST": "y"}, "a dependency is missing"),
                               ({"FOLIO_LRU_KUNIT_TEST": "m"}, "a dependency is missing")):
            [wrong] = matrix.did_not_take(config(row, **changes), row)
            self.assertRegex(wrong, words, changes)
        # Not in the .config at all
        self.assertEqual(len(matrix.did_not_take("", row)),
                         sum(value != "n" for value in row.wanted.values()))

    def test_rows(self):
        files = matrix.touched()
        for name, row in matrix.ROWS.items():
            self.assertLessEqual(set(row.left_out), set(files), name)
            self.assertLessEqual(set(row.refused), set(row.asked), name)
        self.assertIn("mm/vmscan.c", files)
        self.assertFalse([path for path in files if path.startswith("tools/")])
        self.assertEqual(len(files), len(set(files)))
        self.assertLess(len(matrix.touched([MM])), len(files))
        paths = ["mm/a.c", "net/ipv4/tcp.c", "lib/tests/b.c"]
        for row, want in ((Row("", whole=True), ["mm/", "lib/tests/", "net/ipv4/tcp.o"]),
                          (Row("", left_out="mm/a.c"), ["net/ipv4/tcp.o", "lib/tests/b.o"])):
            self.assertEqual(matrix.goals(row, paths), want)

    def test_complaints(self):
        """Those that stock has are not counted."""
        said = complaints(SAID.splitlines())
        stock = complaints(SAID.replace(":90:5:", ":80:5:").splitlines())
        self.assertEqual(matrix.news(said, stock), ([], 5))
        new = "mm/gup.c: warning: z"
        self.assertEqual(matrix.news(said | {new}, stock), ([new], 5))
        text = ("Please check for false positives\n/usr/bin/spatch -D report x.cocci\n"
                "./mm/vmscan.c:785:1-7: preceding lock on line 697\n")
        self.assertEqual(matrix.cocci_reports("/x/mini_lock.cocci", text),
                         {"mini_lock.cocci: mm/vmscan.c: preceding lock on line"})

    def row(self, tree, stock=(set(), True), absent=()):
        """The failures of a row, where (complaints, was make content) is said of a tree."""
        row, paths = Row(""), ["mm/vmscan.c", "mm/folio.c"]
        said = {"tree": tree, "stock": stock}
        context = counted(commit={"all": "tree", "stock": "stock"})
        files = SimpleNamespace(path=SimpleNamespace(
            exists=lambda path: path[:-1] + "c" not in absent, join=os.path.join))
        self.patch(matrix, ROWS={"r": row}, os=files, touched=lambda release: paths,
                   compiled=lambda base, commit, *rest:
                   (config(row), said[commit][1], said[commit][0]))
        self.patch(Row, objects=lambda self, base: "")
        matrix.one_row(context, "r")
        tally = context.tally
        self.assertEqual(set(tally.reruns), {"./run matrix r"} if tally.failed else set())
        return "; ".join(tally.failed)

    def test_row(self):
        new, old = {"mm/folio.c: warning: new"}, {"mm/gup.c: error: old"}
        for words, *what in (("", (set(), True)),
                             ("r: mm/folio.c: warning: new", (new, True)),
                             ("", (old, False), (old, False)),
                             ("new", (old | new, False), (old, False)),
                             ("", (old, True), (old, True)),
                             ("make failed", (set(), False)),
                             ("make failed", (old, False), (old, True)),
                             ("folio.c was not compiled", (set(), True), None, {"mm/folio.c"})):
            found = self.row(*what)
            self.assertEqual(bool(found), bool(words), (what, found))
            self.assertIn(words, found)

    def patches(self, said_after):
        """The failures of each patch of each series, the second of which makes make say this."""
        context, made = counted(commit=mock.MagicMock(chain=lambda which, onto: [
            (patch, patch.slug) for patch in compose.patches(which)])), []

        def make(*args):
            made.append(args)
            return True, said_after if len(made) == 2 else set()
        self.patch(matrix, "remove_objects", compiled=lambda *args: ("", True, set()), make=make,
                   configure=lambda *args: ("", set()))
        self.patch(Row, objects=lambda self, base: "")
        matrix.every_patch(context)
        count = sum(len(compose.patches(which)) for which in (*SERIES, TCP))
        self.assertEqual((len(made), context.tally.passed + len(context.tally.failed)),
                         (count, count))
        return "; ".join(context.tally.failed)

    def test_every_patch(self):
        self.assertEqual(self.patches(set()), "")
        second = compose.patches(MM)[1]
        self.assertEqual(self.patches({"mm/vmscan.c: warning: new"}),
                         f"matrix patches, {second.dir}: mm/vmscan.c: warning: new")
