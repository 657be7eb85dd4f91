# SPDX-License-Identifier: GPL-2.0-only
"""Kernel sources and tools from Debian, without touching the system's apt configuration."""

import functools
import os
import re
import shutil
import subprocess
import threading

from driver.core.paths import OUT, shown
from driver.core.process import output, run
from driver.core.stage import Fail, stage

SUITES = {"Debian": ["bookworm-backports", "trixie", "trixie-updates", "trixie-backports",
                     "forky", "sid"],
          "Debian-Security": ["bookworm-security", "trixie-security"]}


asking = threading.RLock()      # who asks apt holds this: its lists may be fetched anew


class NotShipped(Fail):
    """The archive was reached, and does not have the kernel any more."""


def environment():
    """An apt of our own: the system's archive and keys, other suites, other folders."""
    uris = {}
    for line in output(["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)",
                        "Created-By: Packages", "Origin: Debian"]).splitlines():
        label, uri = line.split("|")
        uris[label] = uri
    if "Debian" not in uris:
        raise Fail("apt knows no Debian archive: run apt-get update first, or set "
                   "KDIR=<a kernel tree>")
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


def update(apt):
    """Read the lists of packages; return apt-get's exit status, and its words."""
    return run(["apt-get", "update"], "apt-update.log", env=apt, check=False)


def all_reached(status, update_log):
    """Did apt-get update get each suite?"""
    with open(update_log) as log:
        return not status and "Failed to fetch" not in log.read()


def versions(apt, package):
    """[(version, suite)] of a package, newest first."""
    found = {}
    for line in output(["apt-cache", "madison", package], env=apt).splitlines():
        fields = [field.strip() for field in line.split("|")]
        found.setdefault(fields[1], fields[2].split()[1].split("/")[0])

    def compare(a, b):
        return 1 if subprocess.call(["dpkg", "--compare-versions", a, "gt", b]) == 0 else -1
    return [(version, found[version])
            for version in sorted(found, key=functools.cmp_to_key(compare), reverse=True)]


def shipped(apt):
    """The releases that there is a linux-source package of, newest first."""
    names = output(["apt-cache", "search", "--names-only", r"^linux-source-[0-9]+\.[0-9]+$"],
                   env=apt)
    found = re.findall(r"^linux-source-(\S+)", names, re.M)
    return sorted(found, key=lambda release: tuple(map(int, release.split("."))), reverse=True)


def newest_package(apt, status, update_log, releases):
    """(release, package version, suite) of the kernel source that is to be the base.

    That is the first of releases that is shipped.  If the first is gone, one that is newer than
    it goes before the others.
    """
    have = shipped(apt)

    def number(release):
        return tuple(map(int, release.split(".")))
    newer = [release for release in have if number(release) > number(releases[0])]
    for release in [releases[0], *(newer if len(releases) > 1 else ()), *releases[1:]]:
        found = versions(apt, f"linux-source-{release}") if release in have else ()
        if found:
            return (release, *found[0])
    if not all_reached(status, update_log):
        raise Fail("the Debian archive can't be reached, is the network up? (apt's words: "
                   f"{shown(update_log)}); or set KDIR=<a {releases[0]} kernel tree>")
    raise NotShipped(f"no Debian suite ships linux-source-{' or '.join(releases)} any more (there "
                     f"is: {', '.join(have) or 'none'}): set KDIR=<a {releases[0]}.x kernel tree>")


def fetch_source(apt, release, version, folder):
    """Fetch and unpack a package of the kernel source into a folder; return the tree."""
    package = f"linux-source-{release}"
    with asking, stage(f"fetch Linux {release}"):
        run(["apt-get", "download", f"{package}={version}"], f"fetch-{release}.log", cwd=folder,
            env=apt)
    with stage(f"unpack Linux {release}"):
        deb, log = os.path.join(folder, os.listdir(folder)[0]), f"unpack-{release}.log"
        run(["dpkg-deb", "--extract", deb, folder], log)
        run(["tar", "-xf", f"{folder}/usr/src/{package}.tar.xz", "-C", folder], log)
    return os.path.join(folder, package)


def foreign(package, arch, suite="trixie"):
    """A package of another architecture; return the folder that it is unpacked in."""
    folder = os.path.join(OUT, "tools", f"{package}-{arch}")
    if os.path.exists(folder):
        return folder
    with asking, stage(f"fetch {package} for {arch}"):
        apt, lists = environment(), os.path.join(OUT, "apt", f"lists-{arch}")
        os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
        with open(lists + ".list", "w") as few, open(os.path.join(OUT, "apt", "sources.list")) \
                as sources:
            few.writelines(line for line in sources if line.endswith(f" {suite} main\n"))
        options = ["-o", f"APT::Architecture={arch}", "-o", f"APT::Architectures={arch}",
                   "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Etc::sourcelist={lists}.list"]
        new, log = folder + ".new", f"fetch-{package}-{arch}.log"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        run(["apt-get", *options, "update"], f"apt-update-{arch}.log", env=apt)
        run(["apt-get", *options, "download", package], log, cwd=new, env=apt)
        run(["dpkg-deb", "--extract", os.path.join(new, os.listdir(new)[0]), new], log)
        os.rename(new, folder)
    return folder


def newer_tool(package, command=None, libraries=("libc6",), options=""):
    """The newest version of a tool that Debian 12 has too old or not at all.

    It runs with the libraries it needs.  {} in options: where the package is unpacked.
    """
    command = command or package
    folder = os.path.join(OUT, "tools", package)
    wrapper = os.path.join(folder, "bin", command)
    if os.path.exists(wrapper):
        return wrapper
    with asking, stage(f"fetch a newer {command}") as this:
        apt = environment()
        _, log = update(apt)
        if not versions(apt, package):
            raise Fail(f"no {package} to be had from Debian, is the network up? "
                       f"(apt's words: {shown(log)})")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(os.path.dirname(wrapper))
        run(["apt-get", "download", package, *libraries], f"fetch-{package}.log", cwd=folder,
            env=apt)
        for deb in sorted(os.listdir(folder)):
            if deb.endswith(".deb"):
                run(["dpkg-deb", "--extract", os.path.join(folder, deb), folder],
                    f"unpack-{package}.log")
        # Relative to itself: the project's folder may move
        lib = "$here/usr/lib/x86_64-linux-gnu"
        with open(wrapper + ".new", "w") as out:
            out.write('#!/bin/sh\nhere=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
                      f'exec "{lib}/ld-linux-x86-64.so.2" --library-path "{lib}" '
                      f'"$here/usr/bin/{command}" {options.format("$here")} "$@"\n')
        os.chmod(wrapper + ".new", 0o755)
        os.rename(wrapper + ".new", wrapper)
        this.note = "{} in {}".format(*versions(apt, package)[0])
    return wrapper
