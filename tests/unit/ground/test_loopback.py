"""Ports of loopback that several servers prefer."""

import socket

from jobs.loopback import HOST, free_port, preferred_port


def test_servers_that_prefer_the_same_port_at_the_same_time_get_different_ones() -> None:
    port = free_port()
    with preferred_port(port) as first, preferred_port(port) as second, preferred_port(port) as third:
        assert first == port and len({first, second, third}) == 3
        socket.create_server((HOST, first)).close()  # what keeps others away keeps no server away
    with preferred_port(port) as again:
        assert again == port


def test_a_port_where_another_program_listens_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with preferred_port(port) as found:
            assert found != port
