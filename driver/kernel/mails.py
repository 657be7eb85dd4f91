# SPDX-License-Identifier: GPL-2.0-only
"""The mails in patches/: composed from series/ and the overlay, never edited by hand."""

import os
import re
import tempfile

from driver.core.paths import ROOT, read
from driver.kernel import compose
from driver.kernel.compose import EOF, LAB, MM, SERIES, TCP
from driver.kernel.source import RELEASES

PREFIX = {MM: "PATCH", TCP: "PATCH net", LAB: "PATCH", EOF: "PATCH"}
SUFFIX = {MM: "", TCP: "-net", LAB: "-lab", EOF: "-eof"}
# The mails of an older kernel's lab are made on demand: its kernels are built of commits.
ON_DEMAND = {(LAB, release) for release in RELEASES[1:]}


def name(series, release=RELEASES[0]):
    """What the folder of its mails is called, in patches/."""
    return f"v{release}{SUFFIX[series]}"


def kept(release):
    """The series that have mails in patches/."""
    return [series for series in SERIES if (series, release) not in ON_DEMAND] \
        + [EOF] * (release == RELEASES[0])


def cover(series, release):
    """That of an older kernel is its own: it says what was tested there."""
    path = os.path.join(ROOT, compose.folder(series, release), "cover")
    return read(path) if os.path.exists(path) else None


def below(base, series):
    """The commit that a series is for: the lab's is for the tip of the mm series."""
    return compose.compose(base, MM, base.commit)[-1][1] if series == LAB else base.commit


def composed(base, series):
    """{file name: text} of what belongs in patches/<name>/."""
    branch, onto = "compose-" + name(series, base.release), below(base, series)
    base.git("branch", "--force", "--no-track", branch,
             compose.compose(base, series, onto)[-1][1])
    text = cover(series, base.release)
    stable = f" {base.release}.y" * (not base.newest)
    cmd = ["format-patch", "--quiet", "--zero-commit", "--no-signature", "--no-thread",
           f"--subject-prefix={PREFIX[series]}{stable}"]       # numbered, if it is not just one
    if not base.newest:         # nobody sends them: no diffstat
        cmd.append("--no-stat")
    if text:
        base.git("config", f"branch.{branch}.description", text)
        cmd += ["--cover-letter", "--cover-from-description=subject"]
    with tempfile.TemporaryDirectory(dir=base.dir) as folder:
        base.git(*cmd, "-o", folder, f"{onto}..{branch}")
        # git am takes *.patch, and stops at a cover letter
        return {file.replace("0000-cover-letter.patch", "0000-cover-letter.txt"):
                read(os.path.join(folder, file)) for file in sorted(os.listdir(folder))}


def folder_of(series, release):
    return os.path.join(ROOT, "patches", name(series, release))


def committed(series, release):
    """{file name: text} of what is in patches/<name>/."""
    folder = folder_of(series, release)
    return {file: read(os.path.join(folder, file))
            for file in (sorted(os.listdir(folder)) if os.path.isdir(folder) else ())
            if file != "base"}


def paths(series, release):
    """The paths of the mails that git am takes."""
    return [os.path.join(folder_of(series, release), file)
            for file in committed(series, release) if file.endswith(".patch")]


def made_on(release):
    """Which point release the mails in patches/ were composed on."""
    path = os.path.join(folder_of(MM, release), "base")
    return read(path).strip() if os.path.exists(path) else None


def without_lines(mail):
    """A mail less what changes with each point release: line numbers, blobs, functions around."""
    return re.sub(r"^@@ .* @@.*$|^index [0-9a-f]+\.\.[0-9a-f]+", "", mail, flags=re.M)


def write(fresh, folder):
    """Write the mails of a series; return the paths of those that changed."""
    old = {file: read(os.path.join(folder, file)) for file in
           (os.listdir(folder) if os.path.isdir(folder) else ()) if file != "base"}
    for file in old.keys() - fresh.keys():
        os.unlink(os.path.join(folder, file))
    os.makedirs(folder, exist_ok=True)
    for file, text in fresh.items():
        with open(os.path.join(folder, file), "w") as mail:
            mail.write(text)
    return [os.path.join(folder, file) for file in sorted(fresh.keys() | old.keys())
            if fresh.get(file) != old.get(file)]


def write_all(base, on_demand):
    """Recompose patches/, and those on demand into a folder; return the paths that changed."""
    all_of_them, changed = dict.fromkeys((*SERIES, *kept(base.release))), []
    fresh = {series: composed(base, series) for series in all_of_them}
    for series, texts in fresh.items():
        made = (series, base.release) in ON_DEMAND
        changed += write(texts, os.path.join(on_demand, name(series, base.release))
                         if made else folder_of(series, base.release))
    with open(os.path.join(folder_of(MM, base.release), "base"), "w") as out:
        out.write(base.version + "\n")
    return changed
