"""TFRecord files that grow record by record and hold nothing but whole ones."""

import contextlib
import os
import time

from serving.modelserver.tfrecord import as_record

_SYNC_EVERY_S = 5.0
# What users asked for is for nobody but whom the server runs as.
_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


class RecordFile:
    """One file; each record is appended by one write, or taken back.

    Raises: OSError: on construction, it cannot be made; FileExistsError: it is there.
    """

    def __init__(self, path: str) -> None:
        self.path, self.size = path, 0
        self._unsynced_since: float | None = None
        self._file = os.open(path, _NEW, _MODE)
        _sync_folder(os.path.dirname(path))

    def append(self, record: bytes) -> None:
        """Write one record whole. Raises: OSError; the file ends where it ended."""
        left = memoryview(record)
        size = self.size + len(left)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size = size
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()

    def sync_if_due(self) -> float | None:
        """Put on disk what has waited for it long enough.

        Out: seconds until more is due; None: nothing waits.
        """
        if self._unsynced_since is None:
            return None
        left_s = self._unsynced_since + _SYNC_EVERY_S - time.monotonic()
        if left_s > 0:
            return left_s
        os.fsync(self._file)
        self._unsynced_since = None
        return None

    def close(self) -> None:
        """Put everything on disk; a file without any record is removed."""
        try:
            if self.size:
                os.fsync(self._file)
            else:
                os.unlink(self.path)
        finally:
            os.close(self._file)


class RotatedFiles:
    """Files of one prefix, one after the other, none larger than a limit.

    A record that is larger itself has a file of its own.
    """

    def __init__(self, prefix: str, most_bytes: int) -> None:
        self.prefix, self._most_bytes = prefix, most_bytes
        self._file: RecordFile | None = None
        self._number = 0

    def append(self, content: bytes) -> None:
        """Write one record. Raises: OSError; the next one begins a file anew."""
        record = as_record(content)
        try:
            if self._file and 0 < self._file.size > self._most_bytes - len(record):
                self.close()
            self._file = self._file or self._new()
            self._file.append(record)
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            raise

    def sync_if_due(self) -> float | None:
        """As of `RecordFile`."""
        return self._file.sync_if_due() if self._file else None

    def close(self) -> None:
        """End the file that is being written, if one is."""
        file, self._file = self._file, None
        if file:
            file.close()

    def _new(self) -> RecordFile:
        started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        between = "-" if os.path.basename(self.prefix) else ""
        while True:
            self._number += 1
            name = f"{started}-{os.getpid()}-{self._number:05d}.tfrecord"
            # Containers that share a folder may share a process id too.
            with contextlib.suppress(FileExistsError):
                return RecordFile(f"{self.prefix}{between}{name}")


def _sync_folder(folder: str) -> None:
    """Let a new file's name survive a crash of the machine."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)
