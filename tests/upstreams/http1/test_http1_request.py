"""Requests that must not be made."""

from __future__ import annotations

import pytest
from upstreams.http1.exchanging import PATIENT

from gateway.upstreams.http1 import (
    Pool,
)


@pytest.mark.parametrize(
    "headers",
    [
        b"x: 1",
        b"x: 1\r\n\r\n",
        b"x: 1\ny: 2\r\n",
        b"x: a\0b\r\n",
        b"x y: 1\r\n",
        b": 1\r\n",
        b"x\r\n",
        [(b"x", b"1\r\ny: 2")],
        [(b"x\r\ny", b"1")],
        [(b"x", b"1\0")],
        [(b"", b"1")],
        ((b"x", b"1\n"),),
        [(b"Content-Length", b"5")],
        [(b"transfer-encoding", b"chunked")],
        [(b"host", b"elsewhere")],
        [(b"accept-encoding", b"gzip")],
        [(b"connection", b"x-a")],
    ],
)
def test_headers_that_could_smuggle_are_refused(headers):
    pool = Pool("http://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(ValueError, match="header"):
            pool.exchange("POST", "/", headers, b"", PATIENT)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/a b"),
        ("GET", "/a\r\nx: 1"),
        ("GET", "/\0"),
        ("GET", "no-slash"),
        ("GET", ""),
        ("GET", "/#f"),
        ("GET", "/\u00e9"),
        ("GE T", "/"),
        ("GET\r\n", "/"),
        ("", "/"),
        ("G\u00c9T", "/"),
        ("CONNECT", "/"),
    ],
)
def test_request_lines_that_could_smuggle_are_refused(method, path):
    with pytest.raises(ValueError, match="request line"):
        Pool("http://127.0.0.1:1").exchange(method, path, b"", b"", PATIENT)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "127.0.0.1:80",
        "http://",
        "http://u:secret@a",
        "http://a/?q",
        "http://a/#f",
        "http://a:99999",
        "http://a\r\nb/",
        "http://a b/",
    ],
)
def test_base_urls_that_are_not(url):
    with pytest.raises(ValueError, match=r"^(?!.*secret)"):
        Pool(url).exchange("GET", "/", b"", b"", PATIENT)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://Example.test/v1/", b"example.test", b"/v1/x"),
        ("http://example.test:8080", b"example.test:8080", b"/x"),
        ("https://example.test:443", b"example.test", b"/x"),
        ("https://example.test:80", b"example.test:80", b"/x"),
        ("http://[::1]:8080/a", b"[::1]:8080", b"/a/x"),
        ("http://b\u00fccher.test", b"xn--bcher-kva.test", b"/x"),
    ],
)
def test_base_urls(url, host, target):
    head = Pool(url).exchange("GET", "/x", b"", b"", PATIENT)._head
    assert head.startswith(b"GET %b HTTP/1.1\r\nhost: %b\r\n" % (target, host))
