# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel prints of a replay must arrive in the tables and on the page."""

import re
import unittest
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

from driver.core.stage import Fail
from driver.story import model, svg
from driver.story import page as story_page
from driver.story import text as story_text
from driver.tests.consoles import CONSOLE, NEXT, PATCHED, SKIP, without


class Parse(unittest.TestCase):
    def test_whole(self):
        scenario = model.parse(CONSOLE)["F"]
        self.assertEqual(scenario.title, "filemap_map_pages() <preempted> & held (the report)")
        self.assertEqual(scenario.actors["F"].name, "filemap")
        self.assertEqual([event.kind for event in scenario.events],
                         ["stop", "wait", "pass", "end"])
        self.assertEqual(scenario.events[1].where, "PTL")
        self.assertEqual(scenario.events[3].state,
                         {"refs": 0, "mapcount": 0, "lru": 1, "locked": 0, "cached": 0,
                          "listed": 1})
        self.assertEqual([step.label for step in scenario.steps], ["0", "4.1", "5", "6"])
        self.assertEqual(scenario.steps[1].text, "locks | it")
        self.assertIsNone(scenario.steps[0].claimed)
        self.assertIsNone(scenario.steps[3].seen)
        self.assertEqual((scenario.outcome, scenario.reason, scenario.runs, scenario.skipped),
                         ("refuted", "the entry is gone: xas_reload()", 100, False))

    def test_serial_console(self):
        self.assertEqual(model.parse(CONSOLE.replace("\n", "\r\n")), model.parse(CONSOLE))

    def test_order_and_skip(self):
        scenarios = model.parse(NEXT + SKIP + CONSOLE)
        self.assertEqual(list(scenarios), ["P", "K", "F"])
        self.assertTrue(scenarios["K"].skipped)
        self.assertEqual(scenarios["K"].reason, "kswapd isn't there")

    def test_remark(self):
        remark = "folio_race: kswapd scanned 9 pages\n"
        self.assertEqual(model.parse(CONSOLE.replace("folio_race: step 0", remark
                                                      + "folio_race: step 0")),
                         model.parse(CONSOLE))

    def test_nothing(self):
        self.assertEqual(model.parse("[ 1.0] ok 1 another\n"), {})

    def test_last_one_wins(self):
        scenario = model.parse(CONSOLE + CONSOLE.replace("refuted", "contradicted"))["F"]
        self.assertEqual(scenario.outcome, "contradicted")
        self.assertEqual(len(scenario.events), 4)

    def test_died_halfway(self):
        for end in ("event 2", "step 0", "step 5", "verdict"):
            with self.subTest(end=end):
                scenario = model.parse(SKIP + CONSOLE[:CONSOLE.index(end) + 5])["F"]
                self.assertEqual(scenario.outcome, "unfinished")
                self.assertGreaterEqual(len(scenario.events), 2)

    def test_died_and_booted_again(self):
        scenarios = model.parse(CONSOLE[:CONSOLE.index("folio_race: step 0")] + NEXT)
        self.assertEqual([scenario.outcome for scenario in scenarios.values()],
                         ["unfinished", "infeasible"])

    def test_died_after_the_verdict(self):
        scenario = model.parse(without(CONSOLE, "end F"))["F"]
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
                    model.parse(console)
                self.assertIn(bad.split("|")[0], str(fail.exception))

    def test_end_without_a_verdict(self):
        with self.assertRaisesRegex(Fail, "line 14 .* no verdict"):
            model.parse(without(CONSOLE, "verdict"))

    def test_line_outside(self):
        with self.assertRaisesRegex(Fail, "no scenario has begun"):
            model.parse(CONSOLE + "folio_race: verdict refuted|again\n")


class Tables(unittest.TestCase):
    def setUp(self):
        self.stock, self.patched = model.parse(CONSOLE), model.parse(PATCHED)

    def rows(self, text):
        return {line.split()[0]: re.split(r"  +", line) for line in text.splitlines()}

    def test_steps(self):
        text = story_text.step_table({"stock": self.stock["F"], "patched": self.patched["F"]})
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
        steps = model.merge({"patched": self.patched["F"], "stock": self.stock["F"]})
        self.assertEqual([sorted(step) for step in steps],
                         [["patched", "stock"]] * 3 + [["stock"]])
        self.patched["F"].steps.pop(1)
        steps = model.merge({"patched": self.patched["F"], "stock": self.stock["F"]})
        self.assertEqual([next(iter(step.values())).label for step in steps],
                         ["0", "4.1", "5", "6"])

    def test_no_steps(self):
        text = story_text.step_table({"stock": model.parse(SKIP)["K"]})
        self.assertEqual(text, "stock: skipped; kswapd isn't there\n")

    def test_verdicts(self):
        stock = model.parse(CONSOLE.replace("refuted", "contradicted") + NEXT + SKIP)
        patched = model.parse(NEXT + PATCHED[:PATCHED.index("folio_race: step")])
        text = story_text.verdict_table({"stock": stock, "patched": patched})
        rows = self.rows(text)
        self.assertEqual(rows["F"][2:], ["CONTRADICTED", "unfinished"])
        self.assertEqual(rows["P"], ["P", "the second mail", "infeasible: PTL", "infeasible: PTL"])
        self.assertEqual(rows["K"][-2:], ["skipped", "did not run"])
        self.assertIn("\n    the order needs the PTL twice\n", text)
        self.assertIn("\n    kswapd isn't there\n", text)

    def test_verdicts_without_reasons(self):
        text = story_text.verdict_table({"stock": model.parse(NEXT + SKIP)}, reasons=False)
        self.assertEqual(len(text.splitlines()), 3)
        self.assertNotIn("twice", text)

    def test_events(self):
        text = story_text.events({"stock": self.stock["F"], "patched": self.patched["F"]})
        stock, patched = text.split("\npatched\n")
        lines = [re.split(r"  +", line.strip()) for line in stock.strip().splitlines()]
        self.assertEqual(lines[0], ["stock"])
        self.assertEqual(lines[1], ["event", "step", "actor", "where", "folio"])
        self.assertEqual(lines[2:], [
            ["0", "0", "bad", "is held at", "ENTRY_LOADED", "1r 0m L-C on a list"],
            ["1", "4.1", "filemap", "waits for", "PTL", "2r 0m LKC on a list"],
            ["2", "-", "bad", "passes", "UNLOCKED", "2r 0m L-- on a list"],
            ["3", "5", "filemap", "is done", "0r 0m L-- on a list"]])
        self.assertIn("2r 1m L--", patched)

    def test_schedule_of_the_explorer(self):
        for outcome, verdict in (("held", "all checks hold"), ("violated", "VIOLATED")):
            scenarios = model.parse(CONSOLE.replace("verdict refuted", f"verdict {outcome}"))
            text = story_text.verdict_table({"stock": scenarios})
            self.assertEqual(self.rows(text)["F"][2], verdict)

    def test_infeasible_without_a_wait(self):
        scenario = model.parse(NEXT.replace("the PTL", "it"))["P"]
        self.assertEqual(model.words(scenario), "infeasible")

    def test_timeline(self):
        text = model.timeline(self.stock["F"])
        self.assertEqual(text.splitlines()[1],
                         "1 F wait PTL refs=2 mapcount=0 lru=1 locked=1 cached=1 listed=1 4.1")
        later = model.parse(CONSOLE.replace("[    1.0", "[    7.3").replace("refuted", "error"))
        self.assertEqual(text, model.timeline(later["F"]))
        self.assertNotEqual(text, model.timeline(self.patched["F"]))


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
        text = story_page.page({name: model.parse(console)
                                for name, console in consoles.items()}, "Races & <claims>")
        tags = Tags(text)
        self.assertEqual(tags.open, [])
        self.assertEqual(len(tags.ids), len(set(tags.ids)))
        self.assertLessEqual({unquote(link[1:]) for link in tags.links}, set(tags.ids))
        self.assertNotRegex(text, r"https?:|<script|<img|@import|url\(")
        figures = [ElementTree.fromstring(each)
                   for each in re.findall(r"<svg.*?</svg>", text, re.S)]
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
                self.assertGreaterEqual(below - above, svg.LINE_UP)
        self.assertLess(max(max(column) for column in starts.values()), height)
        texts = min(float(text.get("x")) for text in figure.iter("text")
                    if text.find("tspan") is not None)
        panel = next(float(text.get("x")) for text in figure.iter("text")
                     if text.text == "the folio after the event")
        self.assertGreater(panel - texts, len("POINT_" * 6) * svg.MONO)
        self.assertLess(panel, width)
