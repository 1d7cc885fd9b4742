"""`python -m app` serves on port 8080; `python -m app migrate` brings the database up to date and ends."""

import signal
import sys

from waitress import serve

from . import create_app, notes, operations


def end(*_: object) -> None:
    """A container's first process ignores SIGTERM, unless it says otherwise; `serve` then answers what it has begun to."""
    sys.exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, end)
    if sys.argv[1:] == ["migrate"]:
        notes.migrate()
        return
    operations.log("started")
    serve(create_app(), host="0.0.0.0", port=8080, threads=8)


main()
