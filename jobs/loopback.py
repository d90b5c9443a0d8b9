"""Servers of this machine: ports of loopback, and processes that end with the one that started them."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from jobs.errors import Invalid

HOST = "127.0.0.1"
# Runs in the child before the program does: the kernel then ends the program with its parent, however that one dies. A
# parent that ignores signals (in the background of a shell, say) has children that do, unless they ask for them.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(port: int | None = None) -> int:
    """`port` if it is free; without one, any that is. Raises Invalid if it is taken or not allowed."""
    with socket.socket() as probe:
        # A server that ended a moment ago leaves connections behind, which keep nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            found = "no permission to use it" if isinstance(error, PermissionError) else "it taken"
            raise Invalid(f"--port {port}: expected a free port, found {found}; choose another") from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def preferred_port(port: int) -> Iterator[int]:
    """`port` for a server of this block; another that is free, if one listens there or one of ours is about to.

    A server takes seconds until it listens: meanwhile a UDP socket of the same number keeps others of ours away.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as claim:
        try:
            claim.bind((HOST, port))
            taken = listens(port)
        except OSError:
            taken = True
        yield free_port() if taken else port


def listens(port: int) -> bool:
    """Whether something answers on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def ending_with_parent(command: Sequence[str], python: str = sys.executable) -> list[str]:
    """A command that starts `command`, an absolute path with arguments, and ends it (SIGTERM) when this process ends.

    On Linux it ends with the calling thread: start it from one that lasts.
    """
    return [python, "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
