"""How a file gets into place: hidden temporary name, atomic move, `NAME.partial.EXT` for what was cut short."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Final

from rtseg.errors import SinkError

DISK_ERRNOS: Final = frozenset(
    number
    for name in ("ENOSPC", "EFBIG", "EDQUOT", "EIO", "EROFS")
    if (number := getattr(errno, name, None)) is not None
)
"""Error numbers that say that the disk, not the picture or the sound, is the trouble."""

MOST_NAME_BYTES: Final = 255


def temporary_path(final: Path) -> Path:
    """Return a hidden name beside the final one, with the same extension, that nothing else uses."""
    mark = f".rtseg-{secrets.token_hex(4)}"
    room = MOST_NAME_BYTES - len(f".{mark}{final.suffix}".encode())
    stem = final.stem.encode()[:room].decode(errors="ignore")
    return final.with_name(f".{stem}{mark}{final.suffix}")


def partial_path(final: Path) -> Path:
    """Return the name under which a cut-short output is kept; an older partial file of that name is replaced."""
    return final.with_name(f"{final.stem}.partial{final.suffix}")


def check_place(final: Path, *, overwrite: bool) -> None:
    """Check that the file may be written, before any work is spent on it.

    Raises:
        SinkError: its folder is missing or read-only, it is a folder itself, or it exists and may not be replaced.
    """
    folder = final.parent
    if not folder.is_dir():
        raise SinkError(f"output {final}: got no folder {folder}; expected one that exists. Create it first.")
    if final.is_dir():
        raise SinkError(f"output {final}: got a folder; expected a file name. Name a file inside it.")
    if os.path.lexists(final) and not overwrite:
        raise exists_error(final)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"output {final}: got a read-only folder; expected one to write in. Choose another folder.")


def exists_error(final: Path) -> SinkError:
    """Return the error for an output that is already there."""
    return SinkError(
        f"output {final}: got a file that exists; expected a new name. Give --overwrite to replace it, or another name."
    )


def move_into_place(temporary: Path, final: Path, *, overwrite: bool) -> None:
    """Move the finished file to its name in one step; without `overwrite`, never over another file.

    Raises:
        SinkError: a file of that name has appeared meanwhile, or the move failed.
    """
    if not overwrite:
        _reserve(final)
    try:
        os.replace(temporary, final)
    except OSError as error:
        if not overwrite:
            final.unlink(missing_ok=True)
        raise write_error(final, error) from error


def _reserve(final: Path) -> None:
    """Make an empty file of that name: "does not exist" and "is ours" in one atomic step on every file system."""
    try:
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError as error:
        raise exists_error(final) from error
    except OSError as error:
        raise write_error(final, error) from error


def write_error(final: Path, error: BaseException) -> SinkError:
    """Return the one-line error for a write that failed."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return SinkError(f"output {final}: got a full disk; expected room for it. Free some space or write elsewhere.")
    if number == errno.EFBIG:
        return SinkError(
            f"output {final}: got 'file too large' from the system; expected room for it. "
            f"Raise the limit or write elsewhere."
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SinkError(f"output {final}: got no permission to write; expected a writable folder. Choose another.")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return SinkError(f"output {final}: got {reason!r} while writing; expected it to be written. Choose another place.")
