# SPDX-License-Identifier: GPL-2.0-only
"""The series: from series/ and the overlay to commits and mails, and back.

series/v7.3<which>/<NN-slug>/ is one patch: its `message`, its `edits.diff` (changes to
files the kernel has) and `files` (paths of the overlay files that it adds).  For an older
kernel, what is in series/v<version><which>/<NN-slug>/ takes the place of what is there, and its
edits.diff may also change the overlay files that the patch adds; there may be a patch of its own
as well.  All else is shared.
"""

import contextlib
import os
import re
import shutil
import tempfile

from base import GIT_ENV, VERSIONS
from stage import OUT, ROOT, Fail, output, run

ALL = MM, NET, LAB = "", "-net", "-lab"
# The files that have another name in an older kernel, less the suffix.
MOVED = {version: {"mm/folio": "mm/swap"} for version in VERSIONS[1:]}
# The commits of the lab series begin with the one that adds this file.
FIRST_OF_LAB = "mm/sync_point.c"
MUTANTS = os.path.join(ROOT, "mutants")
# From which kernels a mutant may remove a guard, and where it may run.
ON = ("mm", "mm+tcp", "lab")
WHERE = ("uml", "qemu", "kcsan")
PREFIX = {MM: "PATCH", NET: "PATCH net", LAB: "PATCH"}


def name(series, version=VERSIONS[0]):
    """What its folder is called, in series/ and patches/."""
    return f"v{version}{series}"


def moved(version, text):
    """A text that names files, as it is for this kernel."""
    for new, old in MOVED.get(version, {}).items():
        text = re.sub(rf"\b{new}(\.c\b|\.o\b|:)", rf"{old}\1", text)
    return text


def read(path, version):
    """(path, text) of a file in series/v7.3..., or of the one for an older kernel; or None."""
    for folder in (name("", version), name("")):
        where = re.sub(r"^[^-/]*", folder, path)
        full = os.path.join(ROOT, "series", where)
        if os.path.exists(full):
            with open(full) as content:
                text = content.read()
            return f"series/{where}", text if folder == name("", version) else moved(version, text)
    return f"series/{path}", None


def carried(version, message):
    """The message of a patch for VERSIONS[0] in the series for an older kernel."""
    note = (f"[ For {version}.y. What is measured or tested above was on {VERSIONS[0]}; the cover\n"
            f"  letter of the mm series says what was on {version}. ]\n")
    return re.sub(r"^(?=[A-Z][\w-]*-by: )", note, message, count=1, flags=re.M)


class Patch:
    def __init__(self, series, slug, version=VERSIONS[0]):
        self.slug = slug
        self.dir = f"{name(series)}/{slug}"
        where, self.message = read(f"{self.dir}/message", version)
        if self.message and version != VERSIONS[0] and where == f"series/{self.dir}/message":
            self.message = carried(version, self.message)
        self.where, self.edits = read(f"{self.dir}/edits.diff", version)
        self.edits = self.edits or ""
        self.files = (read(f"{self.dir}/files", version)[1] or "").split()
        if self.message is None:
            raise Fail(f"there is no message in series/{self.dir}, nor one in series/"
                       f"{name(series, version)}/{slug}: if it has another name now, so must "
                       "the other have")

    def paths(self):
        """Every file that the patch touches."""
        return re.findall(r"^diff --git a/(\S+)", self.edits, re.M) + self.files


def patches(series, version=VERSIONS[0]):
    slugs = set()
    for folder in {name(series), name(series, version)}:
        path = os.path.join(ROOT, "series", folder)
        slugs.update(slug for slug in (os.listdir(path) if os.path.isdir(path) else ())
                     if os.path.isdir(os.path.join(path, slug)))
    return [Patch(series, slug, version) for slug in sorted(slugs)]


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
        raise Fail(f"{what} does not apply to Linux {base.version}: {reason}; edit it, it is a "
                   f"diff of {os.path.relpath(base.src, ROOT)}, tag base") from None


def add_overlay(base, env, paths):
    sources = [os.path.join(ROOT, path) for path in paths]
    for path, source in zip(paths, sources):
        if not os.path.isfile(source):
            raise Fail(f"{path} is named in series/ but is not in the overlay")
    blobs = base.git("hash-object", "-w", "--no-filters", "--stdin-paths",
                     stdin="".join(f"{source}\n" for source in sources)).split()
    # One call for all: each reads and writes the index of the whole kernel
    base.git("update-index", "--add", "--index-info", env=env, stdin="".join(
        f"{'100755' if os.access(source, os.X_OK) else '100644'} {blob}\t{path}\n"
        for path, source, blob in zip(paths, sources, blobs, strict=True)))


def commit(base, env, parent, message):
    tree = base.git("write-tree", env=env)
    return base.git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message)


def compose(base, series, onto):
    """[(patch, commit)] of the series on top of the commit onto."""
    if base.foreign:
        return by_mail(base, series, onto)
    commits = []
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        for patch in patches(series, base.series):
            if patch.files:
                add_overlay(base, env, patch.files)
            if patch.edits:
                apply_edits(base, env, patch.edits, patch.where)
            onto = commit(base, env, onto, patch.message)
            commits.append((patch, onto))
    return commits


def by_mail(base, series, onto):
    """The same by git am -3, with the mails for the nearest kernel."""
    folder, commits = os.path.join("patches", name(series, base.series)), []
    mails = [mail for mail in committed_mails(base, series) if mail.endswith(".patch")]
    base.checkout(onto)
    known = patches(series, base.series)
    if len(known) != len(mails):
        raise Fail(f"{folder} has {len(mails)} mails, series/ {len(known)} patches: ./run series, "
                   "without KDIR")
    for patch, mail in zip(known, mails):
        status, log = run(["git", "am", "-3", os.path.join(ROOT, folder, mail)], "git-am.log",
                          cwd=base.src, env=GIT_ENV, check=False)
        if status:
            base.git("am", "--abort")
            with open(log) as said:
                where = re.findall(r"patch failed: (\S+?):\d|^error: (\S+?): |"
                                   r"^CONFLICT .*?(\S+)$", said.read(), re.M)
            files = ", ".join(dict.fromkeys(map("".join, where)))
            raise Fail(f"{folder}/{mail} does not apply to Linux {base.version}, nor does it merge "
                       f"({log}); files: {files}")
        commits.append((patch, base.git("rev-parse", "HEAD")))
    return commits


def altered(base, onto, diff, path):
    """A commit on top of onto, with the diff of a file of this project applied."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        apply_edits(base, env, moved(base.series, diff), path)
        return commit(base, env, onto, path + "\n")


def part_of(base, onto, patch, folder):
    """A commit on top of onto, with what a patch does below a folder."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        edits = [each for each in re.split(r"^(?=diff --git )", patch.edits, flags=re.M)
                 if each.startswith(f"diff --git a/{folder}")]
        add_overlay(base, env, [path for path in patch.files if path.startswith(folder)])
        apply_edits(base, env, "".join(edits), patch.where)
        return commit(base, env, onto, patch.message)


def mutate(base, onto, mutant):
    path = f"mutants/{mutant.name}.diff"
    own = os.path.join(ROOT, "mutants", name("", base.series), mutant.name + ".diff")
    if os.path.exists(own):     # just the diff, where that of VERSIONS[0] does not fit
        with open(own) as diff:
            return altered(base, onto, diff.read(), os.path.relpath(own, ROOT))
    return altered(base, onto, mutant.diff, path)


def lab_stock(base, lab):
    """The lab with the mm series taken out again: the base with sync points."""
    path, diff = read(f"{name(LAB)}/stock.diff", base.series)
    return altered(base, lab, diff, path)


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
        for line, known in (("On", ON), ("Where", WHERE)):
            if header[line] not in known:
                raise Fail(f"mutants/{name}.diff: there is no '{line}: {header[line]}', there are: "
                           + ", ".join(known))
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


def cover(series, version):
    """That of an older kernel is its own: it says what was tested there."""
    path = os.path.join(ROOT, "series", name(series, version), "cover")
    if not os.path.exists(path):
        return None
    with open(path) as text:
        return text.read()


def below(base, series):
    """The commit that a series is for: the lab's is for the tip of the mm series."""
    return compose(base, MM, base.commit)[-1][1] if series == LAB else base.commit


def mails(base, series):
    """{file name: text} of what belongs in patches/<name>/."""
    branch, onto = "compose-" + name(series, base.series), below(base, series)
    base.git("branch", "--force", "--no-track", branch, compose(base, series, onto)[-1][1])
    text = cover(series, base.series)
    stable = f" {base.series}.y" * (not base.newest)
    cmd = ["format-patch", "--quiet", "--zero-commit", "--no-signature", "--no-thread",
           f"--subject-prefix={PREFIX[series]}{stable}", "--numbered" if text else "--no-numbered"]
    if text:
        base.git("config", f"branch.{branch}.description", text)
        cmd += ["--cover-letter", "--cover-from-description=subject"]
    with tempfile.TemporaryDirectory(dir=base.dir) as folder:
        base.git(*cmd, "-o", folder, f"{onto}..{branch}")
        result = {}
        for file in sorted(os.listdir(folder)):
            with open(os.path.join(folder, file)) as mail:
                # git am takes *.patch, and stops at a cover letter
                result[file.replace("0000-cover-letter.patch", "0000-cover-letter.txt")] = \
                    mail.read()
    return result


def made_on(version):
    """Which point release of a kernel the mails in patches/ were composed on."""
    try:
        with open(os.path.join(ROOT, "patches", name("", version), "base")) as text:
            return text.read().strip()
    except FileNotFoundError:
        return None


def without_lines(mail):
    """A mail less what changes with each point release: line numbers, blobs, functions around."""
    return re.sub(r"^@@ .* @@.*$|^index [0-9a-f]+\.\.[0-9a-f]+", "", mail, flags=re.M)


def committed_mails(base, series):
    folder = os.path.join(ROOT, "patches", name(series, base.series))
    result = {}
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if file != "base":
            with open(os.path.join(folder, file)) as mail:
                result[file] = mail.read()
    return result


def write_mails(base):
    """Recompose patches/; return the names of the mails that changed."""
    changed = []
    for series in ALL:
        fresh, where = mails(base, series), name(series, base.series)
        old = committed_mails(base, series)
        changed += [f"patches/{where}/{file}" for file in sorted(fresh.keys() | old.keys())
                    if fresh.get(file) != old.get(file)]
        folder = os.path.join(ROOT, "patches", where)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for file, text in fresh.items():
            with open(os.path.join(folder, file), "w") as mail:
                mail.write(text)
    with open(os.path.join(ROOT, "patches", name("", base.series), "base"), "w") as out:
        out.write(base.version + "\n")
    return changed


class Tree:
    """out/tree: the series as commits, a worktree of the base's repository."""

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
            known = self.base.git("config", "--default", "", "--get", "lab.tree")
            if head != known or self.git("status", "--porcelain").strip():
                raise Fail(f"{self.name} holds changes: take them back with `./run series "
                           f"--import`, or remove them with `git -C {self.name} clean -fd` and "
                           f"`git -C {self.name} reset --hard {known[:12]}`")
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
            raise Fail(f"there is no {self.name}: make it with `./run tree`")
        if self.git("status", "--porcelain").strip():
            raise Fail(f"{self.name} has changes that are not committed: commit them first")
        if self.git("rev-parse", "--abbrev-ref", "HEAD").strip() == "HEAD":
            raise Fail(f"{self.name} is not on a branch, which has all commits: end the rebase "
                       "that is going on, or check out series")
        fresh = {series: [] for series in ALL}
        added, series = set(), MM
        for sha in self.git("rev-list", "--reverse", "base..HEAD").split():
            changes = [line.split("\t") for line in
                       self.git("diff-tree", "-r", "--no-commit-id", "--name-status",
                                "--no-renames", sha).splitlines()]
            files = [path for kind, path in changes if kind == "A"]
            edits = [path for kind, path in changes if kind == "M"]
            subject = self.git("show", "-s", "--format=%s", sha).strip()
            # An older kernel may need others of what the series has added before
            again = added.intersection(edits) if self.base.newest else ()
            if again or len(files) + len(edits) != len(changes):
                raise Fail(f"commit '{subject}' deletes a file or edits one that the series "
                           f"adds ({', '.join(again) or 'see git show'}): fold that into the "
                           "commit that adds it")
            added.update(files)
            if FIRST_OF_LAB in files:
                series = LAB
            to_net = any(path.startswith("net/") for path in edits)
            fresh[NET if to_net else series].append((subject, sha, files, edits))
        for series in ALL:
            if not fresh[series]:
                raise Fail(f"{self.name} has no commit for series/{name(series)}: all of the "
                           "series are to be there")
        if not self.base.newest:
            return self.take_back_older(fresh)
        for series, commits in fresh.items():
            folder = os.path.join(ROOT, "series", name(series))
            for patch in patches(series) if os.path.isdir(folder) else ():
                shutil.rmtree(os.path.join(ROOT, "series", patch.dir))
            for number, (subject, sha, files, edits) in enumerate(commits, 1):
                self.write_patch(f"{folder}/{number:02}-{slug(subject)}", sha, files, edits)

    def take_back_older(self, fresh):
        """Only edits and messages are taken; and where those of VERSIONS[0] do, there are none."""
        version = self.base.series
        for series, commits in fresh.items():
            known = patches(series, version)
            if len(known) != len(commits):
                raise Fail(f"{self.name} has {len(commits)} patches for "
                           f"series/{name(series, version)}, which has {len(known)}: a patch is "
                           f"added by its folder there, or on {VERSIONS[0]}")
            for patch, (_, sha, *_) in zip(known, commits):
                folder = os.path.join(ROOT, "series", name(series, version), patch.slug)
                message = self.git("show", "-s", "--format=%B", sha).strip() + "\n"
                if message != patch.message:
                    os.makedirs(folder, exist_ok=True)
                    with open(os.path.join(folder, "message"), "w") as out:
                        out.write(message)
                path = os.path.join(folder, "edits.diff")
                if os.path.exists(path):
                    os.unlink(path)
                shared = read(f"{patch.dir}/edits.diff", version)[1] or ""
                if not self.gives(sha, shared, patch.files):
                    os.makedirs(folder, exist_ok=True)
                    with open(path, "w") as out:
                        out.write(self.git("diff", "--no-renames",
                                           self.with_overlay(sha, patch.files), sha))
                elif os.path.isdir(folder) and not os.listdir(folder):
                    os.rmdir(folder)

    def with_overlay(self, sha, files):
        """The tree before a commit, with overlay files added."""
        with index(self.base) as env:
            self.base.git("read-tree", sha + "^", env=env)
            add_overlay(self.base, env, list(files))
            return self.base.git("write-tree", env=env)

    def gives(self, sha, diff, files):
        """Do these edits make the commit out of the one before, with overlay files added?"""
        with index(self.base) as env:
            self.base.git("read-tree", self.with_overlay(sha, files), env=env)
            try:
                if diff:
                    apply_edits(self.base, env, diff, "")
            except Fail:
                return False
            return (self.base.git("write-tree", env=env)
                    == self.base.git("rev-parse", sha + "^{tree}"))

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
