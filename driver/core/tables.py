# SPDX-License-Identifier: GPL-2.0-only
"""Tables of text."""

KNOWN = "fail (known)"


def grid(rows, right=()):
    """Rows of cells as lines with aligned columns; right: the numbers of columns of figures."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join((str.rjust if number in right else str.ljust)(cell, width)
                             for number, (cell, width) in enumerate(zip(row, widths))).rstrip()
                   + "\n" for row in rows)


def markdown(rows):
    """The same for a document."""
    head, *rest = rows
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *rest])


def cell(got, want):
    """The result of a check, beside what it was to be."""
    if got == want:
        return KNOWN if got == "fail" else got
    return f"{(got or 'missing').upper()} (expected {want})"


def results(seen, want):
    """One line a check, one column a kernel; seen and want: {column: {check: verdict}}."""
    columns = list(seen)
    return grid([["check", *columns]] + [
        [name, *(cell(seen[column].get(name), want[column].get(name)) for column in columns)]
        for name in want[columns[0]]])
