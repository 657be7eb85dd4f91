# SPDX-License-Identifier: GPL-2.0-only
"""out/tree: the series as commits, to work on; and back from them."""

import os
import re
import shutil

from driver.core.paths import OUT, ROOT, read
from driver.core.process import output
from driver.core.stage import Fail
from driver.kernel import compose, maintainers
from driver.kernel.compose import LAB, MM, SERIES, TCP, find, folder, patches
from driver.kernel.source import GIT_ENV, RELEASES

# The commits of the lab begin with the one that adds this file.
FIRST_OF_LAB = "lib/tests/folio_links_kunit.c"
# What the commits of tcp are about.
NET = re.compile(r"(tools/testing/selftests/)?net/")
KNOWN = "driver.tree"       # in the repository's configuration: the commit that was checked out


def slug(subject):
    """A folder name: the first words of the subject, its prefix left out."""
    words = re.findall(r"[a-z0-9_]+", subject.split(":", 1)[-1].lower())
    return "-".join(words[:5])


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)


class Tree:
    """out/tree: a worktree of the base's repository."""

    def __init__(self, base):
        self.base = base
        kdir = f"-{base.ident}" * base.ident.startswith("kdir-")     # a repository of its own
        self.name = "out/tree" + (kdir or base.suffix)
        self.path = os.path.join(OUT, os.path.basename(self.name))

    def git(self, *args):
        return output(["git", *args], cwd=self.path, env=GIT_ENV)

    def make(self, tip):
        """Check out tip, unless that would lose somebody's work."""
        if os.path.isdir(self.path):
            head = self.git("rev-parse", "HEAD").strip()
            if head == tip:
                return "as it was"
            known = self.base.git("config", "--default", "", "--get", KNOWN)
            if head != known or self.git("status", "--porcelain").strip():
                raise Fail(f"{self.name} holds changes: take them back with `./run series "
                           f"--import`, or remove them with `git -C {self.name} clean -fd` and "
                           f"`git -C {self.name} reset --hard {known[:12]}`")
            self.git("reset", "--quiet", "--hard", tip)
        else:
            self.base.git("worktree", "prune")
            self.base.git("worktree", "add", "--quiet", "-B", "series", self.path, tip)
        self.base.git("config", KNOWN, tip)
        return "new"

    def settle(self, tip):
        """After take_back(): the commits of out/tree become those that series/ composes to."""
        self.git("reset", "--quiet", "--hard", tip)
        self.base.git("config", KNOWN, tip)

    def check(self):
        """Can its commits be taken back?"""
        if not os.path.isdir(self.path):
            raise Fail(f"there is no {self.name}: make it with `./run tree`")
        if self.git("status", "--porcelain").strip():
            raise Fail(f"{self.name} has changes that are not committed: commit them first")
        if self.git("rev-parse", "--abbrev-ref", "HEAD").strip() == "HEAD":
            raise Fail(f"{self.name} is not on a branch, which has all commits: end the rebase "
                       "that is going on, or check out series")

    def check_overlay(self, files):
        """What was changed here since out/tree was made would be lost."""
        made_of = self.base.git("config", "--get", KNOWN).strip()
        for path in files:
            here = os.path.join(ROOT, path)
            if os.path.exists(here) and read(here) not in (self.at(made_of, path),
                                                           self.at("HEAD", path)):
                raise Fail(f"{path} has changes that are not in {self.name}: make them there, "
                           f"in a commit, and undo them here (git checkout {path})")

    def at(self, commit, path):
        """A file in a commit, or None."""
        if self.git("ls-tree", commit, "--", path):
            return self.git("show", f"{commit}:{path}")
        return None

    def commits(self):
        """{series: [(subject, commit, files added, files edited)]} of base..HEAD."""
        fresh = {series: [] for series in SERIES}
        added_by, series = {}, MM
        for sha in self.git("rev-list", "--reverse", "base..HEAD").split():
            changes = [line.split("\t") for line in
                       self.git("diff-tree", "-r", "--no-commit-id", "--name-status",
                                "--no-renames", sha).splitlines()]
            files = [path for kind, path in changes if kind == "A"]
            edits = [path for kind, path in changes
                     if kind == "M" and path != maintainers.PATH]
            subject = self.git("show", "-s", "--format=%s", sha).strip()
            gone = [path for kind, path in changes if kind not in "AM"]
            if gone:
                raise Fail(f"commit '{subject}' deletes {', '.join(gone)}, which a patch of the "
                           "series is not to do")
            # An older kernel may need others of what the series has added before
            for path in edits if self.base.newest else ():
                if path in added_by:
                    raise Fail(f"commit '{subject}' edits {path}, which commit "
                               f"'{added_by[path]}' adds: fold it into that one (git rebase -i "
                               "base, fixup)")
            added_by.update(dict.fromkeys(files, subject))
            if FIRST_OF_LAB in files:
                series = LAB
            if len(edits) < sum(kind == "M" for kind, _ in changes):
                self.check_maintainers(subject, sha, files)
            to_net = any(NET.match(path) for path in edits + files)
            fresh[TCP if to_net else series].append((subject, sha, files, edits))
        for series in SERIES:
            if not fresh[series]:
                raise Fail(f"{self.name} has no commit for {folder(series)}: all of the series "
                           "are to be there")
        return fresh

    def take_back(self):
        """Rewrite series/ and the overlay from the commits base..HEAD of out/tree."""
        self.check()
        fresh = self.commits()
        if not self.base.newest:
            return self.take_back_older(fresh)
        self.check_overlay([path for commits in fresh.values() for _, _, files, _ in commits
                            for path in files])
        for series, commits in fresh.items():
            for patch in patches(series):
                shutil.rmtree(os.path.join(ROOT, patch.dir))
            for number, (subject, sha, files, edits) in enumerate(commits, 1):
                where = os.path.join(ROOT, folder(series), f"{number:02}-{slug(subject)}")
                self.write_patch(where, sha, files, edits)

    def take_back_older(self, fresh):
        """Only edits and messages are taken; and where those of RELEASES[0] do, there are none."""
        release = self.base.release
        for series, commits in fresh.items():
            known = patches(series, release)
            if len(known) != len(commits):
                raise Fail(f"{self.name} has {len(commits)} patches for "
                           f"{folder(series, release)}, which has {len(known)}: a patch is "
                           f"added by its folder there, or on {RELEASES[0]}")
            for patch, (_, sha, *_) in zip(known, commits):
                where = os.path.join(ROOT, folder(series, release), patch.slug)
                message = self.git("show", "-s", "--format=%B", sha).strip() + "\n"
                if message != patch.message:
                    write(f"{where}/message", message)
                path = os.path.join(where, "edits.diff")
                if os.path.exists(path):
                    os.unlink(path)
                shared = find(series, f"{patch.slug}/edits.diff", release)[1] or ""
                if not self.gives(sha, shared, patch.files):
                    write(path, self.git("diff", "--no-renames",
                                         self.with_overlay(sha, patch.files), sha))
                elif os.path.isdir(where) and not os.listdir(where):
                    os.rmdir(where)

    def check_maintainers(self, subject, sha, files):
        """What a commit does to MAINTAINERS is what composing it does."""
        before, after = (self.git("show", f"{which}:{maintainers.PATH}") for which in
                         (sha + "^", sha))
        if maintainers.added(before, maintainers.wanted(files)).strip() != after.strip():
            raise Fail(f"commit '{subject}' changes {maintainers.PATH} in its own way: take that "
                       f"out, and add the line to {maintainers.PATH} of this project")

    def with_overlay(self, sha, files):
        """The tree before a commit, with overlay files added."""
        with compose.index(self.base) as env:
            self.base.git("read-tree", sha + "^", env=env)
            if files:
                compose.add_overlay(self.base, env, list(files))
            return self.base.git("write-tree", env=env)

    def gives(self, sha, diff, files):
        """Do these edits make the commit out of the one before, with overlay files added?"""
        with compose.index(self.base) as env:
            self.base.git("read-tree", self.with_overlay(sha, files), env=env)
            try:
                if diff:
                    compose.apply_edits(self.base, env, diff, "")
            except Fail:
                return False
            return (self.base.git("write-tree", env=env)
                    == self.base.git("rev-parse", sha + "^{tree}"))

    def write_patch(self, where, sha, files, edits):
        write(f"{where}/message", self.git("show", "-s", "--format=%B", sha).strip() + "\n")
        if edits:
            write(f"{where}/edits.diff",
                  self.git("diff", "--no-renames", f"{sha}^", sha, "--", *edits))
        if files:
            write(f"{where}/files", "\n".join(files) + "\n")
        for path in files:
            target = os.path.join(ROOT, path)
            write(target, self.git("show", f"HEAD:{path}"))
            os.chmod(target, 0o755 if os.access(os.path.join(self.path, path), os.X_OK)
                     else 0o644)
