"""Files that are read with every claimed size checked, and files that appear under their name only when complete."""

import contextlib
import io
import os
import stat
import struct

import numpy as np

from ..errors import InvalidArgumentError, NotFoundError, UnavailableError

# Names of files that are being written start like this.
UNFINISHED = ".saving-"

COPY_AGAIN = "copy the file again from where it came, or save the model again."


class Source:
    """Bytes to be read front to back. Asking for more than there is raises an error before memory is taken.

    Args:
        file: a binary file that can seek.
        name: what messages call it.
        size: its number of bytes.
    """

    def __init__(self, file, name, size):
        self.file, self.name, self.size = file, name, size
        self.position = 0

    @property
    def left(self):
        """Bytes that have not been read yet."""
        return self.size - self.position

    def damaged(self, why, *, expected=None, actual=None, hint=COPY_AGAIN):
        """The error that says what is wrong with this file; for the caller to raise."""
        return InvalidArgumentError(f"{self.name} cannot be read: {why}.", expected=expected, actual=actual, hint=hint)

    def require(self, n, what):
        """Refuse a size that is negative or more than is left."""
        if not 0 <= n <= self.left:
            raise self.damaged(
                f"it ends inside {what}",
                expected=f"{n} bytes from byte {self.position} on",
                actual=f"{self.left} bytes left of {self.size}",
            )

    def take(self, n, what):
        """The next `n` bytes."""
        self.require(n, what)
        data = self.file.read(n)
        self._advance(len(data), n, what)
        return data

    def skip(self, n, what):
        """Pass over `n` bytes and return the position at which they start."""
        start = self.position
        self.require(n, what)
        self.seek(start + n)
        return start

    def seek(self, position):
        self.file.seek(position)
        self.position = position

    def unpack(self, form, what):
        """One number, by a little-endian `struct` form such as ``<u4``'s ``I``."""
        form = struct.Struct("<" + form)
        return form.unpack(self.take(form.size, what))[0]

    def fill(self, array, what):
        """Read straight into a C-contiguous array."""
        self.require(array.nbytes, what)
        if not array.nbytes:
            return
        view, done = memoryview(array.reshape(-1).view(np.uint8)), 0
        while done < len(view):
            n = self.file.readinto(view[done:])
            if not n:
                break
            done += n
        self._advance(done, len(view), what)

    def _advance(self, done, wanted, what):
        self.position += done
        if done != wanted:
            raise self.damaged(f"it became shorter while {what} was being read")

    def finish(self):
        """Refuse bytes that nobody asked for."""
        if self.left:
            raise self.damaged(
                "it goes on where it should end",
                expected=f"{self.position} bytes",
                actual=f"{self.size} bytes",
                hint="it holds more than was asked for: is it the file of another program, or of other variables?",
            )


@contextlib.contextmanager
def open_source(path, what="File"):
    """A `Source` on an ordinary file.

    Raises:
        NotFoundError: there is no such file.
        UnavailableError: it is a folder, a pipe or a device, or the system refuses.
    """
    name = f"{what} {os.fspath(path)!r}"
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            # A pipe would be waited for.
            raise UnavailableError(f"{name} cannot be read: it is not an ordinary file.")
        file = open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{name} does not exist.", hint="check the folder; was the model saved there completely?"
        ) from None
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{name} cannot be read: {error}.") from None
    with file:
        yield Source(file, name, os.fstat(file.fileno()).st_size)


def bytes_source(data, name):
    """A `Source` on bytes in memory."""
    return Source(io.BytesIO(data), name, len(data))


def path_inside(folder, name, what):
    """The path of `name` in a folder; names with slashes are folders in it, and none may lead out of it."""
    parts = name.replace("\\", "/").split("/") if os.name == "nt" else name.split("/")
    if not name or "\0" in name or os.path.isabs(name) or ".." in parts or os.path.normpath(name) == ".":
        raise InvalidArgumentError(
            f"{what} {name!r} is not the name of a file inside {os.fspath(folder)!r}.",
            expected="a name without '..' that does not start with '/'",
            actual=repr(name),
            hint="rename the variable, or name the file yourself: filename='params'.",
        )
    return os.path.join(folder, name)


class NewFiles:
    """Files that are being written beside their final names; `atomic_files` renames them all at the end."""

    def __init__(self):
        self.renames = []

    @contextlib.contextmanager
    def open(self, path):
        """A binary file to write what shall be found at `path`. Missing folders are made."""
        folder = os.path.dirname(path) or "."
        os.makedirs(folder, exist_ok=True)
        beside = os.path.join(folder, f"{UNFINISHED}{os.urandom(8).hex()}")
        self.renames.append((beside, path))
        with open(beside, "xb") as file:
            yield file

    def commit(self):
        for _, path in self.renames:
            if os.path.isdir(path):
                raise IsADirectoryError(f"{path!r} is a folder")
        while self.renames:
            os.replace(*self.renames[0])
            del self.renames[0]

    def discard(self):
        for beside, _ in self.renames:
            with contextlib.suppress(OSError):
                os.remove(beside)


@contextlib.contextmanager
def atomic_files(what):
    """A `NewFiles`: readers see either the old files or complete new ones, also when saving fails or is killed.

    Raises:
        UnavailableError: the system refused (disk full, no permission); what was there is unchanged.
    """
    files = NewFiles()
    try:
        yield files
        files.commit()
    except (OSError, ValueError) as error:
        if not isinstance(error, OSError) and "embedded null" not in str(error):
            raise
        raise UnavailableError(
            f"{what} could not be saved: {error}.", hint="the files that were there before are unchanged."
        ) from error
    finally:
        files.discard()
