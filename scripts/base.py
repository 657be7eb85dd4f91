# SPDX-License-Identifier: GPL-2.0-only
"""The pristine kernel the series applies to, as a git repository under out/."""

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

from stage import OUT, Fail, output, run, stage

# The kernels that there is a series for; the first that can be had is the base if none is named.
VERSIONS = ("7.3", "7.2", "6.12")
SUITES = {"Debian": ["bookworm-backports", "trixie", "trixie-updates", "trixie-backports",
                     "forky", "sid"],
          "Debian-Security": ["bookworm-security", "trixie-security"]}
NEEDED_GIB, FURTHER_GIB = 12, 4        # for all, and for one more base
# What a build in a tree leaves there, or most of it.
BUILT = re.compile(r"^\.|^(vmlinux|bzImage|System\.map|modules\.\w+)$|"
                   r"\.(o|a|ko|mod|mod\.c|order|symvers|lds|so|so\.dbg|tab\.[ch]|lex\.c)$")

GIT_ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
           "GIT_AUTHOR_NAME": "mm folio lifetime project",
           "GIT_AUTHOR_EMAIL": "folio-lifetime@project.invalid",
           "GIT_COMMITTER_NAME": "mm folio lifetime project",
           "GIT_COMMITTER_EMAIL": "folio-lifetime@project.invalid",
           "GIT_AUTHOR_DATE": "2026-11-22T12:00:00+0000",
           "GIT_COMMITTER_DATE": "2026-11-22T12:00:00+0000"}


class NotShipped(Fail):
    """The archive was reached, and does not have the kernel any more."""


class Base:
    """One base: a source repository and the build folders that belong to it."""

    def __init__(self, ident, version, origin, series=None):
        self.dir = os.path.join(OUT, ident)
        self.src = os.path.join(self.dir, "linux")
        self.ident, self.version, self.origin = ident, version, origin
        self.series = series or nearest(version)        # which of VERSIONS

    @property
    def foreign(self):
        """Is there no series for just this kernel?  Then the mails of the nearest are tried."""
        return series_of(self.version) != self.series

    @property
    def newest(self):
        """Is it the kernel that the series is written for, and sent against?"""
        return self.series == VERSIONS[0]

    @property
    def suffix(self):
        """What the names of logs and folders have in addition, if they are not of the newest."""
        return "" if self.newest else f"-{self.series}"

    @functools.cached_property
    def uml_smp(self):
        """Can UML have more than one CPU?  Without, there are no sync points in it."""
        with open(os.path.join(self.src, "arch/um/Kconfig")) as kconfig:
            return bool(re.search(r"^config SMP$", kconfig.read(), re.M))

    def git(self, *args, env=None, stdin=None):
        return output(["git", *args], cwd=self.src, env={**GIT_ENV, **(env or {})},
                      stdin=stdin).strip()

    @functools.cached_property
    def commit(self):
        return self.git("rev-parse", "base^{commit}")

    def checkout(self, commit):
        """Put the build tree at commit; only files that differ are touched."""
        lock = os.path.join(self.src, ".git", "index.lock")
        if os.path.exists(lock):        # a run was killed; out/.lock says none is active
            os.unlink(lock)
        shutil.rmtree(os.path.join(self.src, ".git", "rebase-apply"), ignore_errors=True)
        self.git("checkout", "--quiet", "--force", "--detach", commit)
        self.git("clean", "--quiet", "-fd")


def series_of(version):
    return ".".join(version.split(".")[:2])


def nearest(version):
    """The one of VERSIONS, or of what BASE= names, that is the fewest releases away."""
    def number(release):
        major, minor = map(int, release.split(".")[:2])
        return major * 20 + minor       # 6.19 is followed by 7.0
    return min(wanted(), key=lambda one: abs(number(one) - number(version)))


def wanted():
    """Which of VERSIONS BASE= names; all, the newest first, if it names none."""
    named = os.environ.get("BASE")
    if named and named not in VERSIONS:
        raise Fail(f"BASE={named}: the kernels that there is a series for are "
                   + ", ".join(VERSIONS))
    return (named,) if named else VERSIONS


def makefile_version(text, where):
    found = [re.search(rf"^{key} *= *(\S*)", text, re.M)
             for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(found):
        raise Fail(f"{where} is not a kernel tree: its Makefile names no version")
    version = ".".join(match[1] for match in found)
    return version


def check_disk():
    os.makedirs(OUT, exist_ok=True)
    free = shutil.disk_usage(OUT).free >> 30
    needed = FURTHER_GIB if glob.glob(os.path.join(OUT, "*", "linux")) else NEEDED_GIB
    if free < needed:
        raise Fail(f"out/ has {free} GiB free, a full run needs {needed}: make room (each "
                   "out/kdir-* is of one state of a KDIR, and can go), or put out on another disk "
                   "(a symbolic link will do)")


def into_repository(tree, base):
    """Commit an unpacked tree and move it, whole, to where it is looked for."""
    git = ["git", "-C", tree]
    for cmd in (["init", "--quiet"], ["config", "core.abbrev", "12"],
                ["config", "gc.auto", "0"], ["config", "core.autocrlf", "false"],
                ["add", "--all", "--force"],
                ["commit", "--quiet", "-m", f"Linux {base.version} ({base.origin})"],
                ["tag", "base"]):
        output(git + cmd, env=GIT_ENV)
    os.makedirs(base.dir, exist_ok=True)
    os.rename(tree, base.src)


def scratch():
    path = os.path.join(OUT, "unpack")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def fingerprint(tree):
    """What tells a kernel tree from what it was before one of its sources was edited."""
    found = hashlib.sha1(tree.encode())
    for folder, folders, files in os.walk(tree):
        made = {"generated", *["config"] * (folder == os.path.join(tree, "include"))}
        folders[:] = sorted(set(folders) - made)
        for name in sorted(files):
            if not BUILT.search(name):
                with contextlib.suppress(FileNotFoundError):
                    file = os.lstat(os.path.join(folder, name))
                    found.update(f"{folder}/{name} {file.st_size} {file.st_mtime_ns}\n".encode())
    return found.hexdigest()


def from_kdir(kdir):
    where = f"KDIR={kdir}"
    if not os.path.isfile(os.path.join(kdir, "Makefile")):
        raise Fail(f"{where}: no kernel tree there (no Makefile)")
    kdir = os.path.realpath(kdir)
    is_git = os.path.exists(os.path.join(kdir, ".git"))
    if is_git:
        # Somebody else's checkout may be "dubious" to git; it is only read here.
        git = ["git", "-c", "safe.directory=*", "-C", kdir]
        head = output(git + ["rev-parse", "HEAD"]).strip()
        version = makefile_version(output(git + ["show", "HEAD:Makefile"]), where)
        key, origin = head[:12], f"HEAD {head[:12]} of {os.path.basename(kdir)}"
    else:
        with open(os.path.join(kdir, "Makefile")) as makefile:
            version = makefile_version(makefile.read(), where)
        key, origin = fingerprint(kdir)[:12], os.path.basename(kdir)
    base = Base(f"kdir-{key}", version, origin)
    if base.foreign:
        print(f"{where} is Linux {version}: the patches for {base.series} are tried")
        theirs = from_debian((base.series,))    # what git am -3 merges with
    if not os.path.isdir(base.src):
        check_disk()
        with stage(f"import {where}"):
            tree = os.path.join(scratch(), "linux")
            os.makedirs(tree)
            if is_git:
                archive = subprocess.Popen(git + ["archive", "HEAD"], stdout=subprocess.PIPE)
                run(["tar", "-x", "-C", tree], "import.log", stdin=archive.stdout)
                if archive.wait():
                    raise Fail(f"{where}: git archive HEAD failed")
            else:
                run(["cp", "-a", kdir + "/.", tree], "import.log")
                # For make O=; not in a folder of the user's
                run(["make", "-C", tree, "KBUILD_OUTPUT=", "mrproper"], "import.log")
            into_repository(tree, base)
            if base.foreign:
                with open(os.path.join(base.src, ".git/objects/info/alternates"), "w") as other:
                    other.write(os.path.join(theirs.src, ".git/objects") + "\n")
    return base


def debian_versions(apt, package):
    """[(version, suite)] of a package, newest first."""
    found = {}
    for line in output(["apt-cache", "madison", package], env=apt).splitlines():
        fields = [field.strip() for field in line.split("|")]
        found.setdefault(fields[1], fields[2].split()[1].split("/")[0])

    def compare(a, b):
        return 1 if subprocess.call(["dpkg", "--compare-versions", a, "gt", b]) == 0 else -1
    return [(version, found[version])
            for version in sorted(found, key=functools.cmp_to_key(compare), reverse=True)]


def newer_tool(package, command=None, libraries=("libc6",), options=""):
    """The newest version of a tool that Debian 12 has too old or not at all.

    It runs with the libraries it needs.  {} in options: where the package is unpacked.
    """
    command = command or package
    folder = os.path.join(OUT, "tools", package)
    wrapper = os.path.join(folder, "bin", command)
    if os.path.exists(wrapper):
        return wrapper
    with stage(f"fetch a newer {command}") as this:
        apt = apt_environment()
        _, log = run(["apt-get", "update"], "apt-update.log", env=apt, check=False)
        if not debian_versions(apt, package):
            raise Fail(f"no {package} to be had from Debian, is the network up? "
                       f"(apt's words: {log})")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(os.path.dirname(wrapper))
        run(["apt-get", "download", package, *libraries], f"fetch-{package}.log", cwd=folder,
            env=apt)
        for deb in sorted(os.listdir(folder)):
            if deb.endswith(".deb"):
                run(["dpkg-deb", "--extract", os.path.join(folder, deb), folder], "unpack.log")
        lib = os.path.join(folder, "usr/lib/x86_64-linux-gnu")
        with open(wrapper + ".new", "w") as out:
            out.write(f'#!/bin/sh\nexec "{lib}/ld-linux-x86-64.so.2" --library-path "{lib}" '
                      f'"{folder}/usr/bin/{command}" {options.format(folder)} "$@"\n')
        os.chmod(wrapper + ".new", 0o755)
        os.rename(wrapper + ".new", wrapper)
        this.note = "{} in {}".format(*debian_versions(apt, package)[0])
    return wrapper


def apt_environment():
    """An apt of our own: the system's archive and keys, other suites, other folders."""
    uris = {}
    for line in output(["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)",
                        "Created-By: Packages", "Origin: Debian"]).splitlines():
        label, uri = line.split("|")
        uris[label] = uri
    if "Debian" not in uris:
        raise Fail("apt knows no Debian archive: run apt-get update first, or set "
                   f"KDIR=<a {wanted()[0]} kernel tree>")
    apt = os.path.join(OUT, "apt")
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        os.makedirs(os.path.join(apt, folder), exist_ok=True)
    with open(os.path.join(apt, "sources.list"), "w") as sources:
        for label, suites in SUITES.items():
            for suite in suites if label in uris else ():
                sources.write("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                              f"{uris[label]} {suite} main\n")
    open(os.path.join(apt, "status"), "w").close()
    with open(os.path.join(apt, "apt.conf"), "w") as conf:
        conf.write(f'Dir::Etc::sourcelist "{apt}/sources.list";\n'
                   f'Dir::Etc::sourceparts "{apt}/parts";\n'
                   f'Dir::State::Lists "{apt}/lists";\n'
                   f'Dir::State::status "{apt}/status";\n'
                   f'Dir::Cache "{apt}/cache";\n'
                   'Acquire::Languages "none";\n'
                   'APT::Architecture "amd64";\n'
                   'APT::Sandbox::User "";\n')
    return {"APT_CONFIG": os.path.join(apt, "apt.conf")}


def not_reached(status, update_log):
    """Is there a suite that apt-get update did not get?"""
    with open(update_log) as log:
        return bool(status) or "Failed to fetch" in log.read()


def newest_package(apt, status, update_log, versions):
    """(which of versions, package version, suite) of the kernel source that can be had."""
    for series in versions:
        found = debian_versions(apt, f"linux-source-{series}")
        if found:
            if series != versions[0]:
                print(f"no Debian suite ships linux-source-{versions[0]} any more"
                      + f", of those that were reached ({update_log})"
                      * not_reached(status, update_log)
                      + f": the base is {series}, or KDIR=<a {versions[0]} kernel tree>")
            return (series, *found[0])
    if not_reached(status, update_log):
        raise Fail("the Debian archive can't be reached, is the network up? "
                   f"(apt's words: {update_log}); or set KDIR=<a {versions[0]} kernel tree>")
    others = output(["apt-cache", "search", "--names-only", r"^linux-source-[0-9]"], env=apt)
    have = ", ".join(re.findall(r"^\S+", others, re.M)) or "none"
    raise NotShipped(f"no Debian suite ships linux-source-{' or '.join(versions)} any more (there "
                     f"is: {have}): set KDIR=<a {versions[0]}.x kernel tree>")


def memory(versions):
    return os.path.join(OUT, f"base-{'-or-'.join(versions)}.json")


def remembered(versions):
    """The base that was found for versions, one or several, by an earlier run."""
    if os.path.exists(memory(versions)):
        with open(memory(versions)) as state:
            base = Base(**json.load(state))
        if os.path.isdir(base.src):
            return base
    return None


def remember(base, versions):
    with open(memory(versions) + ".new", "w") as state:
        json.dump({"ident": base.ident, "version": base.version, "origin": base.origin,
                   "series": base.series}, state)
    os.rename(memory(versions) + ".new", memory(versions))


def from_debian(versions):
    """The first of versions that can be had, as Debian has it."""
    base = remembered(versions[:1]) or remembered(versions)
    if base:
        return base
    check_disk()
    with stage("find the newest Linux " + " or ".join(versions)) as this:
        apt = apt_environment()
        status, log = run(["apt-get", "update"], "apt-update.log", env=apt, check=False)
        series, version, suite = newest_package(apt, status, log, versions)
        this.note = f"{version} in {suite}"
    base = remembered((series,)) or unpacked(apt, series, version, suite)
    remember(base, (series,))
    if not not_reached(status, log):    # else the next run looks again
        remember(base, versions)
    return base


def unpacked(apt, series, version, suite):
    """Fetch a package of the kernel source, and make it a base."""
    unpack, package = scratch(), f"linux-source-{series}"
    with stage("fetch the kernel source"):
        run(["apt-get", "download", f"{package}={version}"], "fetch.log", cwd=unpack, env=apt)
    with stage("unpack it into a git repository"):
        deb = os.path.join(unpack, os.listdir(unpack)[0])
        run(["dpkg-deb", "--extract", deb, unpack], "unpack.log")
        run(["tar", "-xf", f"{unpack}/usr/src/{package}.tar.xz", "-C", unpack], "unpack.log")
        tree = os.path.join(unpack, package)
        with open(os.path.join(tree, "Makefile")) as makefile:
            linux = makefile_version(makefile.read(), package)
        base = Base(f"v{linux}", linux, f"Debian {version}, {suite}", series)
        if not os.path.isdir(base.src):
            into_repository(tree, base)
        shutil.rmtree(unpack)
    return base


def get():
    kdir = os.environ.get("KDIR")
    base = from_kdir(kdir) if kdir else from_debian(wanted())
    print(f"base: Linux {base.version} ({base.origin})")
    sys.stdout.flush()
    return base
