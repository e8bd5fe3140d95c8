"""Where a configuration says that upstreams are: which URLs can be called."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    "url",
    [
        *("http://h/v 1", "http://ex*mple/v1", "http://a..b/v1", "http://.a/v1", "http://-a/v1"),
        *("http://[fe80::1%25eth0]/v1", "http://[fe80::1%eth0]/v1", "http://[::1/v1"),
        *("http:///v1", "http://:80/v1", "http://h:0/v1", "http://h:x/v1", "ftp://h/v1"),
        *(f"http://{'a' * 64}.b/v1", f"http://{'a.' * 130}b/v1", "http://h/\tv1", "http://mü/v1"),
    ],
)
def test_a_base_url_that_cannot_be_called(problems, small, url):
    told = problems(small.replace('"https://llm.example.com/v1"', json.dumps(url)))
    assert "base_url: must be an http:// or https:// URL with a host" in told[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://my_box-1:80/v1",
        "http://127.0.0.1",
        "http://[::1]:8080/v1",
        "https://a.b.",
        "http://A/",
    ],
)
def test_a_base_url_that_can(read, small, url):
    settings = read(small.replace('"https://llm.example.com/v1"', json.dumps(url)))
    assert settings.upstreams["acme"].base_url == url.rstrip("/")
