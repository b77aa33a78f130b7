"""What ``rulestream`` and ``python -m worker.cli`` run; a worker, which is awaited, without the other commands."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] != ["worker"]:
        from worker.cli.app import main as run

        run()
        return
    gc.disable()  # as ``work`` does; what is imported stays
    from worker.cli.root import command_line
    from worker.cli.work import work

    app = command_line()
    app.command("worker")(work)
    app()


if __name__ == "__main__":
    main()
