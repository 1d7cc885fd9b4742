"""Runs a command and takes its time, its processor time and its peak memory."""

import os
import statistics
import subprocess
import tempfile
import time


class Samples:
    """What several runs of one piece of work took, in seconds."""

    def __init__(self):
        self.times, self.cpu = [], []

    def add(self, took, cpu=None):
        self.times.append(took)
        if cpu is not None:
            self.cpu.append(cpu)

    @property
    def time(self):
        return statistics.median(self.times) if self.times else None

    @property
    def processor(self):
        return statistics.median(self.cpu) if self.cpu else None


def command(argv):
    """Returns time and processor time (user + system, its children included) of a command that must succeed."""
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, close_fds=False
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"error: {' '.join(argv)} exits with {process.returncode}:\n{text}")
        return took, usage.ru_utime + usage.ru_stime


def count_lines(argv):
    """Returns how many lines a command writes to standard output."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: process.stdout.read(1 << 18), b""))


def call(work):
    """Returns the time of a piece of work in this process."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_memory(argv):
    """Returns the peak memory of a command in MB. By `time`, because a child of ours would begin with our own peak."""
    with tempfile.NamedTemporaryFile() as report:
        command(["/usr/bin/time", "--quiet", "-f", "%M", "-o", report.name, *argv])
        return int(report.read()) * 1024 / 1e6
