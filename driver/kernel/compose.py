# SPDX-License-Identifier: GPL-2.0-only
"""From series/ and the overlay to commits.

series/<series>/<NN-slug>/ is one patch: its `message`, its `edits.diff` (changes to files the
kernel has) and `files` (paths of the overlay files that it adds, which MAINTAINERS names).  What
is in series/on-<release>/<series>/<NN-slug>/ takes the place of that on an older kernel, and its
edits.diff may also change the overlay files that the patch adds; there may be a patch of its own
as well.  With an empty message there, that kernel goes without the patch.  All else is shared.
"""

import contextlib
import os
import re
import tempfile

from driver.core.paths import ROOT, read, shown
from driver.core.process import run
from driver.core.stage import Fail
from driver.kernel import maintainers
from driver.kernel.source import GIT_ENV, RELEASES

SERIES = MM, TCP, LAB = "mm", "tcp", "lab"
EOF = "eof"     # a fix, for the newest base alone: the lab is to show what is without it
# {kernel: the series on top of the base}
KERNELS = {"stock": (), "mm": (MM,), "mm+tcp": (MM, TCP), "mm+lab": (MM, LAB),
           "all": (MM, TCP, LAB)}
# The base with sync points: see stock_with_points()
STOCK_LAB = "stock+lab"
# The files that have another name in an older kernel, less the suffix.
MOVED = {release: {"mm/folio": "mm/swap"} for release in RELEASES[1:]}
# What the mm series changes in the kernel itself, rather than adds to test it
# What asks for tests of what the base does not have
NOT_ON_STOCK = ("mm/.kunitconfig", "lib/tests/folio_links.kunitconfig")
CORE = re.compile(r"^(mm|include)/\w+\.[ch]$")


def name(series):
    """The kernel with these series."""
    return next(kernel for kernel, those in KERNELS.items() if those == series)


def apart(base):
    """What goes on a base alone, without the other series: another kernel may have it."""
    return [EOF] if base.newest and not base.foreign else []


def moved(release, text):
    """A text that names files, as it is for this kernel."""
    for new, old in MOVED.get(release, {}).items():
        text = re.sub(rf"\b{new}(\.c\b|\.o\b|:)", rf"{old}\1", text)
    return text


def folder(series, release=RELEASES[0]):
    """Where a series is, or what is other in it on an older kernel."""
    return f"series/{series}" if release == RELEASES[0] else f"series/on-{release}/{series}"


def find(series, name, release):
    """(path, text) of a file of a series, as it is for a release; the text may be None."""
    for where in dict.fromkeys((release, RELEASES[0])):
        path = f"{folder(series, where)}/{name}"
        if os.path.exists(os.path.join(ROOT, path)):
            text = read(os.path.join(ROOT, path))
            return path, text if where == release else moved(release, text)
    return f"{folder(series)}/{name}", None


def carried(release, message):
    """The message of a patch for RELEASES[0] in the series for an older kernel."""
    note = (f"[ For {release}.y. What is measured or tested above was on {RELEASES[0]}; the cover\n"
            f"  letter of the mm series says what was on {release}. ]\n")
    return re.sub(r"^(?=[A-Z][\w-]*-by: )", note, message, count=1, flags=re.M)


class Patch:
    def __init__(self, series, slug, release=RELEASES[0]):
        self.slug, self.dir = slug, f"{folder(series)}/{slug}"
        where, self.message = find(series, f"{slug}/message", release)
        if self.message and release != RELEASES[0] and where == f"{self.dir}/message":
            self.message = carried(release, self.message)
        self.where, edits = find(series, f"{slug}/edits.diff", release)
        self.edits = edits or ""
        self.files = (find(series, f"{slug}/files", release)[1] or "").split()
        if self.message is None:
            raise Fail(f"there is no message in {self.dir}, nor one in "
                       f"{folder(series, release)}/{slug}: if it has another name now, so must "
                       "the other have")

    def paths(self):
        """Every file that the patch touches."""
        return re.findall(r"^diff --git a/(\S+)", self.edits, re.M) + self.files


def patches(series, release=RELEASES[0]):
    slugs = set()
    for where in {folder(series), folder(series, release)}:
        path = os.path.join(ROOT, where)
        slugs.update(slug for slug in (os.listdir(path) if os.path.isdir(path) else ())
                     if os.path.isdir(os.path.join(path, slug)))
    known = [Patch(series, slug, release) for slug in sorted(slugs)]
    return [patch for patch in known if patch.message]


@contextlib.contextmanager
def index(base):
    """An index of its own, so that composing does not touch the tree."""
    with tempfile.TemporaryDirectory(dir=base.dir) as where:
        yield {"GIT_INDEX_FILE": os.path.join(where, "index")}


def apply_edits(base, env, diff, what, *how):
    try:
        base.git("apply", "--cached", "--whitespace=nowarn", *how, "-", env=env, stdin=diff)
    except Fail as failure:
        reason = str(failure).split("error: ", 1)[-1].splitlines()[0]
        raise Fail(f"{what} does not apply to Linux {base.version}: {reason}; edit it, it is a "
                   f"diff of {shown(base.src)}, tag base") from None


def add_blobs(base, env, entries):
    """Put [(mode, blob, path)] into the index, in one call: each reads and writes all of it."""
    base.git("update-index", "--add", "--index-info", env=env,
             stdin="".join(f"{mode} {blob}\t{path}\n" for mode, blob, path in entries))


def add_overlay(base, env, files):
    """Add files of the overlay, and the lines of MAINTAINERS that name them."""
    sources = [os.path.join(ROOT, path) for path in files]
    for path, source in zip(files, sources):
        if not os.path.isfile(source):
            raise Fail(f"{path} is named in series/ but is not in the overlay")
    blobs = base.git("hash-object", "-w", "--no-filters", "--stdin-paths",
                     stdin="".join(f"{source}\n" for source in sources)).split()
    entries = [("100755" if os.access(source, os.X_OK) else "100644", blob, path)
               for path, source, blob in zip(files, sources, blobs, strict=True)]
    if lines := maintainers.wanted(files):
        text = maintainers.added(base.git("show", f":{maintainers.PATH}", env=env) + "\n", lines)
        entries.append(("100644", base.git("hash-object", "-w", "--stdin", stdin=text),
                        maintainers.PATH))
    add_blobs(base, env, entries)


def commit(base, env, parent, message):
    tree = base.git("write-tree", env=env)
    return base.git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message)


def compose(base, series, onto, mails=None):
    """[(patch, commit)] of the series on top of the commit onto.

    mails: {file: text} of the nearest release, which a base without mails of its own is tried with.
    """
    if base.foreign:
        return by_mail(base, series, onto, mails)
    commits = []
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        for patch in patches(series, base.release):
            if patch.files:
                add_overlay(base, env, patch.files)
            if patch.edits:
                apply_edits(base, env, patch.edits, patch.where)
            onto = commit(base, env, onto, patch.message)
            commits.append((patch, onto))
    return commits


def by_mail(base, series, onto, mails):
    """The same by git am -3, with the mails for the nearest release."""
    commits, known = [], patches(series, base.release)
    if not mails:
        raise Fail(f"there is no mail of the series {series} to try on Linux {base.version}")
    texts = [(name, text) for name, text in mails.items() if name.endswith(".patch")]
    if len(known) != len(texts):
        raise Fail(f"patches/ has {len(texts)} mails of the series {series}, {folder(series)} "
                   f"{len(known)} patches: ./run series, without KDIR")
    with base.tree:
        base.checkout(onto)
        for patch, (name, text) in zip(known, texts):
            path = os.path.join(base.dir, name)
            with open(path, "w") as out:
                out.write(text)
            status, log = run(["git", "am", "-3", path], "git-am.log", cwd=base.src, env=GIT_ENV,
                              check=False)
            os.unlink(path)
            if status:
                base.git("am", "--abort")
                raise Fail(f"{name} of the series {series} does not apply to Linux {base.version}, "
                           f"nor does it merge ({shown(log)}); files: {stopped_at(log)}")
            commits.append((patch, base.git("rev-parse", "HEAD")))
    return commits


def stopped_at(log):
    """The files that git am could not change, of its words."""
    where = re.findall(r"patch failed: (\S+?):\d|^error: (\S+?): |^CONFLICT .*?(\S+)$", read(log),
                       re.M)
    return ", ".join(dict.fromkeys(map("".join, where))) or "none named"


def altered(base, onto, diff, path, *how):
    """A commit on top of onto, with the diff of a file of this project applied."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        apply_edits(base, env, moved(base.release, diff), path, *how)
        return commit(base, env, onto, path + "\n")


def part_of(base, onto, patch, where):
    """A commit on top of onto, with what a patch does below a folder."""
    with index(base) as env:
        base.git("read-tree", onto, env=env)
        edits = [each for each in re.split(r"^(?=diff --git )", patch.edits, flags=re.M)
                 if each.startswith(f"diff --git a/{where}")]
        add_overlay(base, env, [path for path in patch.files if path.startswith(where)])
        apply_edits(base, env, "".join(edits), patch.where)
        return commit(base, env, onto, patch.message)


def merged(base, path, stock, mm, lab):
    """The blob of a file that has what the lab changes in it, and not what the mm series does.

    Where the two change the same lines there is what stock has: stock.diff has the points there.
    """
    with tempfile.TemporaryDirectory(dir=base.dir) as where:
        names = []
        for name, onto in (("stock", stock), ("mm", mm), ("lab", lab)):
            names.append(os.path.join(where, name))
            with open(names[-1], "w", errors="surrogateescape") as out:
                out.write(base.git("show", f"{onto}:{path}") + "\n")
        base.git("merge-file", "--quiet", "--ours", *names)
        return base.git("hash-object", "-w", "--no-filters", names[0])


def stock_with_points(base, stock, mm, lab):
    """The base with the lab: what the mm series changes in the kernel is not there.

    The tests of what it adds are, but not the .kunitconfigs that ask for them.
    """
    def files(one, other):
        return base.git("diff", "--name-only", "--no-renames", one, other).splitlines()
    ours, theirs = [path for path in files(stock, mm) if CORE.match(path)], files(mm, lab)
    path, diff = find(LAB, "stock.diff", base.release)
    with index(base) as env:
        base.git("read-tree", lab, env=env)
        entries = [("0", "0" * 40, path) for path in NOT_ON_STOCK]
        for each in ours:
            blob = merged(base, each, stock, mm, lab) if each in theirs else \
                base.git("rev-parse", f"{stock}:{each}")
            entries.append(("100644", blob, each))
        add_blobs(base, env, entries)
        if diff:
            apply_edits(base, env, diff, path)
        return commit(base, env, lab, "The base with sync points\n")
