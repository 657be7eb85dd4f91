# SPDX-License-Identifier: GPL-2.0-only
"""What ./run runs.

    commands -> suites -> kernel and story -> core

commands/ has one module for each command of ./run.  suites/ has one for each kind of test: it
runs one, parses what it printed, and judges that.  kernel/ has the kernel source, the series as
commits and mails, builds, and the machines that run them.  story/ has a replay, parsed, as text
and as a page.  core/ knows nothing of kernels.  config/ has Kconfig fragments and lists of
packages, expected/ the result that each check must have.  Nothing imports commands/ but the
parser, and nothing imports tests/: driver/tests/test_package.py looks after that.

A word has one meaning here:

base      a pristine kernel tree, as a git repository under out/; it has a version (7.3.4), and
          is of a release (7.3)
release   a kernel release that there are mails for: RELEASES in kernel/source.py
series    mm, tcp, lab or eof: patches that are sent together.  The lab is the series with the sync
          points, and all that needs them; eof is a fix, apart from the others
kernel    the base with some series applied: KERNELS in kernel/compose.py, as in "mm+tcp"
commit    a kernel in the base's repository
overlay   the files at the top of the project that a series adds to the kernel, whole
mail      a patch of a series in patches/
mutant    a kernel with one guard removed
suite     a kind of test; "KUnit suite" is KUnit's word
check     one result with a name: pass, fail or skip
column    where a check ran, as in a column of a table
claim     an interleaving that somebody said can happen; a scenario replays one
schedule  an order of steps; a schedule file has one of system calls
set       actors that the explorer runs in all orders
guest     a machine that runs a kernel: QEMU's, or UML
stage     what takes time, and prints one line
step      a part of ./run test
story     what a replay printed: events, steps, a verdict
tally     what was seen against what was expected
"""
