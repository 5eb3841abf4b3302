"""URLs of servers: what is one, and what of it may be shown."""

from __future__ import annotations

import ssl

import pytest
import redis

from distbelief.app.client.addresses import (
    Kind,
    Scheme,
    ServerAddress,
    address,
    anonymous,
)
from distbelief.app.client.options import OURS
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import split_urls


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
def test_a_server_url_is_taken(url: str) -> None:
    assert ServerAddress.parse(url).scheme in Scheme


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
        ServerAddress.parse(url)
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
        ServerAddress.parse(url)
    message = str(raised.value)
    assert "sec" not in address(url)
    assert "sec" not in message
    assert "ret@" not in message


def test_a_database_of_a_unix_socket_is_part_of_its_address() -> None:
    assert address("unix://user:secret@/run/redis.sock?db=3") == "unix:///run/redis.sock?db=3"


def celery_url(url: str) -> str:
    said: str = ServerAddress.parse(url).celery_settings()["broker_url"]
    return said


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("rediss://h:1/0", ssl.CERT_REQUIRED),
        ("rediss://h:1/0?ssl_cert_reqs=none", ssl.CERT_NONE),
        ("rediss://h:1/0?ssl_cert_reqs=CERT_OPTIONAL", ssl.CERT_OPTIONAL),
        ("rediss://h:1/0?ssl_cert_reqs=CERT_REQUIRED", ssl.CERT_REQUIRED),
    ],
)
def test_both_clients_check_certificates_unless_the_url_says_otherwise(
    url: str, wanted: ssl.VerifyMode
) -> None:
    parsed = ServerAddress.parse(url)
    _, options = parsed.connection()
    assert options["ssl_cert_reqs"] is wanted
    assert parsed.celery_settings()["broker_use_ssl"]["ssl_cert_reqs"] is wanted


def test_options_of_tls_reach_both_clients() -> None:
    parsed = ServerAddress.parse(
        "rediss://h?ssl_ca_certs=/ca.pem&ssl_certfile=/me.pem&ssl_keyfile=/me.key"
        "&ssl_check_hostname=false"
    )
    kind, options = parsed.connection()
    told: dict[str, object] = {
        "ssl_ca_certs": "/ca.pem",
        "ssl_certfile": "/me.pem",
        "ssl_keyfile": "/me.key",
    }
    told |= {"ssl_check_hostname": False}
    assert kind is redis.SSLConnection
    assert told.items() <= options.items()
    assert told.items() <= parsed.celery_settings()["broker_use_ssl"].items()


def test_celery_has_its_own_spelling_of_unix_sockets() -> None:
    assert celery_url("unix:///run/redis.sock") == "redis+socket:///run/redis.sock?virtual_host=0"


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/redis.sock?db=3",
        "unix:///run/redis.sock?virtual_host=3",
        "redis+socket:///run/redis.sock?virtual_host=3",
    ],
)
def test_messages_are_in_the_database_of_the_ledger(url: str) -> None:
    kind, options = ServerAddress.parse(url).connection()
    assert (kind, options["path"]) == (redis.UnixDomainSocketConnection, "/run/redis.sock")
    assert options["db"] == 3
    assert celery_url(url) == "redis+socket:///run/redis.sock?virtual_host=3"


@pytest.mark.parametrize(
    ("url", "database"),
    [("redis://h/2", 2), ("redis://h?db=2", 2), ("redis://h/2?db=2", 2), ("redis://h", 0)],
)
def test_a_database_may_stand_in_either_place(url: str, database: int) -> None:
    assert ServerAddress.parse(url).database == database
    assert celery_url(url) == f"redis://h:6379/{database}"


@pytest.mark.parametrize(
    "url", ["redis://h?password=a%2Cb&username=me", "redis://me:a,b@h", "redis://me:a%2Cb@h"]
)
def test_whoever_we_are_may_stand_in_either_place(url: str) -> None:
    _, options = ServerAddress.parse(url).connection()
    assert (options["username"], options["password"]) == ("me", "a,b")
    assert celery_url(url) == "redis://me:a%2Cb@h:6379/0"
    assert "a,b" not in address(url)


def test_a_name_for_our_connections_reaches_both_clients() -> None:
    parsed = ServerAddress.parse("redis://h?client_name=trainer")
    _, options = parsed.connection()
    assert options["client_name"] == "trainer"
    assert parsed.celery_settings()["broker_transport_options"] == {"client_name": "trainer"}


@pytest.mark.parametrize("option", OURS)
def test_an_option_that_is_ours_to_decide_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(ConfigError, match=f"the option {option}, which is this program's"):
        ServerAddress.parse(f"redis://h?{option}=1")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://h?dbb=1", r"an unknown option dbb \(did you mean db\?\)"),
        ("redis://h?ssl_cert_reqs=none", r"which only rediss:// \(TLS\) has"),
        ("redis://h?key_prefix={a}", "key_prefix={a}: it must have 1 to 64 letters"),
        ("redis://h?sentinel_password=x", "sentinel_password, which only sentinel:// has"),
        ("redis+cluster://h/3", "names database 3, and a cluster has only 0"),
        ("redis://h:1,i:2", "needs a host name and a port"),
        ("redis://h?db=1&db=2", "the option db twice"),
        ("redis://h/1?db=2", "must name its database once"),
        ("redis://h/one", "must name its database once and by a number"),
        ("redis://h?db=-1", "must name its database once and by a number"),
        ("rediss://h?ssl_cert_reqs=maybe", "must be required, optional, none, got 'maybe'"),
        ("rediss://h?ssl_check_hostname=1", "must be true or false, got '1'"),
        ("sentinel://h:26379", "needs the name by which its sentinels know the server"),
        ("amqp://me:secret@h", "'amqp://h' is not a server URL"),
    ],
)
def test_what_would_be_taken_in_two_ways_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ServerAddress.parse(url)


def test_a_stranger_reaches_the_same_server_in_the_same_way() -> None:
    assert anonymous("rediss://me:x@h:1/2?ssl_ca_certs=/ca.pem&password=x") == (
        "rediss://h:1/2?ssl_ca_certs=%2Fca.pem"
    )
    assert anonymous("unix://me:x@/run/a.sock?db=3") == "unix:///run/a.sock?db=3"


def test_a_comma_in_a_password_parts_no_urls() -> None:
    assert split_urls("redis://:a,b@h:1, redis://:c@h:2,") == ["redis://:a,b@h:1", "redis://:c@h:2"]


def test_a_master_is_found_by_its_sentinels() -> None:
    url = "sentinel://me:pass%2Fword@a:1,b,[::1]:3/trainers/2?sentinel_password=x&key_prefix=t:"
    parsed = ServerAddress.parse(url)
    assert (parsed.kind, parsed.scheme) == (Kind.SENTINEL, Scheme.TCP)
    assert parsed.nodes == (("a", 1), ("b", 26379), ("::1", 3))
    assert (parsed.master, parsed.database, parsed.key_prefix) == ("trainers", 2, "t:")
    assert (parsed.username, parsed.password) == ("me", "pass/word")
    assert parsed.sentinel_options["password"] == "x"
    assert address(url) == "sentinel://a:1,b,[::1]:3/trainers/2?key_prefix=t:"
    told = parsed.celery_settings()
    each = [f"sentinel://me:pass%2Fword@{place}/2" for place in ("a:1", "b:26379", "[::1]:3")]
    assert told["broker_url"] == ";".join(each)
    assert told["broker_transport_options"]["master_name"] == "trainers"


def test_a_cluster_is_some_of_its_nodes() -> None:
    parsed = ServerAddress.parse("rediss+cluster://a:1,b?ssl_ca_certs=/ca.pem")
    assert (parsed.kind, parsed.scheme) == (Kind.CLUSTER, Scheme.TLS)
    assert parsed.nodes == (("a", 1), ("b", 6379))
    assert parsed.celery_prefix == "dist:{celery}:"
    assert parsed.celery_settings()["broker_url"] == "rediss://a:1/0;rediss://b:6379/0"
    assert parsed.celery_settings()["broker_use_ssl"]["ssl_ca_certs"] == "/ca.pem"


def test_several_nodes_in_one_address_are_not_parted() -> None:
    urls = ["sentinel://a:1,b:2/one", "redis+cluster://c:1,d:2", "redis://e"]
    assert split_urls(",".join(urls)) == urls


def test_a_stranger_has_nobodys_login() -> None:
    url = "sentinel://me:p@a,b/one?sentinel_password=x&credential_provider=m:n&key_prefix=t:"
    assert anonymous(url) == "sentinel://a,b/one?key_prefix=t%3A"
