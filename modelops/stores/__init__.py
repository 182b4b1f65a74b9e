"""The two kinds of store, the cache of a host, and what can go wrong with them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _


class StoreFault(Exception):
    """Files can't be stored or read. The text says why and what to do; it holds no path."""


class Gone(StoreFault):
    """The store has no such files, or not all of them."""


class Damaged(StoreFault):
    """The files are not those that were stored."""


class Full(StoreFault):
    """The store, or the disk of this host, has no room."""


class Unreachable(StoreFault):
    """The store does not answer, or refuses this host."""


@contextmanager
def disk_in_words() -> Iterator[None]:
    """Raises Full where the disk has no room, Unreachable where it can't be read or written."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(_("The disk is full: make room, then try again.")) from error
        raise Unreachable(
            _("The store can't be read or written here (%(reason)s): see docs/operator.md.")
            % {"reason": error.strerror or error.__class__.__name__}
        ) from error
