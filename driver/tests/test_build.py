# SPDX-License-Identifier: GPL-2.0-only
"""What was built before is taken again only if it would come out the same; what compilers say."""

import os
from unittest import mock

from driver.core.paths import CONFIG
from driver.core.process import output
from driver.kernel import build, objects
from driver.kernel.objects import code_difference, complaints
from driver.tests.helpers import Case, put

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
            with self.subTest(new=new):
                self.assertEqual(code_difference(self.CODE, self.CODE.replace(old, new)), name)
        self.assertEqual(list(objects.functions(self.CODE)), ["a", "b", "c"])
        one, same, other = (f"0 <a>:\n 0: jmp 54 <__UNIQUE_ID_addressable_{name}+0x4>\n"
                            for name in ("b_668", "b_669", "c_669"))
        self.assertEqual([code_difference(one, each) for each in (same, other)], [None, "a"])
