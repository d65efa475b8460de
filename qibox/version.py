"""The package's version, and those of the packages that a result depends on."""

from collections.abc import Iterable

__version__ = "0.1.0"


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are installed, for the record."""
    from importlib import metadata  # a third of what a short command takes to start

    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
