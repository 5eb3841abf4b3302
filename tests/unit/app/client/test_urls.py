"""URLs of servers: what is one, and what of it may be shown."""

from __future__ import annotations

import pytest

from distbelief.app.client.urls import address, check_url, kombu_url
from distbelief.app.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/2",
        "redis://:password@10.0.0.1:6379/0",
        "rediss://user:pass%2Fword@cache.example.com:6380",
        "redis://[::1]:6379",
        "unix:///run/redis/server.sock",
        "unix://user:password@/run/redis/server.sock?db=1",
    ],
)
def test_a_server_url_is_returned_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://localhost:6379", "'http://localhost:6379' is not a server URL"),
        ("localhost:6379", "'localhost:6379' is not a server URL"),
        ("REDIS://localhost", "'redis://localhost' is not a server URL"),
        ("", "'' is not a server URL"),
        ("redis://", "'redis://' needs a host name and a port"),
        ("redis://localhost:0", "'redis://localhost:0' needs a host name and a port"),
        ("redis://localhost:65536", "'redis://localhost:65536' needs a host name and a port"),
        ("redis://localhost:http", "'redis://localhost:http' needs a host name and a port"),
        ("redis://[::1", "needs a host name and a port"),
    ],
)
def test_what_is_no_server_url_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_url(url)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@localhost:6379/2", "redis://localhost:6379/2"),
        ("redis://:sec%40ret@localhost", "redis://localhost"),
        ("redis://localhost?password=secret", "redis://localhost"),
        ("unix://user:secret@/run/a.sock?db=1", "unix:///run/a.sock?db=1"),
        ("unix:///run/a@b.sock?password=secret", "unix:///run/a@b.sock"),
    ],
)
def test_an_address_is_the_url_without_its_secrets(url: str, shown: str) -> None:
    assert address(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec/ret@localhost:6379",
        "redis://:sec?ret@localhost:6379",
        "redis://:sec#ret@localhost:6379",
        "redis://a@b:sec/ret@localhost:6379",
        "redis//:secret@localhost",
        "user:secret@localhost:6379",
        "localhost/secret@",
    ],
)
def test_nothing_of_a_malformed_password_is_shown(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_url(url)
    message = str(raised.value)
    assert "sec" not in address(url)
    assert "sec" not in message
    assert "ret@" not in message


def test_a_database_of_a_unix_socket_is_part_of_its_address() -> None:
    assert address("unix://user:secret@/run/redis.sock?db=3") == "unix:///run/redis.sock?db=3"


def test_celery_is_told_to_check_certificates_unless_the_url_says_otherwise() -> None:
    assert kombu_url("rediss://h:1/0") == "rediss://h:1/0?ssl_cert_reqs=required"
    assert kombu_url("rediss://h:1/0?a=b") == "rediss://h:1/0?a=b&ssl_cert_reqs=required"
    assert kombu_url("rediss://h:1/0?ssl_cert_reqs=none") == "rediss://h:1/0?ssl_cert_reqs=none"


def test_celery_has_its_own_spelling_of_unix_sockets() -> None:
    assert kombu_url("unix:///run/redis.sock") == "redis+socket:///run/redis.sock"
