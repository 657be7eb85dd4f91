# SPDX-License-Identifier: GPL-2.0-only
"""The series: from series/ and the overlay to commits and mails, and back.

series/<name>/<NN-slug>/ is one patch: its `message`, its `edits.diff` (changes to
files the kernel has) and `files` (paths of the overlay files that it adds).
"""

import contextlib
import os
import re
import shutil
import tempfile

from base import GIT_ENV
from stage import OUT, ROOT, Fail, output

ALL = MM, NET, LAB = "v7.3", "v7.3-net", "v7.3-lab"
# The commits of the lab series begin with the one that adds this file.
FIRST_OF_LAB = "mm/sync_point.c"
MUTANTS = os.path.join(ROOT, "mutants")
PREFIX = {MM: "PATCH", NET: "PATCH net", LAB: "PATCH"}


class Patch:
    def __init__(self, series, slug):
        self.series, self.slug = series, slug
        self.dir = os.path.join(ROOT, "series", series, slug)
        self.message = self.read("message")
        self.edits = self.read("edits.diff") or ""
        self.files = (self.read("files") or "").split()
        if self.message is None:
            raise Fail(f"series/{series}/{slug} has no message")

    def read(self, name):
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            return None
        with open(path) as content:
            return content.read()

    def paths(self):
        """Every file that the patch touches."""
        return re.findall(r"^diff --git a/(\S+)", self.edits, re.M) + self.files


def patches(series):
    folder = os.path.join(ROOT, "series", series)
    return [Patch(series, slug) for slug in sorted(os.listdir(folder))
            if os.path.isdir(os.path.join(folder, slug))]


@contextlib.contextmanager
def index(base):
    """An index of its own, so that composing does not touch the build tree."""
    with tempfile.TemporaryDirectory(dir=base.dir) as folder:
        yield {"GIT_INDEX_FILE": os.path.join(folder, "index")}


def apply_edits(base, env, diff, what):
    try:
        base.git("apply", "--cached", "--whitespace=nowarn", "-", env=env, stdin=diff)
    except Fail as failure:
        reason = str(failure).split("error: ", 1)[-1].splitlines()[0]
        raise Fail(f"{what} does not apply to Linux {base.version}: {reason}; rebase it in "
                   "`./run tree` and take it back with `./run series --import`") from None


def add_overlay(base, env, path):
    source = os.path.join(ROOT, path)
    if not os.path.isfile(source):
        raise Fail(f"{path} is named in series/ but is not in the overlay")
    blob = base.git("hash-object", "-w", "--no-filters", source)
    mode = "100755" if os.access(source, os.X_OK) else "100644"
    base.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)


def commit(base, env, parent, message):
    tree = base.git("write-tree", env=env)
    return base.git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message)


def compose(base, series, onto):
    """[(patch, commit)] of the series on top of the commit onto."""
    commits = []
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        for patch in patches(series):
            if patch.edits:
                apply_edits(base, env, patch.edits, f"series/{series}/{patch.slug}/edits.diff")
            for path in patch.files:
                add_overlay(base, env, path)
            onto = commit(base, env, onto, patch.message)
            commits.append((patch, onto))
    return commits


def altered(base, onto, diff, path):
    """A commit on top of onto, with the diff of a file of this project applied."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        apply_edits(base, env, diff, path)
        return commit(base, env, onto, path + "\n")


def part_of(base, onto, patch, folder):
    """A commit on top of onto, with what a patch does below a folder."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        edits = [each for each in re.split(r"^(?=diff --git )", patch.edits, flags=re.M)
                 if each.startswith(f"diff --git a/{folder}")]
        apply_edits(base, env, "".join(edits), f"series/{patch.series}/{patch.slug}/edits.diff")
        for path in patch.files:
            if path.startswith(folder):
                add_overlay(base, env, path)
        return commit(base, env, onto, patch.message)


def mutate(base, onto, mutant):
    return altered(base, onto, mutant.diff, f"mutants/{mutant.name}.diff")


def lab_stock(base, lab):
    """The lab with the mm series taken out again: the base with sync points."""
    path = f"series/{LAB}/stock.diff"
    with open(os.path.join(ROOT, path)) as diff:
        return altered(base, lab, diff.read(), path)


def mutants():
    return sorted(name[:-5] for name in os.listdir(MUTANTS) if name.endswith(".diff"))


class Mutant:
    """mutants/<name>.diff: which guard it removes, from which kernel, and what must fail then.

    One of the lab may be for the explorer alone: then no check is named that fails.
    """

    def __init__(self, name, folder=MUTANTS):
        self.name = name
        with open(os.path.join(folder, name + ".diff")) as diff:
            self.diff = diff.read()
        header = dict(re.findall(r"^([A-Z]\w+): (.*)$", self.diff.split("diff --git")[0], re.M))
        for line in ("Removes", "On", "Where", "Fails"):
            if line not in header and (line, header.get("On")) != ("Fails", "lab"):
                raise Fail(f"mutants/{name}.diff has no line '{line}: ...' above its diff")
        self.removes, self.on, self.where = header["Removes"], header["On"], header["Where"]
        self.fails = header["Fails"].split(", ") if "Fails" in header else []
        # The check in which the kernel dies, if it does
        self.dies = header.get("Dies")
        # Words for the kernel command line, for instance to run just that check
        self.append = header.get("Append", "").split()
        # The explorer's sets that are run on it; none named: all
        self.sets = header.get("Sets", "").split()
        # Which other mutant's guard makes up for this one, and why
        self.redundant, _, self.why = header.get("Redundant", "").partition(": ")
        if self.redundant and not self.why:
            raise Fail(f"mutants/{name}.diff must say 'Redundant: <other mutant>: <why>'")


def guards():
    """{name: Mutant}, all there are."""
    return {name: Mutant(name) for name in mutants()}


def cover(series):
    path = os.path.join(ROOT, "series", series, "cover")
    if not os.path.exists(path):
        return None
    with open(path) as text:
        return text.read()


def below(base, series):
    """The commit that a series is for: the lab's is for the tip of the mm series."""
    return compose(base, MM, base.commit)[-1][1] if series == LAB else base.commit


def mails(base, series):
    """{file name: text} of what belongs in patches/<series>/."""
    branch, onto = "compose-" + series, below(base, series)
    base.git("branch", "--force", "--no-track", branch, compose(base, series, onto)[-1][1])
    text = cover(series)
    cmd = ["format-patch", "--quiet", "--zero-commit", "--no-signature", "--no-thread",
           f"--subject-prefix={PREFIX[series]}", "--numbered" if text else "--no-numbered"]
    if text:
        base.git("config", f"branch.{branch}.description", text)
        cmd += ["--cover-letter", "--cover-from-description=subject"]
    with tempfile.TemporaryDirectory(dir=base.dir) as folder:
        base.git(*cmd, "-o", folder, f"{onto}..{branch}")
        result = {}
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name)) as mail:
                # git am takes *.patch, and stops at a cover letter
                result[name.replace("0000-cover-letter.patch", "0000-cover-letter.txt")] = \
                    mail.read()
    return result


def committed_mails(series):
    folder = os.path.join(ROOT, "patches", series)
    result = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        with open(os.path.join(folder, name)) as mail:
            result[name] = mail.read()
    return result


def write_mails(base):
    """Recompose patches/; return the names of the mails that changed."""
    changed = []
    for series in ALL:
        fresh = mails(base, series)
        old = committed_mails(series)
        changed += [f"patches/{series}/{name}" for name in sorted(fresh.keys() | old.keys())
                    if fresh.get(name) != old.get(name)]
        folder = os.path.join(ROOT, "patches", series)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name, text in fresh.items():
            with open(os.path.join(folder, name), "w") as mail:
                mail.write(text)
    return changed


class Tree:
    """out/tree: the series as commits, a worktree of the base's repository."""

    path = os.path.join(OUT, "tree")

    def __init__(self, base):
        self.base = base

    def git(self, *args):
        return output(["git", *args], cwd=self.path, env=GIT_ENV)

    def make(self, tip):
        """Check out tip, unless that would lose somebody's work."""
        if os.path.isdir(self.path):
            head = self.git("rev-parse", "HEAD").strip()
            if head == tip:
                return "as it was"
            known = self.base.git("config", "--default", "", "--get", "lab.tree")
            if head != known or self.git("status", "--porcelain").strip():
                raise Fail("out/tree holds changes: take them back with `./run series "
                           "--import`, or remove them with `git -C out/tree reset --hard "
                           f"{known[:12]}`")
            self.git("reset", "--quiet", "--hard", tip)
        else:
            self.base.git("worktree", "prune")
            self.base.git("worktree", "add", "--quiet", "-B", "series", self.path, tip)
        self.base.git("config", "lab.tree", tip)
        return "new"

    def settle(self, tip):
        """After take_back(): the commits of out/tree become those that series/ composes to."""
        self.git("reset", "--quiet", "--hard", tip)
        self.base.git("config", "lab.tree", tip)

    def take_back(self):
        """Rewrite series/ and the overlay from the commits base..HEAD of out/tree."""
        if not os.path.isdir(self.path):
            raise Fail("there is no out/tree: make it with `./run tree`")
        if self.git("status", "--porcelain").strip():
            raise Fail("out/tree has changes that are not committed: commit them first")
        fresh = {series: [] for series in ALL}
        added, series = set(), MM
        for sha in self.git("rev-list", "--reverse", "base..HEAD").split():
            changes = [line.split("\t") for line in
                       self.git("diff-tree", "-r", "--no-commit-id", "--name-status",
                                "--no-renames", sha).splitlines()]
            files = [path for kind, path in changes if kind == "A"]
            edits = [path for kind, path in changes if kind == "M"]
            subject = self.git("show", "-s", "--format=%s", sha).strip()
            again = added.intersection(edits)
            if again or len(files) + len(edits) != len(changes):
                raise Fail(f"commit '{subject}' deletes a file or edits one that the series "
                           f"adds ({', '.join(again) or 'see git show'}): fold that into the "
                           "commit that adds it")
            added.update(files)
            if FIRST_OF_LAB in files:
                series = LAB
            to_net = any(path.startswith("net/") for path in edits)
            fresh[NET if to_net else series].append((subject, sha, files, edits))
        for series, commits in fresh.items():
            folder = os.path.join(ROOT, "series", series)
            for patch in patches(series) if os.path.isdir(folder) else ():
                shutil.rmtree(patch.dir)
            for number, (subject, sha, files, edits) in enumerate(commits, 1):
                self.write_patch(f"{folder}/{number:02}-{slug(subject)}", sha, files, edits)

    def write_patch(self, folder, sha, files, edits):
        os.makedirs(folder)

        def write(path, text):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)
        write(f"{folder}/message", self.git("show", "-s", "--format=%B", sha).strip() + "\n")
        if edits:
            write(f"{folder}/edits.diff",
                  self.git("diff", "--no-renames", f"{sha}^", sha, "--", *edits))
        if files:
            write(f"{folder}/files", "\n".join(files) + "\n")
        for path in files:
            target = os.path.join(ROOT, path)
            write(target, self.git("show", f"HEAD:{path}"))
            os.chmod(target, 0o755 if os.access(os.path.join(self.path, path), os.X_OK)
                     else 0o644)


def slug(subject):
    """A folder name: the first words of the subject, its prefix left out."""
    words = re.findall(r"[a-z0-9_]+", subject.split(":", 1)[-1].lower())
    return "-".join(words[:5])
