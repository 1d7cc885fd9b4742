"""How long it takes from a save until the engine receives the request: by the engine's own events, which carry its clock.

Both sides run as `watch` on a stack that is up. The engine is on this machine, so its clock is ours.
"""

import http.client
import json
import pathlib
import subprocess
import tempfile
import time

import stacks
from engine import VERSION, UnixConnection, filters

# What the engine tells first when it restarts a container, and when files have been copied into one.
RESTART, SYNC = "kill", "extract-to-dir"


def stack(action):
    """One service with a rule; small, and ends at once."""
    watch = {"path": "src", "action": action}
    if action == "sync":
        watch["target"] = "/srv"
    return {"app": {"image": "taskava/busybox:test", "command": stacks.WAITS, "watch": watch}}


class Events:
    """The engine's events about containers with a label, as they come."""

    def __init__(self, engine, label):
        self.connection = UnixConnection(engine.path)
        self.connection.request("GET", f"{VERSION}/events?" + filters(type=["container"], label=[label]))
        self.answer = self.connection.getresponse()

    def wait(self, action, limit=20):
        """When the next such event came, in seconds since 1970."""
        self.connection.sock.settimeout(limit)
        while line := self.answer.readline():
            event = json.loads(line)
            if event["Action"] == action:
                return event["timeNano"] / 1e9
        raise SystemExit(f"error: the engine's events ended before {action!r}")

    def close(self):
        try:
            self.connection.close()
        except (OSError, http.client.HTTPException):
            pass


class Watcher:
    """`watch` of one side, while it runs."""

    def __init__(self, side, folder):
        words, says = (["--format", "plain"], "watching for") if side.name == "taskava" else (["--no-up"], "Watch enabled")
        self.output = tempfile.TemporaryFile()
        argv = [*side.command, "watch", *words]
        self.process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        deadline = time.monotonic() + 30
        while says not in self.said():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.end()
                raise SystemExit(f"error: {' '.join(argv)} does not watch:\n{self.said()}")
            time.sleep(0.02)

    def said(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def end(self):
        self.process.terminate()
        self.process.wait()


def measure(engine, side, file, action, rounds, samples):
    """Saves a file again and again, and takes the time until the engine acts."""
    side.clean()
    side.up()
    events = Events(engine, side.label)
    watcher = Watcher(side, pathlib.Path(file).parent.parent)
    try:
        for number in range(rounds):
            # Whatever the last save stirred up is over.
            time.sleep(1)
            began = time.time()
            file.write_text(f"{action} {number}\n")
            samples.add(events.wait(RESTART if action == "restart" else SYNC) - began)
            if action == "restart":
                events.wait("start")
    finally:
        watcher.end()
        events.close()
        side.clean()
