# SPDX-License-Identifier: GPL-2.0-only
"""README and what it leads to: commands are real, outputs were seen, links lead somewhere."""

import glob
import importlib
import itertools
import os
import re
import shlex
import textwrap

from driver import cli
from driver.commands import test as test_command
from driver.core.paths import ROOT, read
from driver.core.stage import Fail
from driver.kernel.source import RELEASES
from driver.story import model
from driver.suites import guards, picture, results, scenarios
from driver.tests.consoles import CONSOLE, told
from driver.tests.helpers import Case, counted, failures_of, parsed

DOCUMENTS = sorted(["README.md", "CONTRIBUTING.md",
                    *glob.glob("doc/*.md", root_dir=ROOT)])
LINES, COLUMNS = 120, 100       # of README
# What stands for something in a command, and what may be there
STANDS_FOR = {"<ID>": "F", "<name>": "lab-map-skips-reload", "<SET>": "FTM", "{}": "0",
              "my.sched": "tools/testing/selftests/mm/schedules/report.sched",
              "COMMAND": "test", "STEP": "lint"}
COMMAND = r"(?:[A-Z]+=\S+ )*\./run\b[^|`]*"


def text_of(path):
    return read(os.path.join(ROOT, path))


def code(text):
    """The lines of code blocks, without comments; what a '\\' continues is one line."""
    lines = re.sub(r"(?ms)^```diff\n.*?^```$", "", text).splitlines()
    return "\n".join(re.sub(r"(^|\s+)#.*", "", line[4:]) for line in lines
                     if line.startswith("    ")).replace("\\\n", " ").splitlines()


def commands(text):
    """All commands of ./run in a document, in code blocks and in backticks."""
    prose = re.sub(r"(?m)^    .*", "", text)
    for line in code(text):
        inner = re.search(r"\$\((.*?)\)", line)
        for part in [*line.split("|"), *([inner[1]] if inner else [])]:
            if re.match(rf"\s*{COMMAND}", part):
                yield part.strip()
    for match in re.finditer(rf"`({COMMAND})`", prose):
        yield " ".join(match[1].split())


def mistake(command):
    """What is wrong with a command, or nothing."""
    for words, real in STANDS_FOR.items():
        command = command.replace(words, real)
    words = shlex.split(command)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        known = {"BASE": RELEASES, "ACCEL": ("tcg", "kvm"), "KDIR": (value,)}
        if value not in known.get(name, ()):
            return f"{name}={value}"
    try:
        args = parsed(*words[1:])
    except SystemExit as end:
        return "no help" if end.code else ""
    except Fail as failure:
        return str(failure)
    steps = {step.name for step in test_command.plan()}
    unknown = set(getattr(args, "steps", ())) - steps if words[1:2] == ["test"] else ()
    return f"no step {', '.join(unknown)}" if unknown else ""


def slug(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def in_order(case, lines, whole, where):
    """The lines are lines of the whole, in its order."""
    rest = iter(whole)
    for line in lines:
        case.assertTrue(any(line == other for other in rest), f"{where}: {line}")


def kernel_files():
    """The files of the kernel that the series changes."""
    diffs = glob.glob("series/**/edits.diff", root_dir=ROOT, recursive=True)
    return {name for path in diffs for name in re.findall(r"^\+\+\+ b/(\S+)", text_of(path), re.M)}


class Documents(Case):
    def test_readme_is_short(self):
        lines = text_of("README.md").splitlines()
        self.assertLessEqual(len(lines), LINES)
        self.assertLessEqual(max(map(len, lines)), COLUMNS, max(lines, key=len))

    def test_commands(self):
        for path in DOCUMENTS:
            found = list(commands(text_of(path)))
            for command in found:
                with self.subTest(path=path, command=command):
                    self.assertEqual(mistake(command), "")
            if path in ("README.md", "CONTRIBUTING.md", "doc/driver.md"):
                self.assertGreater(len(found), 5, path)
        named = " ".join(commands(text_of("doc/driver.md") + text_of("CONTRIBUTING.md")))
        for name in cli.COMMANDS:
            self.assertIn(f"./run {name}", named)

    def test_a_mistake_would_be_found(self):
        text = ("Say `./run nothing` or\n\n    BASE=5.4 ./run kunit   # old\n"
                "    ./run test no-step | ./run explore --sun\n"
                "    seq 1 | x \"$(./run explore --shard 3/2)\"\n    ./run replay F   # fine\n")
        found = [mistake(command) for command in commands(text)]
        for said, pattern in zip(found, ("BASE=5.4", "no step", "--sun", "shard", "^$",
                                         "invalid choice: 'nothing'")):
            self.assertRegex(said, pattern)
        self.assertEqual(len(found), 6)

    def test_other_commands(self):
        """What is given to git, make and kunit.py is there."""
        for path in DOCUMENTS:
            text = text_of(path)
            for name in re.findall(r"<here>/(\S+?)['\s]", text):
                self.assertTrue(glob.glob(name, root_dir=ROOT), f"{path}: {name}")
            for name in re.findall(r"--kunitconfig=([\w./]+\w)", text):
                self.assertTrue(any(os.path.isfile(os.path.join(ROOT, name, *more))
                                    for more in ((), (".kunitconfig",))), f"{path}: {name}")
            for name in re.findall(r"python3 -m (driver\S+\w)", text):
                importlib.import_module(name)
            for name in re.findall(r"run_vmtests\.sh (?:-d )?-t (\w+)", text):
                diffs = glob.glob("series/*/*/edits.diff", root_dir=ROOT)
                self.assertTrue(any(f'CATEGORY="{name}"' in text_of(diff) for diff in diffs),
                                f"{path}: {name}")

    def test_links(self):
        for path in DOCUMENTS:
            text = text_of(path)
            folder = os.path.dirname(os.path.join(ROOT, path))
            for name in set(re.findall(r"\[[^]]*\]\[(\d+)\]", text)):
                self.assertRegex(text, rf"(?m)^\[{name}\]: https://")
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if target.startswith("https://"):
                    continue
                name, _, anchor = target.partition("#")
                there = os.path.join(folder, name) if name else os.path.join(ROOT, path)
                self.assertTrue(os.path.exists(there), f"{path}: {target}")
                if anchor:
                    slugs = {slug(head) for head in re.findall(r"^#+ (.*)", read(there), re.M)}
                    self.assertIn(anchor, slugs, path)

    def test_files(self):
        """Each file that is named is one of the project, or one that the series changes."""
        tops = [name for name in os.listdir(ROOT) if os.path.isdir(os.path.join(ROOT, name))]
        kernel, ours = kernel_files(), set()
        for top in tops:
            if top not in ("out", ".git"):
                ours.update(name for _, _, names in os.walk(os.path.join(ROOT, top))
                            for name in names)
        ours.update(os.path.basename(name) for name in kernel)
        for path in DOCUMENTS:
            for name in re.findall(r"`([\w./*+<>-]+)`", text_of(path)):
                top = name.split("/")[0]
                if "/" in name and top in tops and top != "out" and name not in kernel:
                    pattern = re.sub("<.*?>", "*", name.replace("NN", "[0-9][0-9]"))
                    self.assertTrue(glob.glob(pattern, root_dir=ROOT), f"{path}: {name}")
                elif re.fullmatch(r"\w+\.(c|h|rst|sh|toml|diff)", name):
                    self.assertIn(name, ours, path)


class Shown(Case):
    """What README shows is what was seen."""

    def test_generated(self):
        for path, text in ((results.README, results.short()), (results.RESULTS, results.tables())):
            self.assertTrue(f"{results.BEGIN}\n{text}\n{results.END}" in read(path),
                            f"{path}: write it with python3 -m driver.suites.results")
        self.assertEqual(len(results.SHORT), 10)
        for row in results.real_fixes().splitlines()[2:]:
            self.assertNotIn("|  |", row)
        self.assertTrue(read(results.MATRIX) == results.matrix(), results.MATRIX)
        self.assertIn(f"]({os.path.basename(results.MATRIX)})", read(results.RESULTS))

    def test_matrix(self):
        known = list(guards.explored_ones())[:2]
        self.patch(results, FOLDER=self.folder())
        results.keep(counted().base, "guards", {"": dict(zip(known, (
            "FT 7 pte, TB 1 dies", f"redundant with `{known[0]}`, the pair: FT, FTM")))})
        text = results.matrix()
        for words, count in (("7 pte", 1), ("1 dies", 1), ("pair", 2), ('class="inverse"', 2)):
            self.assertEqual(text.count(f">{words}<" if words[0] != "c" else words), count, words)

    def test_picture(self):
        self.assertTrue(read(picture.PICTURE) == picture.drawn(),
                        "draw it with: python3 -m driver.suites.results")
        self.assertIn(f"]({os.path.relpath(picture.PICTURE, ROOT)})", text_of("README.md"))
        _, story = picture.kept()
        claim = scenarios.claims()[picture.CLAIM]
        self.assertEqual({model.verdict(story)}, set(claim.verdicts.values()))

    def test_picture_of_another_run(self):
        _, story = picture.kept()
        other = model.parse(CONSOLE)["F"]
        self.assertEqual(failures_of(picture.is_current, "here", story), [])
        self.assertRegex("; ".join(failures_of(picture.is_current, "here", other)),
                         "^here: the picture in README .*; ./run results report draws it")

    def test_picture_is_kept(self):
        folder = self.folder()
        self.patch(picture, STORY=os.path.join(folder, "s"), PICTURE=os.path.join(folder, "p"))
        picture.keep(told("A", "refuted|x") + CONSOLE + told("L", "refuted|x"), "7.3.9")
        version, story = picture.kept()
        self.assertEqual((version, model.timeline(story)),
                         ("7.3.9", model.timeline(model.parse(CONSOLE)["F"])))
        picture.draw()
        self.assertIn("replayed on Linux 7.3.9", read(picture.PICTURE))
        self.assertFail("no whole story of F", picture.keep, told("A", "refuted|x"), "7.3.9")

    def test_replay(self):
        _, story = picture.kept()
        both = dict.fromkeys(scenarios.KERNELS, {picture.CLAIM: story})
        shown = [line[4:] for line in text_of("README.md").splitlines()
                 if re.match(r"    (step |\d|stock|patched)", line)]
        self.assertGreater(len(shown), 5)
        in_order(self, shown, scenarios.steps(both, picture.CLAIM).splitlines(), "README.md")

    def test_change(self):
        [block] = re.findall(r"(?ms)^```diff\n(.*?)^```$", text_of("README.md"))
        [path] = glob.glob("series/mm/01-*/edits.diff", root_dir=ROOT)
        in_order(self, block.splitlines(), text_of(path).splitlines(), "README.md")

    def test_costs(self):
        cover = " ".join(text_of("series/mm/cover").split())
        [paragraph] = re.findall(r"(?ms)^\*\*Cost.*?\n\n", text_of("README.md"))
        pairs = re.findall(r"(\d+)\s->\s(\d+)", paragraph)
        self.assertGreater(len(pairs), 2)
        for stock, patched in pairs:
            self.assertIn(f" {stock} {patched} ", cover)
        lock_first = re.search(r"takes (\d+)", paragraph)[1]
        self.assertIn(f" {lock_first} ", cover)

    def test_schedule(self):
        def words(text):
            return [re.sub(r"\s*#.*", "", " ".join(line.split())) for line in text.splitlines()]
        sample = textwrap.dedent("".join(itertools.takewhile(
            lambda line: line.startswith("    ") or not line.strip(),
            text_of("doc/schedules.md").partition("has to wait.\n\n")[2].splitlines(True))))
        whole = words(text_of("tools/testing/selftests/mm/schedules/hole.sched"))
        in_order(self, filter(None, words(sample)), whole, "doc/schedules.md")
        self.assertIn("permutation removed", sample)

    def test_commands_of_sessions(self):
        source = "".join(map(text_of, glob.glob("tools/testing/selftests/mm/folio_sched*.c",
                                                root_dir=ROOT)))
        verbs = re.findall(r'\{ "(\w+)", \w+_OBJECT, \d, "', source)
        self.assertGreater(len(verbs), 10)
        told = "\n".join(line for line in text_of("doc/schedules.md").splitlines()
                         if line.startswith("| `"))
        self.assertEqual(set(verbs),
                         {verb for first in re.findall(r"(?m)^\| (.*?) \|", told)
                          for verb in re.findall(r"`(\w+)", first)})
