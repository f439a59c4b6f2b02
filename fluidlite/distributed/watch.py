"""A rank that is lost ends the job: its neighbours on the same machine see that its process is gone.

Ranks are blocked inside MPI most of the time, where Python handles no signal, and MPI itself may wait for a lost rank
for ever. So a thread of each rank looks at the processes of the ranks on its machine, and at SIGTERM, by which
launchers end the ranks that are left; one rank of each machine says what was lost and where to go on, and all end.
"""

import contextlib
import mmap
import os
import select
import signal
import socket
import tempfile
import threading
import time

# Seconds between two looks, and from the first sight of a loss, or from SIGTERM, to the word about it: several ranks
# may be lost at once. Launchers kill a quarter of a second after SIGTERM.
_PERIOD, _SETTLE = 0.5, 0.05
# How long a rank waits for the launcher to end the job, before it does so itself.
_GRACE = 1.0

# What a rank has noted in the shared file: nothing; it ends by itself, so that its end is no alarm.
_RUNS, _LEAVES = 0, 1


class Watch:
    """Watches the ranks of a machine from each of them.

    Args:
        comm: a Communicator; its ranks make their Watch together.
        resume: a function that gives a text about where to go on.
        abort: a function that ends all ranks.
        write: takes a text for the user; stderr if None.
    """

    def __init__(self, comm, resume, abort, write=None):
        self.rank, self.size, self._resume, self._abort = comm.rank, comm.size, resume, abort
        self._write = write or _write_stderr
        self._host = socket.gethostname()
        self._process, self._done = os.getpid(), False
        self._marks, self._pids = None, {}
        self._old_handler, self._masks = None, {}
        self._share_file(comm)
        self._pipe = _pipe()
        self._begin_signals()
        self._thread = threading.Thread(target=self._watch, name="fluidlite watch", daemon=True)
        self._thread.start()

    def _share_file(self, comm):
        """A byte of each rank, in a file that the ranks of one machine have in common, and one that says who spoke."""
        # Processes that do not share a numbering of processes are no neighbours, whatever their host is called.
        place = self._host, _namespace(), os.getpid()
        path = None
        places = comm.all_gather(place)
        neighbours = [rank for rank, other in enumerate(places) if other[:2] == place[:2]]
        if neighbours[0] == self.rank:
            handle, path = tempfile.mkstemp(prefix="fluidlite-ranks-")
            os.ftruncate(handle, self.size + 1)
            os.close(handle)
        paths = comm.all_gather(path)
        try:
            self._file = os.open(paths[neighbours[0]], os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            self._marks = mmap.mmap(self._file, self.size + 1)
        except OSError:
            self._marks = None
        watching = comm.all_gather(self._marks is not None)
        if path is not None:
            os.unlink(path)
        if self._marks is not None:
            self._pids = {
                rank: places[rank][2]
                for rank in neighbours
                if rank != self.rank and watching[rank] and not _is_gone(places[rank][2])
            }

    # --------------------------------------------------------------------------------------------------------- signals

    def _begin_signals(self):
        """See SIGTERM in the thread, also while the main thread is inside MPI."""
        self._signals, self._old_wakeup = False, -1
        if self._pipe is None or threading.current_thread() is not threading.main_thread():
            return
        self._old_wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._signals = True
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            self._old_handler = signal.SIG_DFL
            signal.signal(signal.SIGTERM, self._on_sigterm)
        os.register_at_fork(
            before=self._hold_signals, after_in_parent=self._release_signals, after_in_child=self._forget
        )

    def _on_sigterm(self, number, frame):
        """The thread ends the process, as soon as it has said why."""
        if os.getpid() != self._process or not self._thread.is_alive():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _hold_signals(self):
        """A child must not write to the pipe that it has in common with this process until `_forget`."""
        if self._signals:
            held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self._masks[threading.get_ident()] = held

    def _release_signals(self):
        mask = self._masks.pop(threading.get_ident(), None)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _forget(self):
        """A forked child is no rank."""
        self._end_signals()
        self._done = True
        self._release_signals()

    def _end_signals(self):
        if not self._signals or threading.current_thread() is not threading.main_thread():
            return
        self._signals = False
        taken = signal.set_wakeup_fd(self._old_wakeup, warn_on_full_buffer=False)
        if taken != self._pipe[1]:  # somebody else's since
            signal.set_wakeup_fd(taken, warn_on_full_buffer=False)
        if self._old_handler is not None and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, self._old_handler)

    # ------------------------------------------------------------------------------------------------------------- end

    def leave(self):
        """This rank ends by itself: no alarm when its process is gone."""
        if self._marks is not None and os.getpid() == self._process:
            self._marks[self.rank] = _LEAVES

    def stop(self):
        """Watch no longer; the others may end as they like."""
        self.leave()
        if not self._done and os.getpid() == self._process:
            self._done = True
            self._end_signals()
            if self._pipe is not None:
                os.write(self._pipe[1], b"\0")

    # ------------------------------------------------------------------------------------------------------ the thread

    def _watch(self):
        while not self._done:
            numbers = self._wait()
            if self._done:
                return
            lost = self._lost()
            told = signal.SIGTERM in numbers
            if lost or told:
                time.sleep(_SETTLE)
                lost = self._lost()
            if lost:
                self._end(self._text_of(lost), 1)
            elif told and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
                # Where a rank has said what is wrong, launchers end the others like this.
                silent = any(self._marks[: self.size]) if self._marks is not None else False
                self._end("" if silent else f"The ranks on {self._host} were told to end (SIGTERM).", 143)

    def _wait(self):
        """Sleep for a while; the numbers of signals that have come."""
        if self._pipe is None:
            time.sleep(_PERIOD)
            return b""
        if not select.select([self._pipe[0]], [], [], _PERIOD)[0]:
            return b""
        numbers = os.read(self._pipe[0], 512)
        if self._old_wakeup != -1 and not self._done:
            try:
                os.write(self._old_wakeup, numbers)
            except OSError:  # its owner has closed it
                pass
        return numbers

    def _lost(self):
        """The ranks of this machine whose processes are gone though they have not left."""
        gone = [rank for rank, pid in self._pids.items() if _is_gone(pid)]
        # In this order: a rank notes that it leaves before it is gone.
        return [rank for rank in gone if self._marks[rank] == _RUNS]

    def _text_of(self, lost):
        whom = " and ".join(f"rank {rank} (process {self._pids[rank]} on {self._host})" for rank in lost)
        was = "was lost: its process" if len(lost) == 1 else "were lost: their processes"
        return f"{whom[0].upper()}{whom[1:]} {was} ended without a word, killed, out of memory or by a crash."

    def _end(self, text, status):
        """Say it, if no other rank of this machine has; end this process, and so the job."""
        self.leave()
        speaks = bool(text) and self._take_the_word()
        if speaks:
            # Two pieces, since finding the checkpoint may take longer than the launcher gives.
            self._write(f"{text}\n")
            self._write(f"{self._resume()}\n")
        if status == 1:
            time.sleep(_GRACE)  # for the launcher, which has more to say
            if speaks:
                with contextlib.suppress(RuntimeError):  # Python 3.12 starts none when the program has ended
                    threading.Thread(target=self._abort, daemon=True).start()
                    time.sleep(_GRACE)
        os._exit(status)

    def _take_the_word(self):
        if self._marks is None:
            return True
        import fcntl  # here, since there is none on Windows, and no watch either

        fcntl.lockf(self._file, fcntl.LOCK_EX)  # until this process ends: others wait here while it speaks
        first = not self._marks[self.size]
        self._marks[self.size] = 1
        if not first:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        return first


def _pipe():
    """(read end, write end) for signals, or None where select knows no pipes."""
    if os.name != "posix":
        return None
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _namespace():
    """What tells apart containers that number their processes on their own, or None."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _is_gone(pid):
    """Whether a process has ended, also if nobody has asked for its status yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):  # not Linux, or gone since: the next look will tell
        return False


def _write_stderr(text):
    os.write(2, text.encode(errors="backslashreplace"))
