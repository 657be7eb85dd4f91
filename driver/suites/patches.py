# SPDX-License-Identifier: GPL-2.0-only
"""The mails: what a maintainer's scripts would say of them, and that each patch builds."""

import functools
import itertools
import os
import re

from driver.core import expected
from driver.core.paths import ROOT, read, shown
from driver.core.process import in_parallel, output, run
from driver.core.stage import Fail, stage
from driver.kernel import build, compose, mails, mutant
from driver.kernel.compose import LAB, MM, SERIES, STOCK_LAB, TCP

# What checkpatch says while another step checks out, and MAINTAINERS is not there for a moment.
NO_TREE = "Must be run from the top-level dir. of a kernel tree"
# The base has no history that a commit id could be looked up in.
CHECKPATCH = ["--strict", "--no-signoff", "--show-types", "--ignore=UNKNOWN_COMMIT_ID"]
# Older ones want another format of Assisted-by, or do not know it, and have whole folders in
# MAINTAINERS.
CHECKPATCH_OLDER = [*CHECKPATCH[:-1], CHECKPATCH[-1] + ",BAD_SIGN_OFF,FILE_PATH_CHANGES"]
# MAINTAINERS has the folder of net's selftests as a whole.
CHECKPATCH_NET = [*CHECKPATCH[:-1], CHECKPATCH[-1] + ",FILE_PATH_CHANGES"]
# Debian's python3 has the modules that checkpatch's helpers and Sphinx import.
SYSTEM_PYTHON = {"PATH": "/usr/bin:" + os.environ["PATH"]}


def recompose(context):
    """patches/ is, byte for byte, what series/ and the overlay compose to.

    On another point release than they were made on, it is but for what changes with each.
    """
    base, tally = context.base, context.tally
    if base.foreign:            # its commits are made of mails
        return
    made_on = mails.made_on(base.release)
    same = made_on == base.version
    with stage("mails: recompose and compare") as this:
        count = 0
        for series in mails.kept(base.release):
            fresh, committed = mails.composed(base, series), mails.committed(series, base.release)
            where = f"patches/{mails.name(series, base.release)}"
            count += len(fresh)
            for mail in sorted(fresh.keys() | committed.keys()):
                one, other = fresh.get(mail), committed.get(mail)
                if not same and one and other:
                    one, other = mails.without_lines(one), mails.without_lines(other)
                tally.check(one == other, f"{where}/{mail} is not what the series composes to",
                            "./run series")
            for mail, text in committed.items():
                tags = re.findall(r"^(Signed-off-by|Assisted-by):", text, re.M)
                wanted = [] if mail.endswith(".txt") else ["Assisted-by"]
                tally.check(tags == wanted, f"{where}/{mail} must carry {wanted or 'no tag'}, "
                            f"it carries {tags}", "./run series")
        this.note = f"{count} mails" + f", made on {made_on}: but for line numbers" * (not same)


def altered(context):
    """What is made out of the series applies to it: stock with points, each mutant, each fix."""
    base = context.base
    if base.foreign:
        return
    made = {"series/lab/stock.diff": lambda: context.commit[STOCK_LAB]}
    for name, one in mutant.known().items():
        if one.base in ("", base.release):
            made[f"mutants/{name}.diff"] = lambda one=one: mutant.mutate(
                base, context.commit[one.on], one)
    for name in mutant.names(mutant.FIXES) if base.newest else ():
        made[f"mutants/fixes/{name}.diff"] = lambda name=name: mutant.fixed(
            base, context.commit["mm+lab"], mutant.Fix(name))
    for kernel in {one.on for one in mutant.known().values()}:
        context.commit[kernel]      # composed, and said
    with stage("mutants apply") as this:
        for make in made.values():
            try:
                make()
                context.tally.passed += 1
            except Fail as failure:
                context.tally.fail(str(failure), "./run test altered")
        this.note = f"{len(made)} diffs"


def paths(context):
    """Those of all mails that git am takes, {name: path}."""
    release = context.base.release
    return {f"{mails.name(series, release)}/{os.path.basename(path)[:4]}": path
            for series in mails.kept(release) for path in mails.paths(series, release)}


def checkpatch(context):
    """checkpatch --strict on every mail."""
    base = context.base
    net = mails.name(TCP, base.release)

    def look_at(item):
        name, path = item
        options = CHECKPATCH_OLDER if not base.newest else \
            CHECKPATCH_NET if os.path.dirname(name) == net else CHECKPATCH
        look = functools.partial(run, ["perl", "scripts/checkpatch.pl", *options, path],
                                 f"checkpatch-{name.replace('/', '-')}.log", cwd=base.src,
                                 env=SYSTEM_PYTHON, check=False)
        status, log = look()
        if status and NO_TREE in read(log):
            with base.tree:
                status, log = look()
        return status, log
    with stage("checkpatch --strict") as this:
        found = in_parallel(look_at, paths(context).items())
        for status, path in found:
            good = not status and "total: 0 errors, 0 warnings, 0 checks" in read(path)
            context.tally.check(good, f"checkpatch has complaints: {shown(path)}")
        this.note = f"{len(found)} mails"


def recipients(context):
    """get_maintainer.pl names the lists that each mail is for, and maintainers."""
    base, tally = context.base, context.tally
    file, found = expected.load_file("recipients")
    want, mail_of = found["recipients"], paths(context)
    with base.tree, stage("get_maintainer.pl") as this:
        base.checkout(context.commit["all"])        # as whoever sends them has them applied
        # The base has no history to guess from.
        said_of = dict(zip(mail_of, in_parallel(lambda mail: output(
            ["perl", "scripts/get_maintainer.pl", "--nogit", "--nogit-fallback", mail],
            cwd=base.src), mail_of.values())))
        for mail in sorted(mail_of.keys() | want.keys()):
            said = said_of.get(mail, "")
            lists = sorted(re.findall(r"^(\S+)@\S+ \(.*\blist\b", said, re.M))
            tally.check(lists == want.get(mail), f"patches/{mail} would go to {lists}, expected is "
                        f"{want.get(mail)} ({shown(file)})")
            tally.check(re.search(r"\(maintainer:(?!LIBRARY CODE)", said), "get_maintainer.pl "
                        f"names no maintainer for {mail}")
        cover_letters(tally, base, said_of)
        this.note = f"{len(mail_of)} mails"


def cover_letters(tally, base, said_of):
    """patches/cc sends a cover letter to all whom its mails go to."""
    for series in mails.kept(base.release):
        folder = mails.name(series, base.release)
        cover = os.path.join(ROOT, "patches", folder, "0000-cover-letter.txt")
        if os.path.exists(cover):
            said = output(["sh", os.path.join(ROOT, "patches/cc"), cover], cwd=base.src)
            theirs = "".join(each for mail, each in said_of.items()
                             if mail.startswith(folder + "/"))
            tally.check(said and addresses(said) == addresses(theirs), f"patches/cc of {folder}'s "
                        "cover letter does not name those whom the mails go to")


def addresses(said):
    return set(re.findall(r"[\w.+-]+@[\w.-]+", said))


def git_am(context, modes=((), ("-3",))):
    """git am the committed mails on the pristine base, plain and with -3."""
    base = context.base
    if base.foreign:            # that is how it was composed
        return
    kept = mails.kept(base.release)
    wanted = {"all" if LAB in kept else "mm+tcp": [each for each in kept if each in SERIES]}
    wanted.update((series, [series]) for series in compose.apart(base))
    for mode, (kernel, chosen) in itertools.product(modes, wanted.items()):
        tip = context.commit[kernel]
        with base.tree, stage(" ".join(["git am", *mode, kernel])) as this:
            base.checkout(base.commit)
            count = 0
            for series in chosen:
                files = mails.paths(series, base.release)
                if not files:
                    raise Fail(f"patches/{mails.name(series, base.release)} holds no mail: make "
                               "them with ./run series")
                apply(base, mode, files)
                count += len(files)
            same = base.git("rev-parse", "HEAD^{tree}") == base.git("rev-parse", tip + "^{tree}")
            context.tally.check(same, "the tree after git am is not overlay plus edits",
                                "./run series")
            this.note = f"{count} mails"


def apply(base, mode, files):
    """git am some mails."""
    try:
        base.git("am", "--quiet", *mode, *files)
    except Fail as failure:
        applying = os.path.join(base.gitdir, "rebase-apply")
        at = 0
        if os.path.isdir(applying):
            at = int(read(os.path.join(applying, "next"))) - 1
            base.git("am", "--abort")
        raise Fail(f"git am stopped at {os.path.relpath(files[at], ROOT)} on Linux {base.version}: "
                   + str(failure).split("error: ", 1)[-1].splitlines()[0]
                   + " (rebase in ./run tree, then ./run series --import)") from None


def builds(context, steps):
    """Each patch on its own: a kernel after every mail."""
    for patch, commit in steps:
        series = os.path.basename(os.path.dirname(patch.dir))
        build.kernel(context.base, commit, f"{series} {patch.slug}"[:36])
        context.tally.passed += 1


def mm_and_tcp_build(context):
    """From stock to mm+tcp; what goes elsewhere, tcp and eof, must build alone, too."""
    commits = context.commit
    for series in compose.apart(context.base):
        builds(context, commits.chain(series, commits["stock"]))
    builds(context, [*commits.chain(TCP, commits["stock"]), *commits.chain(MM, commits["stock"]),
                     *commits.chain(TCP, commits["mm"])])


def lab_builds(context):
    """From mm to mm+lab."""
    builds(context, context.commit.chain(LAB, context.commit["mm"]))
