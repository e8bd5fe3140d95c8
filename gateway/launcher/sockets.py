"""The sockets: made here rather than by uvicorn, since one that is bound without naming TCP leaves
Nagle's algorithm on, at some 40 ms a request.
"""

from __future__ import annotations

import socket

from gateway.api.doors import StartError

STALLED = 60.0
"""Seconds for which a client may take nothing of what it is sent, or acknowledge nothing."""
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


def listen(host: str, port: int) -> socket.socket:
    """Bind a TCP socket. Raises StartError naming the address.

    What it accepts is cut by the kernel, where that can (Linux: TCP_USER_TIMEOUT, RFC 5482), when
    its client has stalled: the request ends as if it had left, at no cost to any other.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _USER_TIMEOUT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(STALLED * 1000))
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    except (UnicodeError, ValueError, TypeError) as error:  # what no resolver would even look up
        sock.close()
        raise StartError(f"Cannot listen on {host!r}: it is no host's name or address.") from error
    return sock


def reserve(host: str, port: int) -> socket.socket:
    """Bind a socket that keeps an address until somebody listens on it.

    While nobody does, a second gateway could bind the same port too, and would fail only later;
    this one it cannot. Raises StartError naming the address.
    """
    sock = listen(host, port)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return sock


def url_of(sock: socket.socket) -> str:
    """Return where a bound socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
