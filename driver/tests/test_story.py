# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel prints of a replay must arrive in the tables and on the page."""

import re
from urllib.parse import unquote
from xml.etree import ElementTree

from driver.story import model, svg
from driver.story import page as story_page
from driver.story import text as story_text
from driver.tests import consoles
from driver.tests.consoles import CONSOLE, NEXT, PATCHED, SKIP, STALE, told, without
from driver.tests.helpers import Case


def cut(words):
    """A console that ends before these words."""
    return CONSOLE[:CONSOLE.index(words)]


class Story(Case):
    def setUp(self):
        super().setUp()
        self.stock, self.patched = model.parse(CONSOLE), model.parse(PATCHED)
        self.both = {"stock": self.stock["F"], "patched": self.patched["F"]}

    def test_whole(self):
        scenario = model.parse(CONSOLE)["F"]
        self.assertEqual(scenario.title, "filemap_map_pages() <preempted> & held (the report)")
        self.assertEqual(scenario.actors["F"].name, "filemap")
        self.assertEqual([event.kind for event in scenario.events], ["stop", "wait", "pass", "end"])
        self.assertEqual(scenario.events[1].where, "PTL")
        self.assertEqual(scenario.events[3].state, {"refs": 0, "mapcount": 0, "lru": 1, "locked": 0,
                                                    "cached": 0, "listed": 1})
        self.assertEqual([step.label for step in scenario.steps], ["0", "4.1", "5", "6"])
        self.assertEqual((scenario.steps[1].text, scenario.steps[0].claimed,
                          scenario.steps[3].seen), ("locks | it", None, None))
        self.assertEqual((scenario.outcome, scenario.reason, scenario.runs, scenario.skipped),
                         ("refuted", "the entry is gone: xas_reload()", 100, False))

    def test_what_makes_no_difference(self):
        remark = "folio_race: kswapd scanned 9 pages\nfolio_race: step 0"
        for text in (CONSOLE.replace("\n", "\r\n"), CONSOLE.replace("folio_race: step 0", remark),
                     CONSOLE.replace("refuted", "reproduced") + CONSOLE):     # the last one wins
            self.assertEqual(model.parse(text), model.parse(CONSOLE))
        self.assertEqual(model.parse("[ 1.0] ok 1 another\n"), {})
        scenarios = model.parse(NEXT + SKIP + CONSOLE)
        self.assertEqual(list(scenarios), ["P", "K", "F"])
        self.assertEqual((scenarios["K"].skipped, scenarios["K"].reason),
                         (True, "kswapd isn't there"))

    def test_died(self):
        for end in ("event 2", "step 0", "step 5", "verdict"):
            scenario = model.parse(SKIP + cut(end) + end[:5])["F"]
            self.assertEqual(scenario.outcome, "unfinished")
            self.assertGreaterEqual(len(scenario.events), 2)
        scenarios = model.parse(cut("folio_race: step 0") + NEXT)      # and booted again
        self.assertEqual([scenario.outcome for scenario in scenarios.values()],
                         ["unfinished", "blocked"])
        scenario = model.parse(without(CONSOLE, "end F"))["F"]
        self.assertEqual((scenario.outcome, scenario.runs), ("refuted", 0))

    def test_more_of_a_state(self):
        """What not each state has is shown where it is there."""
        more = CONSOLE.replace("cached=1 listed=1|0", "cached=1 order=2 index=20 listed=1|0")
        told = model.parse(more)["F"]
        self.assertEqual((told.events[0].state["order"], told.events[0].state["index"]), (2, 20))
        self.assertNotEqual(model.timeline(told), model.timeline(model.parse(CONSOLE)["F"]))
        self.assertTrue(story_text.compact(told.events[0].state).endswith(" order=2 index=20"))

    def test_malformed(self):
        for good, bad in (("stop|ENTRY", "halt|ENTRY"), ("0|B|stop", "0|X|stop"),
                          ("event 2", "event 3"), ("event 2", "event two"),
                          ("|pass|UNLOCKED", "|pass"), ("refs=1 mapcount=0 lru=1 ", "refs=1 "),
                          (" listed=1|0", "|0"),
                          ("locked=1|refs", "dirt=1|refs"), ("locked=1|refs", "locked=|refs"),
                          ("|missing|", "|lost|"), ("verdict refuted", "verdict fine"),
                          ("verdict refuted|", "verdict refuted"), ("end F|100", "end G|100"),
                          ("end F|100", "end F"), ("begin F|", "begin F F|"),
                          ("begin F|", "began F|")):
            self.assertIn(good, CONSOLE)
            said = r"line \d+ .* malformed .*folio_race: .*" + re.escape(bad.split("|")[0])
            self.assertFail(said, model.parse, CONSOLE.replace(good, bad, 1))
        self.assertFail("line 14 .* no verdict", model.parse, without(CONSOLE, "verdict"))
        self.assertFail("no scenario has begun",
                        model.parse, CONSOLE + "folio_race: verdict refuted|again\n")

    def rows(self, text):
        return {line.split()[0]: re.split(r"  +", line) for line in text.splitlines()}

    def test_steps(self):
        text = story_text.step_table(self.both)
        rows = self.rows(text)
        self.assertEqual(rows["step"], ["step", "actor", "until", "claimed", "stock", "patched"])
        self.assertEqual(rows["0"][1:], ["bad", "ENTRY_LOADED", "-", "1r 0m L-C", "1r 0m L-C"])
        self.assertEqual(rows["4.1"][1:], ["filemap", "wait", ".r .m .K.", "2r 0m LKC",
                                           "2r 0m LKC"])
        self.assertEqual(rows["5"][3:], ["2r 1m L..", "0r 0m L-- *!", "2r 1m L--", "!"])
        self.assertEqual(rows["6"][3:], ["1r .m ...", "-", "-"])
        self.assertIn("stock: refuted: the entry is gone: xas_reload(); 100 identical runs", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 110)
        self.assertEqual(story_text.step_table({"stock": model.parse(SKIP)["K"]}),
                         "stock: skipped: kswapd isn't there\n")
        # A step that is in one column only
        patched_first = dict(reversed(self.both.items()))
        self.assertEqual([sorted(step) for step in model.merge(patched_first)],
                         [["patched", "stock"]] * 3 + [["stock"]])
        self.patched["F"].steps.pop(1)
        self.assertEqual([next(iter(step.values())).label for step in model.merge(patched_first)],
                         ["0", "4.1", "5", "6"])

    def test_verdicts(self):
        stock = model.parse(CONSOLE.replace("refuted", "reproduced") + NEXT + SKIP)
        patched = model.parse(NEXT + PATCHED[:PATCHED.index("folio_race: step")])
        text = story_text.verdict_table({"stock": stock, "patched": patched})
        rows = self.rows(text)
        self.assertEqual(rows["F"][2:], ["reproduced", "unfinished"])
        self.assertEqual(rows["P"], ["P", "the second mail", "blocked: PTL", "blocked: PTL"])
        self.assertEqual(rows["K"][-2:], ["skipped", "did not run"])
        for reason in ("PTL: the order needs it twice", "kswapd isn't there"):
            self.assertIn(f"\n    {reason}\n", text)
        text = story_text.verdict_table({"stock": model.parse(NEXT + SKIP)}, reasons=False)
        self.assertEqual((len(text.splitlines()), "twice" in text), (3, False))

    def test_words(self):
        """A verdict in a table, and as a document has it; where it turns."""
        for printed, short, full, turn in (
                (consoles.REPRODUCED, "reproduced (injected)",
                 f"reproduced (injected: {STALE})", 0),
                ("reproduced|x came to y", "reproduced (injected)",
                 f"reproduced (injected: {STALE})", 1),
                ("refuted|x() in y()", "refuted", "refuted: x() in y()", None),
                (consoles.BLOCKED, "blocked: PTL", "blocked: PTL", None),
                *((f"{word}|x", word, f"{word}: x", 1) for word in ("violated", "error")),
                ("no violation|x", "no violation", "no violation", None),
                ("as written|each line", "as written", "as written", None),
                ("differs|line 3: lru=0", "differs", "differs: line 3: lru=0", None)):
            story = model.parse(told("F", printed, STALE))["F"]
            self.assertEqual((model.words(story), model.in_full(model.verdict(story), STALE),
                              model.turn(story)), (short, full, turn))
            self.assertEqual(svg.svg_timeline(story, "stock", "0").count('class="crash"'),
                             int(turn is not None))
        for word in ("contradicted", "infeasible", "held", "passed"):
            self.assertFail("malformed", model.parse, told("F", f"{word}|x") + "\n")
        # A guard: an actor ends before the claimed point; a lock: an actor waits for it
        short = told("F", consoles.REFUTED).replace("step 1|T|END", "step 1|T|SET_PTE")
        for text, turn in ((short, 1), (CONSOLE.replace("refuted|", "blocked|PTL: "), 1),
                           (CONSOLE.replace("refuted|", "blocked|folio lock: "), None)):
            self.assertEqual(model.turn(model.parse(text)["F"]), turn)
        # The last events of an error
        said = story_text.step_table({"stock": model.parse(told("F", "error|x"))["F"]})
        self.assertIn("event 1: truncate is done END: 1r 0m L-C\n", said)

    def test_events(self):
        stock, patched = story_text.events(self.both).split("\npatched\n")
        lines = [re.split(r"  +", line.strip()) for line in stock.strip().splitlines()]
        self.assertEqual(lines, [
            ["stock"],
            ["event", "step", "actor", "where", "folio"],
            ["0", "0", "bad", "is held at", "ENTRY_LOADED", "1r 0m L-C on a list"],
            ["1", "4.1", "filemap", "waits for", "PTL", "2r 0m LKC on a list"],
            ["2", "-", "bad", "passes", "UNLOCKED", "2r 0m L-- on a list"],
            ["3", "5", "filemap", "is done", "0r 0m L-- on a list"]])
        self.assertIn("2r 1m L--", patched)

    def test_timeline(self):
        text = model.timeline(self.stock["F"])
        later = model.parse(CONSOLE.replace("[    1.0", "[    7.3").replace("refuted", "error"))
        self.assertEqual(text, model.timeline(later["F"]))
        self.assertNotEqual(text, model.timeline(self.patched["F"]))


class Page(Case):
    def page(self, **consoles):
        """(the page, what its elements say, the texts in each of its figures)."""
        text = story_page.page({name: model.parse(console)
                                for name, console in consoles.items()}, "Races & <claims>")
        self.assertNotRegex(text, r"https?:|<script|<img|@import|url\(")
        # As XML, every element must be closed in its place
        page = re.sub(r"<(br|meta [^>]*)>", r"<\1/>", text).replace(" class=ran", "")
        self.tree = ElementTree.fromstring(page)
        self.ids = [each.get("id") for each in self.tree.iter() if each.get("id")]
        self.links = [each.get("href") for each in self.tree.iter("a")]
        self.assertEqual(len(self.ids), len(set(self.ids)))
        self.assertLessEqual({unquote(link[1:]) for link in self.links}, set(self.ids))
        figures = [["".join(text.itertext()) for text in figure.iter("text")]
                   for figure in self.tree.iter("svg")]
        return text, list(self.tree.itertext()), figures

    def test_whole(self):
        text, texts, figures = self.page(stock=CONSOLE + NEXT + SKIP, patched=PATCHED + NEXT)
        self.assertEqual(len(figures), 4)       # the legend, two of F and one of P
        self.assertLessEqual({"F", "P", "K"}, set(self.ids))
        for words in ('<html lang="en">',
                      "Timeline: stock and patched (the same, event by event)",
                      "the entry is gone: xas_reload(); 100 identical runs"):
            self.assertIn(words, text)
        for words in ("refuted", "blocked: PTL", "skipped", "did not run",
                      "truncates the whole file", "not as claimed", "not as the test expects",
                      "not reached"):
            self.assertIn(words, texts)

    def test_timeline(self):
        _, texts, (_, stock, patched) = self.page(stock=CONSOLE, patched=PATCHED)
        self.assertIn("F on stock: refuted", texts)
        self.assertIn("1: filemap waits for PTL.", " ".join(texts))
        for text in ("bad is held at ENTRY_LOADED", "filemap waits for PTL", "4.1", "PTL",
                     "bad passes UNLOCKED", "claim: sets up a <PTE>", "no refs"):
            self.assertIn(text, stock)
        self.assertEqual(["from here on not as on stock" in each for each in (stock, patched)],
                         [False, True])
        [_, figure, _] = self.tree.iter("svg")
        self.assertEqual(len(figure.findall("polyline")), 1)

    def test_where_it_turns(self):
        """It is said before the timeline, which is folded if there are many."""
        refuted = told("F", consoles.REFUTED).replace(
            f"step 1|T|END|-|{consoles.STATE}|ok|",
            f"step 1|T|SET_PTE|refs=2 lru=1|{consoles.STATE}|ok|truncate: maps it")
        text, _, _ = self.page(stock=refuted, patched=refuted)
        for words in ("On stock and patched it turns at step <", "maps it: <", "is done: <"):
            self.assertEqual(text.count(words), 1, words)
        self.assertLess(text.index("it turns at"), text.index("<summary>Timeline"))
        self.assertEqual(text.count('<details open="">'), 1)
        many = "".join(told(name, consoles.REFUTED) for name in "ABCD")
        text, _, figures = self.page(stock=many, patched=many)
        self.assertEqual((text.count("<details>"), text.count("open="), len(figures)), (13, 0, 5))
        # Where what is reproduced on another kernel is not
        text, _, _ = self.page(stock=told("A", consoles.REPRODUCED), patched=told(
            "A", consoles.REFUTED).replace("stop|ISOLATE_CLEARED", "stop|ISOLATE_STALE"))
        for words in ("On stock it turns at step", "<code>ISOLATE_STALE</code>"):
            self.assertIn(words, text)

    def test_what_stands_out(self):
        text, _, _ = self.page(stock=CONSOLE.replace("verdict refuted|", "verdict violated|"))
        self.assertIn('<span class="verdict violated">violated</span>', text)
        [rule] = re.findall(r"^(\.reproduced.*) \{", text, re.M)
        self.assertIn(".violated", rule.split(", "))
        freed = CONSOLE.replace("refs=0 mapcount=0 lru=1", "refs=0 mapcount=0 lru=0").replace(
            "end|END", "stop|FOLIOS_PUT_FREE")
        text, _, (_, stock, patched) = self.page(stock=freed, patched=CONSOLE)
        self.assertEqual([model.CRASH in each for each in (stock, patched)], [True, False])
        self.assertEqual(text.count("freed while on a list: event 3"), 1)

    def test_escaped(self):
        text, texts, _ = self.page(stock=CONSOLE.replace("|filemap|", "|<i>&\x1b[1m|"))
        for words in ("F. filemap_map_pages() &lt;preempted&gt; &amp; held (the report)",
                      "Races &amp; &lt;claims&gt;", "&lt;i&gt;&amp;\ufffd[1m",
                      "sets up a &lt;PTE&gt;"):
            self.assertIn(words, text)
        self.assertNotRegex(text, "<preempted>|<PTE>|<claims>|<i>|\x1b")
        self.page(stock=NEXT.replace("begin P", 'begin "><b>').replace("end P", 'end "><b>'))
        self.assertIn('"><b>', self.ids)
        self.assertEqual(self.links, ["#%22%3E%3Cb%3E"])

    def test_unfinished(self):
        for event, count in (("event 2", 2), ("event 0", 1)):
            _, texts, figures = self.page(stock=cut(f"folio_race: {event}"))
            self.assertIn("unfinished", texts)
            self.assertEqual(len(figures), count)
            self.assertEqual("the console ends here" in figures[-1], count == 2)

    def test_rows_of_a_long_run_do_not_overlap(self):
        events = "".join(f"folio_race: event {number}|{'BF'[number % 2]}|stop|{'POINT_' * 6}|"
                         f"refs={number} mapcount=0 lru=1 locked=0 cached=1 listed=1|{number}\n"
                         for number in range(60))
        steps = "".join(f"folio_race: step {number}|B|X|-|-|missing|{'words ' * 30}\n"
                        for number in range(60))
        self.page(stock=cut("folio_race: event 0") + events + steps)
        [_, figure] = self.tree.iter("svg")
        starts = {}
        for text in figure.iter("text"):
            starts.setdefault(float(text.get("x")), []).append(float(text.get("y")))
        for column in map(sorted, starts.values()):
            for above, below in zip(column, column[1:]):
                self.assertGreaterEqual(below - above, svg.LINE_UP)
            self.assertLess(column[-1], float(figure.get("height")))
        texts = min(float(text.get("x")) for text in figure.iter("text")
                    if text.find("tspan") is not None)
        panel = next(float(text.get("x")) for text in figure.iter("text")
                     if text.text == "the folio after the event")
        self.assertGreater(panel - texts, len("POINT_" * 6) * svg.MONO)
        self.assertLess(panel, float(figure.get("width")))
