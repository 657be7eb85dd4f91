# SPDX-License-Identifier: GPL-2.0-only
"""What several tests use: a context without a kernel, an environment without settings."""

import contextlib
import io
import os
import threading
from types import SimpleNamespace
from unittest import mock

from driver.core.tally import Tally

SETTINGS = ("BASE", "KDIR", "CI", "ACCEL", "JOBS", "CCACHE_DIR")


def counted(commit=None, **base):
    """A context whose base has these properties, and no tree."""
    known = {"release": "7.3", "version": "7.3.4", "suffix": "", "newest": True, "foreign": False,
             "uml_smp": True, "src": "/nowhere", "dir": "/nowhere", "tree": threading.RLock()}
    return SimpleNamespace(base=mock.Mock(**{**known, **base}), tally=Tally(),
                           commit=commit or {}, shared={})


def quiet():
    """What is printed goes into this, not to the terminal."""
    return contextlib.redirect_stdout(io.StringIO())


def ended(tally):
    """(exit status, text) of the end of a run."""
    with quiet() as out:
        status = tally.verdict()
    return status, out.getvalue()


@contextlib.contextmanager
def environment(**settings):
    """No setting of whoever runs the tests counts, but these."""
    with mock.patch.dict(os.environ):
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(settings)
        yield
