from __future__ import annotations

import pytest

from gateway.core.database_url import DatabaseUrl


@pytest.mark.parametrize(
    ("written", "shown", "secret"),
    [
        ("postgresql://ann@db:5433/ledger", "postgresql://ann@db:5433/ledger", False),
        ("postgres://ann:s3cret@db/ledger", "postgres://ann@db/ledger", True),
        ("postgresql:///ledger", "postgresql:///ledger", False),
        (
            "postgresql://db/ledger?sslmode=require&password=s3cret",
            "postgresql://db/ledger?sslmode=require",
            True,
        ),
        ("postgresql://[::1]:5432/l", "postgresql://[::1]:5432/l", False),
    ],
)
def test_it_is_shown_without_its_password(written, shown, secret):
    url = DatabaseUrl(written)
    assert (str(url), url.shown, url.has_secret, url.url) == (shown, shown, secret, written)
    assert "s3cret" not in repr(url)
    assert url.name in {"ledger", "l"}


@pytest.mark.parametrize("written", ["mysql://u@h/d", "postgresql://u@h", "postgresql://h/", ""])
def test_what_names_no_database_is_refused(written):
    with pytest.raises(ValueError, match="postgresql://user@host/database"):
        DatabaseUrl(written)
