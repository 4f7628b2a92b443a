"""What the broker is told, as far as one can read it; who is let and who is not stands in the contract tests."""

from cloud.identity.broker import Place, configuration, rules

PLACE = Place("/etc/b", "/var/b/", "mosquitto", 8883, 8884)


def test_both_listeners_ask_for_a_certificate_that_holds_and_tie_the_session_to_it() -> None:
    told = configuration(PLACE).splitlines()
    for line in (
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "crlfile /etc/b/revoked.pem",
        "cafile /etc/b/authority.crt",
    ):
        assert told.count(line) == 2
    assert [line for line in told if line.startswith("listener")] == ["listener 8883", "listener 8884"]
    assert "persistence_location /var/b/" in told


def test_listeners_can_be_held_to_an_address() -> None:
    told = configuration(Place("/b", "/v", "nobody", 1, 2, address="127.0.0.1", most_boxes=7)).splitlines()
    assert {"listener 1 127.0.0.1", "listener 2 127.0.0.1", "max_connections 7", "user nobody"} <= set(told)


def test_a_barred_name_is_denied_before_anything_is_let() -> None:
    told = rules(["monitor"], ["19/tc-001/scan-1"])
    assert told.index("user 19/tc-001/scan-1\ntopic deny #") < told.index("user monitor")
    assert "deny" not in rules(["monitor"])


def test_every_monitor_hears_all_boxes_and_only_its_own_echo() -> None:
    told = rules(["monitor-0", "monitor-1"])
    assert told.count("topic read edgefleet/v1/+/+/+/beat") == 2
    assert [line for line in told.splitlines() if "echo" in line] == [
        "topic readwrite edgefleet/v1/echo/monitor-0",
        "topic readwrite edgefleet/v1/echo/monitor-1",
    ]
