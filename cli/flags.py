"""The options by which a person changes what an error is about.

The domain's sentences name values, not options; :class:`~qibox.errors.QiboxError` says which fields
they are about, and each command knows which of its options sets which field.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qibox.errors import QiboxError


@contextmanager
def naming(flags: Mapping[str, str]) -> Iterator[None]:
    """Add the options that set an error's fields to its message: ``… (--u-min)``.

    ``flags`` has an option for each field; a field without one adds nothing.
    """
    try:
        yield
    except QiboxError as error:
        found = dict.fromkeys(flags[field] for field in error.fields if field in flags)
        if found:
            error.args = (f"{error} ({', '.join(found)})",)
        raise
