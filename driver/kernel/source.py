# SPDX-License-Identifier: GPL-2.0-only
"""The pristine kernel that the series applies to, as a git repository under out/."""

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import threading
from dataclasses import asdict, dataclass

from driver.core import paths
from driver.core.paths import shown
from driver.core.process import output
from driver.core.stage import Fail, say, stage
from driver.kernel import debian

# The kernels that there are mails for; the first that can be had is the base if none is named.
RELEASES = ("7.3", "6.12")
NEEDED_GIB, FURTHER_GIB = 10, 3        # for all, and for one more base
# What a build in a tree leaves there, or most of it.
BUILT = re.compile(r"^\.(config.*|version|missing-syscalls\.d|tmp_.*|.*\.(cmd|d|o))$|"
                   r"^(vmlinux|bzImage|System\.map|modules\.\w+|vmlinux\.lds|vdso.*\.lds)$|"
                   r"\.(o|a|ko|mod|mod\.c|order|symvers|so|so\.dbg|tab\.[ch]|lex\.c)$")
MADE = re.compile(r"^(include|arch/\w+/include)/generated$|^include/config$")     # folders
# Objects are within the tree: make then names sources by relative paths, so that ccache and make
# find what was built for another base, or before the project's folder was moved.
OBJECTS = "obj-"
INDEX = "kdir.index"        # which files of a KDIR have been taken in

GIT_ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
           "GIT_AUTHOR_NAME": "mm folio lifetime project",
           "GIT_AUTHOR_EMAIL": "folio-lifetime@project.invalid",
           "GIT_COMMITTER_NAME": "mm folio lifetime project",
           "GIT_COMMITTER_EMAIL": "folio-lifetime@project.invalid",
           "GIT_AUTHOR_DATE": "2026-11-22T12:00:00+0000",
           "GIT_COMMITTER_DATE": "2026-11-22T12:00:00+0000"}


worktrees = threading.Lock()
unpacking = {release: threading.RLock() for release in RELEASES}


@dataclass
class Base:
    """One base: a source repository, and what is built of it."""
    ident: str              # the name of its folder in out/
    version: str
    origin: str
    release: str            # which of RELEASES the mails are of

    def __post_init__(self):
        self.dir = os.path.join(paths.OUT, self.ident)
        self.src = os.path.join(self.dir, "linux")
        # Who checks a commit out, and builds it, holds this.
        self.tree = threading.RLock()
        self.uml = None

    @property
    def foreign(self):
        """Are there no mails for just this release?  Then those of the nearest are tried."""
        return release_of(self.version) != self.release

    @property
    def newest(self):
        """Is it the kernel that the series is written for, and sent against?"""
        return self.release == RELEASES[0]

    @property
    def suffix(self):
        """What the names of logs and folders have in addition, if not of the newest."""
        return "" if self.newest else f"-{self.release}"

    @functools.cached_property
    def uml_smp(self):
        """Can UML have more than one CPU?  Without, there are no sync points in it."""
        return bool(re.search(r"^config SMP$", paths.read(
            os.path.join(self.src, "arch/um/Kconfig")), re.M))

    def git(self, *args, env=None, stdin=None):
        return output(["git", *args], cwd=self.src, env={**GIT_ENV, **(env or {})},
                      stdin=stdin).strip()

    @functools.cached_property
    def commit(self):
        return self.git("rev-parse", "base^{commit}")

    @functools.cached_property
    def has_points(self):
        """Are the lab's mails applied to it?  Then nothing is composed: it is taken as it is."""
        return bool(self.git("ls-tree", self.commit, "mm/sync_point.c"))

    @functools.cached_property
    def gitdir(self):
        return os.path.join(self.src, self.git("rev-parse", "--git-dir"))

    def for_uml(self):
        """The same base with a worktree of its own: UML is built beside x86_64."""
        with worktrees:
            if self.uml is None:
                self.uml = self.other_worktree("linux-um")
            return self.uml

    def other_worktree(self, name):
        other = Base(self.ident, self.version, self.origin, self.release)
        other.src = os.path.join(self.dir, name)
        if not os.path.isdir(other.src):
            self.git("worktree", "prune")
            self.git("worktree", "add", "--quiet", "--detach", "--no-checkout", other.src,
                     self.commit)
        # The two know each other by absolute paths: the project's folder may have moved
        self.git("worktree", "repair", other.src)
        return other

    def checkout(self, commit):
        """Put the tree at commit; only files that differ are touched."""
        lock = os.path.join(self.gitdir, "index.lock")
        if os.path.exists(lock):        # a run was killed; out/.lock says none is active
            os.unlink(lock)
        shutil.rmtree(os.path.join(self.gitdir, "rebase-apply"), ignore_errors=True)
        self.same_times()
        self.git("checkout", "--quiet", "--force", "--detach", commit)
        self.git("clean", "--quiet", "-fd")

    def same_times(self):
        """If the tree was copied, look at the files, or git takes all of them for changed."""
        known, here = os.path.join(self.gitdir, "inode"), str(os.stat(self.src).st_ino)
        before = paths.read(known) if os.path.exists(known) else here
        if before != here:
            output(["git", "-C", self.src, "status", "--porcelain", "-uno"], env=GIT_ENV)
        if before != here or not os.path.exists(known):
            paths.write(known, here)

    def objects(self, name):
        return os.path.join(self.src, OBJECTS + name)


def release_of(version):
    return ".".join(version.split(".")[:2])


def nearest(version):
    """The one of RELEASES, or of what BASE= names, that is the fewest releases away."""
    def number(release):
        major, minor = map(int, release.split(".")[:2])
        return major * 20 + minor       # 6.19 is followed by 7.0
    return min(wanted(), key=lambda one: abs(number(one) - number(version)))


def wanted():
    """Which of RELEASES BASE= names; all, the newest first, if it names none."""
    named = os.environ.get("BASE")
    if named and named not in RELEASES:
        raise Fail(f"BASE={named}: there are mails for {', '.join(RELEASES)}")
    return (named,) if named else RELEASES


def makefile_version(text, where):
    found = [re.search(rf"^{key} *= *(\S*)", text, re.M)
             for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(found):
        raise Fail(f"{where} is not a kernel tree: its Makefile names no version")
    return ".".join(match[1] for match in found)


def check_disk():
    os.makedirs(paths.OUT, exist_ok=True)
    free = shutil.disk_usage(paths.OUT).free >> 30
    needed = FURTHER_GIB if glob.glob(os.path.join(paths.OUT, "*", "linux")) else NEEDED_GIB
    if free < needed:
        raise Fail(f"out/ has {free} GiB free, a full run needs {needed}: make room (each "
                   "out/kdir-* is of one KDIR, and can go), or put out on another disk "
                   "(a symbolic link will do)")


def init_repository(tree):
    """An empty repository, which ignores the folders of objects."""
    for cmd in (["init", "--quiet"], ["config", "core.abbrev", "12"], ["config", "gc.auto", "0"],
                ["config", "core.autocrlf", "false"], ["config", "feature.manyFiles", "true"]):
        output(["git", "-C", tree, *cmd], env=GIT_ENV)
    with open(os.path.join(tree, ".git/info/exclude"), "a") as out:
        out.write(f"/{OBJECTS}*/\n")


def without_packaging(tree):
    """Debian's .gitignore ends with what ignores the whole kernel: take that out."""
    path = os.path.join(tree, ".gitignore")
    if os.path.exists(path):
        ignored = paths.read(path)
        paths.write(path, re.sub(r"\n#\n# Debian packaging.*", "\n", ignored, flags=re.S))


def scratch(name):
    path = os.path.join(paths.OUT, f"unpack-{name}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


# A tree of the user's


def is_file(path):
    """Is there a file, or a link, which git takes for one?"""
    return os.path.islink(path) or os.path.isfile(path)


def tree_files(tree):
    """The files of a kernel tree, less what a build makes, with paths from its top."""
    if os.path.exists(os.path.join(tree, ".git")):
        # Somebody else's checkout may be "dubious" to git; it is only read here.
        return [name for name in output(
            ["git", "-c", "safe.directory=*", "-C", tree, "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"]).split("\0")
            if name and is_file(os.path.join(tree, name))]
    found = []
    for folder, folders, files in os.walk(tree):
        where = os.path.relpath(folder, tree)
        folders[:] = sorted(name for name in folders
                            if not MADE.match(os.path.normpath(os.path.join(where, name))))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.normpath(os.path.join(where, name)) for name in sorted(files + links)
                  if not BUILT.search(name)]
    return found


def take_in(kdir, base):
    """Commit the files of a tree, as they are now, to the repository of a base.

    An index that is kept between runs knows which files have changed.  Nothing is written to the
    tree.
    """
    env = {**GIT_ENV, "GIT_INDEX_FILE": os.path.join(base.dir, INDEX),
           "GIT_DIR": os.path.join(base.src, ".git"), "GIT_WORK_TREE": kdir}

    def git(*args, stdin=None):
        return output(["git", *args], cwd=kdir, env=env, stdin=stdin).strip()
    files = tree_files(kdir)
    gone = set(git("ls-files", "-z").split("\0")) - {""} - set(files)
    git("update-index", "--force-remove", "-z", "--stdin",
        stdin="".join(f"{name}\0" for name in sorted(gone)))
    git("update-index", "--add", "--replace", "-z", "--stdin",
        stdin="".join(f"{name}\0" for name in files))
    commit = git("commit-tree", git("write-tree"), "-m", f"Linux {base.version} of KDIR")
    git("update-ref", "refs/tags/base", commit)
    return commit


def share(base):
    """The repository of a KDIR, anew if need be; it does not keep what Debian's kernels have."""
    objects = os.path.join(base.src, ".git/objects")
    shared = os.path.join(objects, "info/alternates")
    theirs = [os.path.relpath(each, objects) for each in sorted(
        glob.glob(os.path.join(paths.OUT, "v*", "linux/.git/objects")))]
    known = paths.read(shared).split() if os.path.exists(shared) else None
    if known is None or set(known) - set(theirs):       # what it was made of is gone
        check_disk()
        shutil.rmtree(os.path.join(base.src, ".git"), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(base.dir, INDEX))
        os.makedirs(base.src, exist_ok=True)
        init_repository(base.src)
    if known != theirs:
        paths.write(shared, "".join(f"{each}\n" for each in theirs))


def from_kdir(kdir):
    """The base of a tree of the user's, with the changes that are not committed there."""
    where = f"KDIR={kdir}"
    if not os.path.isfile(os.path.join(kdir, "Makefile")):
        raise Fail(f"{where}: no kernel tree there (no Makefile)")
    kdir = os.path.realpath(kdir)
    version = makefile_version(paths.read(os.path.join(kdir, "Makefile")), where)
    ident = f"kdir-{os.path.basename(kdir)}-{hashlib.sha1(kdir.encode()).hexdigest()[:8]}"
    base = Base(ident, version, f"{os.path.basename(kdir)} as it is now", nearest(version))
    if base.foreign:
        say(f"{where} is Linux {version}: the patches for {base.release} are tried")
        from_debian((base.release,))        # what git am -3 merges with
    share(base)
    with stage(f"take in {where}") as this:
        commit = take_in(kdir, base)
        if not os.path.exists(os.path.join(base.src, "Makefile")):     # its tools are run there
            base.checkout(commit)
        this.note = commit[:12]
    return base


# Debian's


def memory(releases):
    return os.path.join(paths.OUT, f"base-{'-or-'.join(releases)}.json")


def remembered(releases):
    """The base that was found for releases, one or several, by an earlier run."""
    with contextlib.suppress(FileNotFoundError, TypeError, ValueError):
        base = Base(**json.loads(paths.read(memory(releases))))
        if os.path.isdir(base.src):
            return base
    return None


def remember(base, releases):
    paths.write(memory(releases), json.dumps(asdict(base)))


def from_debian(releases, meanwhile=lambda: None):
    """The first of releases that can be had, as Debian has it; or one that is newer.

    meanwhile: is called when it is known which, and is yet to be unpacked.
    """
    base = remembered(releases[:1]) or remembered(releases)
    if base:
        meanwhile()
        return base
    check_disk()
    with debian.asking, stage("find the newest Linux " + " or ".join(releases)) as this:
        apt = debian.environment()
        status, log = debian.update(apt)
        release, version, suite = debian.newest_package(apt, status, log, releases)
        this.note = f"{version} in {suite}"
    if release != releases[0]:
        say(f"no Debian suite ships linux-source-{releases[0]} any more: the base is {release}"
            + ("" if release in RELEASES else
               f", with the mails of {nearest(release)} by git am -3"))
    meanwhile()
    with unpacking.setdefault(release, threading.RLock()):
        base = remembered((release,)) or unpacked(apt, release, version, suite)
        remember(base, (release,))
    if debian.all_reached(status, log):     # else the next run looks again
        remember(base, releases)
    return base


def unpacked(apt, release, version, suite):
    """Fetch a package of the kernel source, and make it a base."""
    folder = scratch(release)
    tree = debian.fetch_source(apt, release, version, folder)
    with stage(f"make Linux {release} a git repository"):
        linux = makefile_version(paths.read(os.path.join(tree, "Makefile")), shown(tree))
        base = Base(f"v{linux}", linux, f"Debian {version}, {suite}",
                    release if release in RELEASES else nearest(release))
        if not os.path.isdir(base.src):
            without_packaging(tree)
            init_repository(tree)
            for cmd in (["add", "--all", "--force"],
                        ["commit", "--quiet", "-m", f"Linux {base.version} ({base.origin})"],
                        ["tag", "base"]):
                output(["git", "-C", tree, *cmd], env=GIT_ENV)
            os.makedirs(base.dir, exist_ok=True)
            os.rename(tree, base.src)
        shutil.rmtree(folder)
    return base


def get(meanwhile=lambda: None):
    """The base that the environment asks for; meanwhile: see from_debian()."""
    kdir = os.environ.get("KDIR")
    return from_kdir(kdir) if kdir else from_debian(wanted(), meanwhile)
