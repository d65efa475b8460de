"""Image files that a pool names by path: from a folder, a zip, or a remote folder; never elsewhere.

A path is relative and stays under the root, links included; what is no regular file, or too
large to be a picture, is refused before it is read. Each refusal is an :class:`ImageError` fit to
stand as a row's reason.
"""

import base64
import os
import stat
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

import fsspec

from qibox.errors import UsageError
from qibox.pool.images import ImageError

MAX_BYTES = 64 << 20  # of one image file; our choice: published pools stay below 10 MB
MAX_SHOWN = 100  # characters of a path in a reason


class Pictures(Protocol):
    """Reads image files by the paths a pool gives."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises:
            ImageError: the path leaves the root, or there is no readable file of sane size.
        """
        ...


def open_pictures(root: str) -> Pictures:
    """Open a folder or a zip, local or remote.

    Raises:
        UsageError: there is neither a folder nor a zip at ``root``.
    """
    fs, path = fsspec.core.url_to_fs(root)
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    if root.lower().endswith(".zip"):
        return ZipPictures(root if local else fsspec.open_local(f"simplecache::{root}"))
    if not fs.isdir(path):
        raise UsageError(f"no folder of images at {root}: give a folder or a .zip that exists")
    return FolderPictures(path) if local else RemotePictures(fs, path)


def checked_path(path: str) -> PurePosixPath:
    """The path in portable form.

    Raises:
        ImageError: the path is empty, absolute, or climbs out of the root.
    """
    shown = shortened(path)
    parts = path.replace("\\", "/")
    if not path.strip() or "\0" in path:
        raise ImageError(f"image path {shown!r} is not a path")
    if parts.startswith(("http://", "https://")):
        raise ImageError(f"image '{shown}' is a web address: download it and name the file")
    if parts.startswith("/") or parts[1:2] == ":" or "://" in parts:
        raise ImageError(f"image path '{shown}' is absolute: it must be relative to the images")
    if ".." in parts.split("/"):
        raise ImageError(f"image path '{shown}' leaves the pool's folder of images")
    return PurePosixPath(parts)


def is_embedded(path: str) -> bool:
    """Whether the picture itself stands where its path should: a data URL, as chat APIs use."""
    return path[:11].lower() == "data:image/"


def unpacked(url: str) -> bytes:
    """The bytes of a data URL in base64.

    Raises:
        ImageError: it is not in base64.
    """
    head, comma, body = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ImageError(f"image '{shortened(url)}' is a data URL, but not in base64")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise ImageError(f"image '{shortened(url)}' is not base64: {error}") from error


def shortened(path: str) -> str:
    """The path as a reason shows it; what pools call a path can be a megabyte long."""
    return path if len(path) <= MAX_SHOWN else path[:MAX_SHOWN] + "…"


class FolderPictures:
    """Files under a local folder; links must end inside it."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._folder = lru_cache(maxsize=4096)(self._real_folder)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        relative = checked_path(path)
        try:
            real = self._real_file(relative)
            status = Path(real).stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would never end
                raise ImageError(f"image '{shortened(str(relative))}' is not a file")
            _check_size(str(relative), status.st_size)
            return Path(real).read_bytes()
        except OSError as error:
            raise ImageError(_refusal(str(relative), error)) from error

    def _real_file(self, relative: PurePosixPath) -> str:
        real = os.path.join(self._folder(str(relative.parent)), relative.name)  # noqa: PTH118
        if not os.path.islink(real):  # noqa: PTH114  # a Path for each image costs as much as reading it
            return real
        return self._inside(os.path.realpath(real), relative)

    def _real_folder(self, folder: str) -> str:
        return self._inside(os.path.realpath(os.path.join(self._root, folder)), folder)  # noqa: PTH118

    def _inside(self, real: str, shown: object) -> str:
        if real != self._root and not real.startswith(self._root + os.sep):
            raise ImageError(
                f"image path '{shortened(str(shown))}' is a link out of the pool's folder of images"
            )
        return real


class RemotePictures:
    """Files under a folder of any filesystem that fsspec knows."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        relative = str(checked_path(path))
        try:
            name = f"{self._root}/{relative}"
            _check_size(relative, int(self._fs.size(name) or 0))
            return bytes(self._fs.cat_file(name))
        except OSError as error:
            raise ImageError(_refusal(relative, error)) from error


class ZipPictures:
    """Files in a zip; where all of them lie in one folder, paths may leave that folder out."""

    def __init__(self, path: str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise UsageError(f"no zip of images at {path}: check the path") from error
        except Exception as error:  # a damaged directory shows in many ways
            raise UsageError(f"{path} cannot be read as a zip of images: {error}") from error
        names = [n for n in self._zip.namelist() if not n.startswith(("__MACOSX/", "."))]
        tops = {name.split("/", 1)[0] for name in names}
        self._prefix = f"{tops.pop()}/" if len(tops) == 1 else ""
        self._names = frozenset(names)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        relative = str(checked_path(path))
        name = next((n for n in (relative, self._prefix + relative) if n in self._names), None)
        if name is None:
            raise ImageError(f"no image '{shortened(relative)}' in the zip")
        info = self._zip.getinfo(name)
        _check_size(relative, info.file_size)
        try:
            return self._zip.read(info)
        except Exception as error:  # of any unpacker: EOFError and LZMAError among them
            why = str(error) or type(error).__name__
            raise ImageError(f"image '{shortened(relative)}' cannot be unpacked: {why}") from error


def _check_size(shown: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(
            f"image '{shortened(shown)}' has {size} bytes, more than the {MAX_BYTES} allowed"
        )


def _refusal(path: str, error: OSError) -> str:
    shown = shortened(path)
    if isinstance(error, FileNotFoundError):
        return f"no image '{shown}' under the pool's folder of images"
    return f"image '{shown}' cannot be read: {error.strerror or error}"
