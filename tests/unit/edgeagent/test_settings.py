"""The agent's settings: what is wrong is told in one go."""

import pytest

from edgeagent.settings import LAN_PORT, Link, Settings, SettingsError, read
from edgeagent.settings import text as written
from edgeagent.wire import Address

SMALLEST = 'site = "tc-001"\nbox = "tc-001-scan-1"\n[broker]\nhost = "mqtt.example"\n'


def test_three_names_are_enough() -> None:
    settings = read(SMALLEST)
    assert settings == Settings(site="tc-001", box="tc-001-scan-1", broker=Link("mqtt.example"))
    assert (settings.broker.port, settings.lan_port, settings.address) == (
        8883,
        LAN_PORT,
        Address("tc-001", "tc-001-scan-1"),
    )


def test_what_is_written_is_read_again_whatever_is_in_it() -> None:
    link = Link("mqtt.example", 1883, '/a "b"/\\ä\n', "/c", "/k")
    assert read(written(Address("s", "b"), link)) == Settings(site="s", box="b", broker=link)


@pytest.mark.parametrize(
    ("text", "objections"),
    [
        ("", ["site"]),
        ("site = ", ["Invalid value"]),
        (SMALLEST + "prot = 1\n", ["prot"]),
        (SMALLEST.replace("mqtt.example", ""), ["broker.host is empty"]),
        (SMALLEST.replace("tc-001-scan-1", "TC 1"), ["is no name"]),
        (SMALLEST + "port = 0\n", ["broker.port 0 is no port"]),
        ("lan_port = 70000\n" + SMALLEST, ["lan_port 70000 is no port"]),
        (SMALLEST + 'certificate = "c"\n', ["belong together", "broker.ca is missing"]),
        ('state = "here"\n' + SMALLEST, ["must be a path from the root"]),
        ('state = "here"\nlan_port = -1\n' + SMALLEST, ["lan_port -1", "must be a path"]),
    ],
)
def test_what_is_wrong_is_named(text: str, objections: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert [one for one in objections if one not in str(refused.value)] == []
