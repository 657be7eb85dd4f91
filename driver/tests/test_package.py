# SPDX-License-Identifier: GPL-2.0-only
"""The package: layers that import just those below them, without circles."""

import ast
import glob
import importlib
import os
import sys
import unittest

from driver import cli
from driver.core.paths import ROOT, read

# {layer: what its modules may import}
LAYERS = {"core": {"core"}, "kernel": {"core", "kernel"}, "story": {"core", "story"},
          "suites": {"core", "kernel", "story", "suites"},
          "commands": {"core", "kernel", "story", "suites", "commands"},
          "cli": {"core", "kernel"}, "__main__": {"cli"}, "": set(),
          "tests": {"core", "kernel", "story", "suites", "commands", "cli", "tests"}}


def files(kind):
    """The paths of all files of a kind, from the top of the project."""
    return glob.glob(f"driver/**/*.{kind}", root_dir=ROOT, recursive=True)


# {name: syntax tree} of all modules
MODULES = {path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"):
           ast.parse(read(os.path.join(ROOT, path))) for path in files("py")}


def at_import(tree):
    """The nodes that are run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from at_import(node)


def imported(nodes):
    """The modules of driver that are imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] == "driver")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "driver":
            for each in node.names:
                name = f"{node.module}.{each.name}"
                yield name if name in MODULES else node.module


def layer(name):
    return (name.split(".") + [""])[1]


RUN_OTHERS = ("driver.cli", "driver.commands.claims", "driver.commands.test")


class Package(unittest.TestCase):
    def test_layers(self):
        self.assertGreater(len(MODULES), 60)
        self.assertEqual({layer(name) for name in MODULES}, LAYERS.keys())
        self.assertIn("driver.core.stage", set(imported(ast.walk(MODULES["driver.core.tally"]))))
        for name, tree in MODULES.items():
            for other in imported(ast.walk(tree)):
                self.assertIn(other, MODULES, f"{name} imports {other}, which is not there")
                self.assertIn(layer(other), LAYERS[layer(name)], f"{name} imports {other}")
                if layer(name) != "tests" and name not in RUN_OTHERS:
                    self.assertNotEqual(layer(other), "commands", f"{name} imports {other}")
            for node in ast.walk(tree):
                self.assertFalse(isinstance(node, ast.ImportFrom) and node.level, name)

    def test_no_circle(self):
        graph = {name: set(imported(at_import(tree))) for name, tree in MODULES.items()}
        done = set()

        def visit(name, way):
            self.assertNotIn(name, way, f"a circle: {' -> '.join([*way, name])}")
            if name not in done:
                for other in sorted(graph[name]):
                    visit(other, [*way, name])
                done.add(name)
        for name in sorted(graph):
            visit(name, [])
        self.assertEqual(done, set(MODULES))

    def test_a_circle_would_be_found(self):
        """Imports within a function make none; those within a class or an if do."""
        found = [set(imported(at_import(ast.parse(text)))) for text in (
            "def f():\n from driver.core import tap", "if 1:\n from driver.core import tap",
            "class A:\n import driver.core.tap", "from driver.core.tap import lines")]
        self.assertEqual(found, [set(), *[{"driver.core.tap"}] * 3])

    def test_each_says_what_it_is(self):
        for name, tree in MODULES.items():
            text = ast.get_docstring(tree)
            self.assertTrue(text, name)
            self.assertRegex(text.splitlines()[0], r"[.:]$", name)
            last = name.rpartition(".")[2]
            self.assertNotIn(last, sys.stdlib_module_names - {"__main__"}, name)
            if layer(name) == "tests":      # what tests share is not called like one
                tests = [node.name for node in ast.walk(tree)
                         if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
                self.assertEqual(bool(tests), last.startswith("test_"), name)
        for path in files("py") + files("toml"):
            text = read(os.path.join(ROOT, path))
            self.assertTrue(text.startswith("# SPDX-License-Identifier: GPL-2.0-only\n"), path)

    def test_commands(self):
        names = {name.rpartition(".")[2] for name in MODULES if name.startswith("driver.commands.")}
        self.assertEqual(names, {*cli.COMMANDS, "main"})
        self.assertEqual(len(cli.COMMANDS), len(set(cli.COMMANDS)))
        for name in names:
            module = importlib.import_module(f"driver.commands.{name}")
            self.assertTrue(module.__doc__ and module.HELP, name)
            self.assertTrue(callable(module.arguments) and callable(module.run), name)
