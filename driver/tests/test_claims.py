# SPDX-License-Identifier: GPL-2.0-only
"""The record of claims: mistakes in it are found, and what was seen of a claim is shown."""

from dataclasses import replace

from driver.commands import claims as command
from driver.core.tally import Tally
from driver.story.model import Scenario
from driver.suites import claims, record
from driver.suites.explorer import Found
from driver.suites.record import Run
from driver.tests.helpers import Case, counted, parsed

ABOUT = """[claim.x]
link = "l"
date = 2026-11-28
role = "fix"
ended = "merged"
title = "t"
kernels = "k"
steps = "s"
"""


class Record(Case):
    def load(self, text):
        return record.load(self.folder({"claims.toml": text}))

    def test_good(self):
        runs = 'runs = ["set FT"]\nstock = "refuted"\npatched = "reproduced: y"\n'
        claim = self.load(ABOUT + runs)["x"]
        self.assertEqual((claim.runs, claim.scenario), ([Run("set", "FT")], False))
        self.assertEqual(claim.verdicts, {"stock": "refuted", "patched": "reproduced: y"})
        self.assertEqual(self.load(ABOUT + 'missing = "a verb"\n')["x"].runs, [])

    def test_mistakes(self):
        runs = 'runs = ["set FT"]\nstock = "refuted"\npatched = "refuted"\n'
        for said, text in (
                ("x has no verdict for stock: a word of reproduced, refuted", ABOUT),
                ("has no verdict for patched", ABOUT + runs.replace('patched = "refuted"', "")),
                ("has no verdict for stock", ABOUT + runs.replace('"refuted"', '"fine"')),
                ("x is run by 'sets FT': a word of scenario,", ABOUT + runs.replace("set", "sets")),
                ("x is run by 'set': a word", ABOUT + runs.replace("set FT", "set")),
                ("x neither has a run nor says", ABOUT + "runs = []"),
                *((f"x has no '{word}', and no scenario",
                   (ABOUT + runs).replace(f'{word} = "{word[0]}"\n', ""))
                  for word in ("title", "kernels", "steps")),
                ("x has no source, and no 'ended'", (ABOUT + runs).replace('"merged"', '""')),
                ("x has no source of these: a",
                 f'[source.a]\n{ABOUT}source = "b"\n{runs}')):
            self.assertFail(said, self.load, text)

    def test_ident(self):
        self.assertEqual([record.ident(name) for name in ("F.6", "f.6")], ["F.6"] * 2)
        self.assertFail("^there is no claim 'F.7'; the nearest are F.[0-9], F.[0-9], [^ ]+ "
                        r"\(./run claims lists all\)$", record.ident, "F.7")
        self.assertFail("the nearest are map-isize,", record.ident, "map-size")


class Problems(Case):
    """Each kind of fault that the record can have is named."""

    def said(self, change):
        known, unclaimed = record.load(), record.unclaimed()
        change(known, unclaimed)
        return "\n".join(claims.problems(known, unclaimed))

    def test_none(self):
        self.assertEqual(self.said(lambda known, unclaimed: None), "")
        tally = counted().tally
        self.patch(claims, problems=lambda: iter(["it is wrong"]))
        context = counted()
        claims.check(context)
        self.assertEqual(context.tally.failed, ["driver/expected/claims.toml: it is wrong"])
        self.assertEqual(context.tally.reruns, ["./run test claims"])
        self.assertEqual(context.tally.passed, len(record.load()) - 1)
        self.assertIsInstance(tally, Tally)

    def test_left_out(self):
        for said, name in (("scenario B belongs to no claim", "B"),
                           ("schedule sendfile.sched belongs to no", "tcp-zerocopy"),
                           ("set TMZ belongs to no claim", "F.6"),
                           ("set FTMBKPR belongs to no claim", "F"),
                           ("set FTKR belongs to no claim", "K")):
            self.assertIn(said, self.said(lambda known, _, name=name: known.pop(name)))
        self.assertIn("schedule invalidate.sched belongs to no claim",
                      self.said(lambda _, unclaimed: unclaimed.clear()))

    def test_what_there_is_not(self):
        for said, run in (("F: there is no scenario Q", Run("scenario", "Q")),
                          ("F: there is no schedule q.sched", Run("schedule", "q.sched")),
                          ("F: there is no actor 'J' for 'FJ'", Run("set", "FJ")),
                          ("F: there is no option 'q'", Run("set", "FT/q")),
                          ("F: there is no mutant lab-q", Run("mutant", "lab-q")),
                          ("F: there is no fix lab-q", Run("fix", "lab-q")),
                          ("F: there is no command claim F", Run("command", "claim F"))):
            self.assertIn(said, self.said(lambda known, _, run=run: known["F"].runs.append(run)))
            self.assertIn(said, self.said(lambda known, _, run=run: known["F"].also.append(run)))
            self.assertIn(said.replace("F:", "unclaimed:", 1), self.said(
                lambda _, unclaimed, run=run: unclaimed.update({run: "why"})))

    def test_unclaimed(self):
        file = Run("schedule", "invalidate.sched")
        self.assertIn("invalidate.sched is 'unclaimed' without a reason",
                      self.said(lambda _, unclaimed: unclaimed.update({file: ""})))
        self.assertIn("invalidate.sched is 'unclaimed', and belongs to a claim",
                      self.said(lambda known, _: known["B"].also.append(file)))

    def test_contradictions(self):
        for name, column, run in (("F.6", "stock", "set TMZ"), ("F.6", "patched", "set TMZ"),
                                  ("tcp-zerocopy", "stock", "schedule sendfile.sched"),
                                  ("shmem-truncate-loop", "patched", "schedule swapped.sched")):
            def change(known, _, name=name, column=column):
                other = "refuted" if known[name].verdicts[column][:4] == "repr" else "reproduced"
                known[name].verdicts[column] = f"{other}: x"
            self.assertRegex(self.said(change),
                             f"^{name} on {column} is to be '[^']*', and what .*{run}.* otherwise$")


class Shown(Case):
    def test_list(self):
        self.assertEqual(command.at_once(parsed("claims")), 0)
        text, known = self.printed(), record.load()
        for name, claim in known.items():
            self.assertRegex(text, rf"(?m)^{name} +{claim.source['date']} .*\n    "
                             rf".*\n    .*{claim.source['ended'][:20]}")
        self.assertRegex(text, rf"\n{len(known)} claims, \d+ run;")
        self.assertEqual(command.at_once(parsed("claims", "--list", "-v", "F.6")), 0)
        text = self.printed()
        self.assertIn("source: this project, by reading: Documentation/", text)
        self.assertIn("without its guard: ", text)
        self.assertNotIn("claims, 1 run", text)
        self.assertIs(command.at_once(parsed("claims", "F")), False)
        self.assertFail("--all goes without IDs", command.at_once, parsed("claims", "--all", "F"))

    def test_run(self):
        """Each run of a claim is shown with what came of it; what can't be run is counted."""
        ran, told = [], {"stock": {"F.6": Scenario("F.6", outcome="reproduced", reason="x")}}
        found = {"a.b.tmpfs.small": Scenario("a", outcome="differs", reason="y"),
                 "a.b.ramfs.small": Scenario("a", outcome="skipped", skipped=True)}
        self.patch(claims.scenarios, on=lambda context, column, *more: told.get(column, {}),
                   write_page=lambda context, columns: ran.append(sorted(columns["stock"])))
        self.patch(claims.explorer, standard=lambda context, sets: [
            ("stock", Found(name, check="free", schedule=7)) for name in sets])
        self.patch(claims.schedule_files,
                   follow=lambda context, path, columns: {"stock": found, "patched": {}},
                   repeat=lambda context, path, column, times: ran.append(f"{times} {column}"))
        known = record.load()
        six = replace(known["F.6"], runs=[*known["F.6"].runs, Run("command", "kunit --on qemu")])
        gone = replace(known["B"], runs=[], missing="a verb")
        context = counted()
        claims.run(context, [six, gone], 3, ran.append, ran.append)
        said = self.printed()
        for line in (r"F.6 +scenario F.6 +reproduced: x  +did not run\n",
                     r" +schedule orphan.sched +differs: y\n",
                     r" +set TMZ +violated: free at schedule 7\n",
                     r" +mutant lab-isolate-takes-orphans\s"):
            self.assertRegex(said, line)
        self.assertIn("not run: B: a verb", said)
        self.assertEqual(context.tally.skipped, 1)
        self.assertEqual(ran, ["3 stock", "3 patched", ["lab-isolate-takes-orphans"],
                               ["kunit", "--on", "qemu"],
                               ["F.6", "a.b.ramfs.small", "a.b.tmpfs.small"]])

    def test_fix(self):
        """With a fix put in, what it names has to pass."""
        claim = replace(record.load()["B"], runs=[Run("fix", "lab-shmem-passes-boundary")])
        check = "swapped.truncate.tmpfs.large"
        self.patch(claims.build, kernel=lambda *words: "image", selftests=lambda *words: "tests")
        self.patch(claims.mutant, fixed=lambda *words: "commit")
        self.patch(claims.schedule_files.qemu, initramfs=lambda *words, **named: "initrd")
        for failed, results in ((0, {check: "pass"}), (1, {check: "fail"}), (1, {})):
            def boot(context, image, initrd, log, append, what, results=results):
                self.assertIn("guest.args=swapped.sched guest.swap", append)
                return results, {}
            self.patch(claims.selftests, boot=boot)
            context = counted()
            seen = claims.put_in(context, [claim])
            self.assertEqual(len(context.tally.failed), failed)
            self.assertEqual(seen, {claim.runs[0]: {
                claims.CHANGED: f"{check} is {results.get(check, 'missing')}"}})
        context = counted(newest=False)
        self.assertEqual(claims.put_in(context, [claim]), {})
        self.assertEqual(context.tally.skipped, 1)
        claim = replace(claim, runs=[Run("fix", "lab-folio-wait-takes-lock")])
        check = "wakeup.lost.ramfs.small"
        self.patch(claims.selftests, boot=lambda *words, **named: ({check: "pass"}, {}))
        self.patch(claims.explorer, place=lambda *words: claims.explorer.UML_SMP)
        for failed, found in ((0, Found("TUYQ", done=True)), (1, Found("TUYQ"))):
            self.patch(claims.explorer, explored=lambda *words, found=found: found)
            context = counted()
            claims.put_in(context, [claim])
            self.assertEqual(len(context.tally.failed), failed)
