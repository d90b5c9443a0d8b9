"""The one place that turns exceptions of a command into what a person reads, and into an exit status.

What people are told of which exception is in `jobs.error_messages`; commands and jobs raise, and print no error.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from jobs import error_log
from jobs.display import plain
from jobs.error_messages import bug, is_error, is_full, message_of
from jobs.errors import EvergreenError
from jobs.secret import hide
from orchestration import library_output
from orchestration.printing import complain

REFUSED, USAGE, NOBODY, BUG, INTERRUPTED = 1, 2, 4, 70, 130
"""Exit statuses: something that a person can mend, a wrong argument, a run that ends with nobody in production, a bug,
Ctrl-C. `evergreen check` ends with 3 where a load would be refused."""
DEBUG = "orchestration.debug"
LONG = 1_000
"""More characters than any first sentence has."""


class Commands(click.Group):
    """The group of all commands: whatever one raises ends in a message and an exit status, never in a traceback."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command and exit with its status."""
        _print_anything()
        return super().main(*arguments, **options)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole first sentences, which Click cuts to one line."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(LONG)) for name, each in found.items() if each])

    def invoke(self, context: click.Context) -> Any:
        """Run the command of this context."""
        try:
            with library_output.apart(lambda text: _keep(text, bool(context.meta.get(DEBUG)))):
                return super().invoke(context)
        except click.UsageError as error:
            raise click.UsageError(plain(error.format_message()), error.ctx) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            complain("Interrupted: run the same command again, and it goes on where it was or starts anew.")
            context.exit(INTERRUPTED)
        except BaseException as error:
            if not is_error(error):
                raise
            context.exit(report(error, bool(context.meta.get(DEBUG))))


def add_debug(command: click.Command) -> None:
    """Let `--debug` follow a command, and those of a group of commands."""
    text = "Show the traceback of an error."
    command.params.append(click.Option(["--debug"], is_flag=True, expose_value=False, callback=_debug, help=text))
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        add_debug(each)


def _debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[DEBUG] = value or context.meta.get(DEBUG, False)


def _keep(text: str, debug: bool) -> None:
    """What a library printed past Python: for whoever mends a bug."""
    if debug:
        complain(text)
    elif (home := _home()) and home.is_dir():
        error_log.append(home, "printed by a library", hide(text))


def report(error: BaseException, debug: bool = False) -> int:
    """Tell a person what is wrong, on stderr; returns the exit status."""
    if debug:
        complain(error_log.traceback_of(error))
    home = _home()
    message = message_of(error)
    if not isinstance(error, EvergreenError) and home and is_full(home):
        message = f"{home}: expected room on the disk, found none left; make room and run again, it goes on"
    if message is not None:
        complain(message, "Error")
        return REFUSED
    log = None if debug else _logged(home, error)
    where = f"its traceback is in {log}" if log else "`--debug` shows its traceback"
    complain(f"{bug(error)}; {where}. Please report it.", "Error")
    return BUG


def _home() -> Path | None:
    """The home, unless the settings that are at fault name it."""
    from jobs import settings

    with contextlib.suppress(EvergreenError, OSError):
        return settings.load().home
    return None


def _logged(home: Path | None, error: BaseException) -> Path | None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
    return error_log.append(home, command, error_log.traceback_of(error)) if home else None


def _print_anything() -> None:
    """Let a terminal of any character set print any text: what it lacks is written out; and do without a terminal."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process lives
        if reconfigure := getattr(getattr(sys, name), "reconfigure", None):
            reconfigure(errors="backslashreplace")
