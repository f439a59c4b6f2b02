"""Peers as the driver sees them: a worker process for each, spoken to in lines of JSON."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workloads import LABELS

WORKER = Path(__file__).resolve().parent / "peers" / "worker.py"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class PeerError(Exception):
    """A peer could not do what was asked; the text is one line for the reader of the table."""


class Peer:
    """A worker process. `ask` sends a request and waits for its answer."""

    def __init__(self, name, python, *, threads, environment=None, timeout=300.0):
        self.name, self.timeout, self.asked, self.buffer = name, timeout, "start", b""
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                [python, str(WORKER), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=worker_environment(python, threads, environment or {}),
                start_new_session=True,  # Ctrl-C is for the driver, which then ends the workers.
            )
        except OSError as error:
            self.errors.close()
            raise PeerError(f"{LABELS[name]}: cannot start {python}: {error.strerror}") from None

    def ask(self, do, **values):
        """The answer to one request; PeerError if the worker says "error", dies, or takes longer than the timeout."""
        self.asked = do
        try:
            self.process.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise PeerError(self._death()) from None
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise PeerError(f"{LABELS[self.name]}: no answer to '{do}' in {self.timeout:g} s")
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise PeerError(self._death())
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError:
            raise PeerError(f"{LABELS[self.name]}: its answer to '{do}' is no JSON: {line[:80]!r}") from None
        if "error" in answer:
            raise PeerError(f"{LABELS[self.name]}: '{do}' failed: {answer['error']}")
        return answer

    def _death(self):
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # It closed its end and lives on.
            self.process.kill()
            code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1].strip()}" if lines else ""
        return f"{LABELS[self.name]}: its process died in '{self.asked}' (exit code {code}){said}"

    def close(self):
        """End the process; safe to call again."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            try:
                stream.close()
            except OSError:  # What could not be written to a dead worker.
                pass


def worker_environment(python, threads, extra):
    """The user's environment, and the same number of threads for everybody where the user has not said it."""
    environment = {**os.environ, **extra}
    for name in THREAD_VARIABLES:
        environment.setdefault(name, str(threads))
    if python != sys.executable:
        # Modules of this interpreter are of no use to another version.
        for name in ("PYTHONPATH", "PYTHONHOME"):
            environment.pop(name, None)
    return environment
