# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel prints of a replay must arrive in the tables and on the page."""

import re
import unittest
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import replay
from stage import Fail

CONSOLE = """\
[    0.912345] KTAP version 1
[    1.000001] folio_race: begin F|filemap_map_pages() <preempted> & held (the report)
[    1.000002] folio_race: actor B|bad|truncates the whole file
[    1.000003][   T12] folio_race: actor F|filemap|faults next to the folio: fault-around
folio_race: event 0|B|stop|ENTRY_LOADED|refs=1 mapcount=0 lru=1 locked=0 cached=1 listed=1|0
[    1.000004] systemd[1]: something else
  folio_race: event 1|F|wait|PTL|refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1|4.1
folio_race: event 2|B|pass|UNLOCKED|refs=2 mapcount=0 lru=1 locked=0 cached=0 listed=1|-
folio_race: event 3|F|end|END|refs=0 mapcount=0 lru=1 locked=0 cached=0 listed=1|5
folio_race: step 0|B|ENTRY_LOADED|-|refs=1 mapcount=0 lru=1 locked=0 cached=1|ok|loads it
folio_race: step 4.1|F|wait|locked=1|refs=2 mapcount=0 lru=1 locked=1 cached=1|ok|locks | it
folio_race: step 5|F|END|refs=2 mapcount=1 lru=1|refs=0 mapcount=0 lru=1 locked=0 cached=0|differs|\
sets up a <PTE>
folio_race: step 6|B|END|refs=1|-|missing|frees it
folio_race: verdict refuted|the entry is gone: xas_reload()
folio_race: end F|100
ok 1 folio_race
"""
SKIP = "folio_race: skip K|kswapd isn't there\n"
NEXT = """\
folio_race: begin P|the second mail
folio_race: actor Z|zap|zaps the PTEs
folio_race: event 0|Z|wait|PTL|refs=1 mapcount=1 lru=1 locked=0 cached=1 listed=1|1
folio_race: verdict infeasible|the order needs the PTL twice
folio_race: end P|1
"""


def without(console, *words):
    """A console less the lines that have one of the words."""
    return "".join(line for line in console.splitlines(keepends=True)
                   if not any(word in line for word in words))


PATCHED = without(CONSOLE, "step 6|").replace("refs=0 mapcount=0", "refs=2 mapcount=1")


class Parse(unittest.TestCase):
    def test_whole(self):
        scenario = replay.parse(CONSOLE)["F"]
        self.assertEqual(scenario.title, "filemap_map_pages() <preempted> & held (the report)")
        self.assertEqual(scenario.actors["F"].name, "filemap")
        self.assertEqual([event.kind for event in scenario.events],
                         ["stop", "wait", "pass", "end"])
        self.assertEqual(scenario.events[1].where, "PTL")
        self.assertEqual(scenario.events[3].state,
                         {"refs": 0, "mapcount": 0, "lru": 1, "locked": 0, "cached": 0, "listed": 1})
        self.assertEqual([step.label for step in scenario.steps], ["0", "4.1", "5", "6"])
        self.assertEqual(scenario.steps[1].text, "locks | it")
        self.assertIsNone(scenario.steps[0].claimed)
        self.assertIsNone(scenario.steps[3].seen)
        self.assertEqual((scenario.outcome, scenario.reason, scenario.runs, scenario.skipped),
                         ("refuted", "the entry is gone: xas_reload()", 100, False))

    def test_serial_console(self):
        self.assertEqual(replay.parse(CONSOLE.replace("\n", "\r\n")), replay.parse(CONSOLE))

    def test_order_and_skip(self):
        scenarios = replay.parse(NEXT + SKIP + CONSOLE)
        self.assertEqual(list(scenarios), ["P", "K", "F"])
        self.assertTrue(scenarios["K"].skipped)
        self.assertEqual(scenarios["K"].reason, "kswapd isn't there")

    def test_remark(self):
        remark = "folio_race: kswapd scanned 9 pages\n"
        self.assertEqual(replay.parse(CONSOLE.replace("folio_race: step 0", remark
                                                      + "folio_race: step 0")),
                         replay.parse(CONSOLE))

    def test_nothing(self):
        self.assertEqual(replay.parse("[ 1.0] ok 1 another\n"), {})

    def test_last_one_wins(self):
        scenario = replay.parse(CONSOLE + CONSOLE.replace("refuted", "contradicted"))["F"]
        self.assertEqual(scenario.outcome, "contradicted")
        self.assertEqual(len(scenario.events), 4)

    def test_died_halfway(self):
        for end in ("event 2", "step 0", "step 5", "verdict"):
            with self.subTest(end=end):
                scenario = replay.parse(SKIP + CONSOLE[:CONSOLE.index(end) + 5])["F"]
                self.assertEqual(scenario.outcome, "unfinished")
                self.assertGreaterEqual(len(scenario.events), 2)

    def test_died_and_booted_again(self):
        scenarios = replay.parse(CONSOLE[:CONSOLE.index("folio_race: step 0")] + NEXT)
        self.assertEqual([scenario.outcome for scenario in scenarios.values()],
                         ["unfinished", "infeasible"])

    def test_died_after_the_verdict(self):
        scenario = replay.parse(without(CONSOLE, "end F"))["F"]
        self.assertEqual((scenario.outcome, scenario.runs), ("refuted", 0))

    def test_malformed(self):
        for good, bad in (("stop|ENTRY", "halt|ENTRY"), ("0|B|stop", "0|X|stop"),
                          ("event 2", "event 3"), ("event 2", "event two"),
                          ("|pass|UNLOCKED", "|pass"), ("refs=1 mapcount=0 lru=1 ", "refs=1 "),
                          (" listed=1|0", "|0"),
                          ("locked=1|refs", "dirty=1|refs"), ("locked=1|refs", "locked=|refs"),
                          ("|missing|", "|lost|"), ("verdict refuted", "verdict fine"),
                          ("verdict refuted|", "verdict refuted"), ("end F|100", "end G|100"),
                          ("end F|100", "end F"), ("begin F|", "begin F F|"),
                          ("begin F|", "began F|")):
            with self.subTest(bad=bad):
                console = CONSOLE.replace(good, bad, 1)
                self.assertNotEqual(console, CONSOLE)
                with self.assertRaisesRegex(Fail, r"line \d+ .* malformed .*folio_race: ") as fail:
                    replay.parse(console)
                self.assertIn(bad.split("|")[0], str(fail.exception))

    def test_end_without_a_verdict(self):
        with self.assertRaisesRegex(Fail, "line 14 .* no verdict"):
            replay.parse(without(CONSOLE, "verdict"))

    def test_line_outside(self):
        with self.assertRaisesRegex(Fail, "no scenario has begun"):
            replay.parse(CONSOLE + "folio_race: verdict refuted|again\n")


class Tables(unittest.TestCase):
    def setUp(self):
        self.stock, self.patched = replay.parse(CONSOLE), replay.parse(PATCHED)

    def rows(self, text):
        return {line.split()[0]: re.split(r"  +", line) for line in text.splitlines()}

    def test_steps(self):
        text = replay.step_table({"stock": self.stock["F"], "patched": self.patched["F"]})
        rows = self.rows(text)
        self.assertEqual(rows["step"], ["step", "actor", "until", "claimed", "stock", "patched"])
        self.assertEqual(rows["0"][1:], ["bad", "ENTRY_LOADED", "-", "1r 0m L-C", "1r 0m L-C"])
        self.assertEqual(rows["4.1"][1:], ["filemap", "wait", ".r .m .K.", "2r 0m LKC",
                                           "2r 0m LKC"])
        self.assertEqual(rows["5"][3:], ["2r 1m L..", "0r 0m L-- *!", "2r 1m L--", "!"])
        self.assertEqual(rows["6"][3:], ["1r .m ...", "-", "-"])
        self.assertIn("stock: as the answer said; 100 identical runs; the entry is gone", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 110)

    def test_step_in_one_column_only(self):
        steps = replay.merge({"patched": self.patched["F"], "stock": self.stock["F"]})
        self.assertEqual([sorted(step) for step in steps],
                         [["patched", "stock"]] * 3 + [["stock"]])
        self.patched["F"].steps.pop(1)
        steps = replay.merge({"patched": self.patched["F"], "stock": self.stock["F"]})
        self.assertEqual([next(iter(step.values())).label for step in steps],
                         ["0", "4.1", "5", "6"])

    def test_no_steps(self):
        text = replay.step_table({"stock": replay.parse(SKIP)["K"]})
        self.assertEqual(text, "stock: skipped; kswapd isn't there\n")

    def test_verdicts(self):
        stock = replay.parse(CONSOLE.replace("refuted", "contradicted") + NEXT + SKIP)
        patched = replay.parse(NEXT + PATCHED[:PATCHED.index("folio_race: step")])
        text = replay.verdict_table({"stock": stock, "patched": patched})
        rows = self.rows(text)
        self.assertEqual(rows["F"][2:], ["CONTRADICTED", "unfinished"])
        self.assertEqual(rows["P"], ["P", "the second mail", "infeasible: PTL", "infeasible: PTL"])
        self.assertEqual(rows["K"][-2:], ["skipped", "did not run"])
        self.assertIn("\n    the order needs the PTL twice\n", text)
        self.assertIn("\n    kswapd isn't there\n", text)

    def test_schedule_of_the_explorer(self):
        for outcome, verdict in (("held", "all checks hold"), ("violated", "VIOLATED")):
            scenarios = replay.parse(CONSOLE.replace("verdict refuted", f"verdict {outcome}"))
            self.assertEqual(self.rows(replay.verdict_table({"stock": scenarios}))["F"][2], verdict)

    def test_infeasible_without_a_wait(self):
        scenario = replay.parse(NEXT.replace("the PTL", "it"))["P"]
        self.assertEqual(replay.words(scenario), "infeasible")

    def test_timeline(self):
        text = replay.timeline(self.stock["F"])
        self.assertEqual(text.splitlines()[1],
                         "1 F wait PTL refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1 4.1")
        later = replay.parse(CONSOLE.replace("[    1.0", "[    7.3").replace("refuted", "error"))
        self.assertEqual(text, replay.timeline(later["F"]))
        self.assertNotEqual(text, replay.timeline(self.patched["F"]))


class Tags(HTMLParser):
    """Every tag is closed, in order; ids and links are kept."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.texts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "href" in attrs:
            self.links.append(attrs["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.texts.append(data)


class Page(unittest.TestCase):
    def page(self, **consoles):
        text = replay.page({name: replay.parse(console) for name, console in consoles.items()},
                           "Races & <claims>")
        tags = Tags(text)
        self.assertEqual(tags.open, [])
        self.assertEqual(len(tags.ids), len(set(tags.ids)))
        self.assertLessEqual({unquote(link[1:]) for link in tags.links}, set(tags.ids))
        self.assertNotRegex(text, r"https?:|<script|<img|@import|url\(")
        figures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]
        return text, tags, figures

    def texts(self, figure):
        return ["".join(text.itertext()) for text in figure.iter("text")]

    def test_whole(self):
        text, tags, figures = self.page(stock=CONSOLE + NEXT + SKIP, patched=PATCHED + NEXT)
        self.assertEqual(len(figures), 4)       # the legend, two of F and one of P
        self.assertLessEqual({"F", "P", "K"}, set(tags.ids))
        self.assertIn('<html lang="en">', text)
        self.assertIn("Timeline: stock and patched (the same, event by event)", text)
        for words in ("as the answer said", "infeasible: PTL", "skipped", "did not run",
                      "truncates the whole file", "not as claimed", "not as the test expects",
                      "not reached", "the entry is gone: xas_reload(); 100 identical runs"):
            self.assertIn(words, tags.texts if len(words) < 30 else text)

    def test_timeline(self):
        _, _, (_, stock, patched) = self.page(stock=CONSOLE, patched=PATCHED)
        self.assertEqual(stock.find("title").text, "F on stock: as the answer said")
        self.assertIn("1: filemap waits for PTL.", stock.find("desc").text)
        texts = self.texts(stock)
        for text in ("bad is held at ENTRY_LOADED", "filemap waits for PTL", "4.1", "PTL",
                     "bad passes UNLOCKED", "claim: sets up a <PTE>", "no refs"):
            self.assertIn(text, texts)
        self.assertNotIn("from here on not as on stock", texts)
        self.assertIn("from here on not as on stock", self.texts(patched))
        self.assertEqual(len(stock.findall("polyline")), 1)

    def test_violated_stands_out(self):
        text, _, _ = self.page(stock=CONSOLE.replace("verdict refuted|", "verdict violated|"))
        self.assertIn('<span class="verdict violated">VIOLATED</span>', text)
        [rule] = re.findall(r"^(\.contradicted.*) \{", text, re.M)
        self.assertIn(".violated", rule.split(", "))

    def test_freed_while_linked(self):
        text, _, (_, stock, patched) = self.page(
            stock=CONSOLE.replace("refs=0 mapcount=0 lru=1", "refs=0 mapcount=0 lru=0").replace(
                "end|END", "stop|FOLIOS_PUT_FREE"),
            patched=CONSOLE)
        self.assertIn("freed while on a list", self.texts(stock))
        self.assertNotIn("freed while on a list", self.texts(patched))
        self.assertEqual(text.count("freed while on a list: event 3"), 1)

    def test_escaped(self):
        text, tags, _ = self.page(stock=CONSOLE.replace("|filemap|", "|<i>&\x1b[1m|"))
        self.assertIn("F. filemap_map_pages() &lt;preempted&gt; &amp; held (the report)", text)
        self.assertIn("Races &amp; &lt;claims&gt;", text)
        self.assertIn("&lt;i&gt;&amp;\ufffd[1m", text)
        self.assertIn("sets up a &lt;PTE&gt;", text)
        self.assertNotRegex(text, "<preempted>|<PTE>|<claims>|<i>|\x1b")
        self.assertIn("<i>&\ufffd[1m", tags.texts)

    def test_id_is_no_markup(self):
        _, tags, _ = self.page(stock=NEXT.replace("begin P", 'begin "><b>').replace(
            "end P", 'end "><b>'))
        self.assertIn('"><b>', tags.ids)
        self.assertEqual(tags.links, ["#%22%3E%3Cb%3E"])

    def test_unfinished(self):
        _, tags, (_, figure) = self.page(stock=CONSOLE[:CONSOLE.index("folio_race: event 2")])
        self.assertIn("unfinished", tags.texts)
        self.assertIn("the console ends here", self.texts(figure))

    def test_died_before_the_first_event(self):
        _, tags, figures = self.page(stock=CONSOLE[:CONSOLE.index("folio_race: event 0")])
        self.assertIn("unfinished", tags.texts)
        self.assertEqual(len(figures), 1)

    def test_rows_of_a_long_run_do_not_overlap(self):
        events = "".join(f"folio_race: event {number}|{'BF'[number % 2]}|stop|{'POINT_' * 6}|"
                         f"refs={number} mapcount=0 lru=1 locked=0 cached=1 listed=1|{number}\n"
                         for number in range(60))
        steps = "".join(f"folio_race: step {number}|B|X|-|-|missing|{'words ' * 30}\n"
                        for number in range(60))
        head = "".join(CONSOLE.splitlines(keepends=True)[:4])
        _, _, (_, figure) = self.page(stock=head + events + steps)
        width, height = float(figure.get("width")), float(figure.get("height"))
        starts = {}
        for text in figure.iter("text"):
            starts.setdefault(float(text.get("x")), []).append(float(text.get("y")))
        for column in starts.values():
            column.sort()
            for above, below in zip(column, column[1:]):
                self.assertGreaterEqual(below - above, replay.LINE_UP)
        self.assertLess(max(max(column) for column in starts.values()), height)
        texts = min(float(text.get("x")) for text in figure.iter("text")
                    if text.find("tspan") is not None)
        panel = next(float(text.get("x")) for text in figure.iter("text")
                     if text.text == "the folio after the event")
        self.assertGreater(panel - texts, len("POINT_" * 6) * replay.MONO)
        self.assertLess(panel, width)
