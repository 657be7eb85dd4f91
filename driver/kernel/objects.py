# SPDX-License-Identifier: GPL-2.0-only
"""What compilers say, and what they make."""

import re


def complaints(lines):
    """What a compiler, sparse, ld or Kconfig complains about, without line numbers: a set."""
    return {re.sub(r":(\d+:(\d+:)?|\(\.text\S*\):)", ":", line).strip() for line in lines
            if re.search(r"warning:|error:|WARNING:|ERROR:|undefined reference", line)}


def functions(disassembly):
    """{function: its code} of what objdump says of an object file.

    It may name code after a symbol with a number of its own in each file.
    """
    disassembly = re.sub(r"(__UNIQUE_ID_\w+)_\d+", r"\1", disassembly)
    parts = re.split(r"^[0-9a-f]+ <(.*)>:$", disassembly, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def code_difference(one, other):
    """The first function that is not the same in two disassemblies, or None."""
    one, other = functions(one), functions(other)
    return next((name for name in [*one, *other] if one.get(name) != other.get(name)), None)
