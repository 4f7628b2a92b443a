"""How a box joins and stays: the real agent at the real server, and whoever stands in between or comes uninvited."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from cloud.__main__ import app as cloud
from cloud.identity import app
from cloud.identity.app import GRACE, NO, make_server
from cloud.identity.authority import BOX_LIFE, Authority, read_request
from cloud.identity.limits import BURST
from cloud.identity.names import box_name
from cloud.identity.tokens import Token, digest
from edgeagent import identity, openssl
from edgeagent.enrolment import (
    AUTHORITY_PATH,
    ENROL_PATH,
    LARGEST,
    RENEW_PATH,
    Enrol,
    EnrolmentError,
    Invitation,
    Renew,
    Unreachable,
)
from edgeagent.wire import Address, Channel, topic
from tests.contract.fleetbroker import FleetBroker, Papers, refused
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, until

pytestmark = [
    pytest.mark.skipif(
        not (MOSQUITTO and shutil.which("openssl")) and not os.environ.get("CI"),
        reason="no mosquitto or no openssl: apt-get install mosquitto openssl",
    ),
    # a handshake that fails leaves its socket to the collector (CPython 3.11, http.client)
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]
BOX = Address("tc-001", "scan-1")


class Server:
    """The enrolment server of a fleet whose broker need not run, in a thread."""

    def __init__(self, place: Path) -> None:
        self.fleet = FleetBroker(place)
        self.folder = self.fleet.folder
        self.port = self.folder.fleet.enrolment_port
        self.books = self.folder.books()
        self.uvicorn = make_server(self.folder, self.books, "127.0.0.1")
        self.thread = threading.Thread(target=self.uvicorn.run)

    def start(self) -> None:
        self.thread.start()
        until(lambda: self.uvicorn.started, "the server listens")

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self.thread.join(ENOUGH)
        self.books.close()
        self.fleet.stop()

    def token(self, address: Address = BOX, lasts: float = 3600.0) -> Invitation:
        secret, now = secrets.token_hex(20), time.time()
        self.books.invite(Token(digest(secret), address, now + lasts), now)
        return Invitation("127.0.0.1", self.port, self.folder.authority.fingerprint, secret)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        context = ssl.create_default_context(cadata=self.folder.authority.certificate.decode())
        link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=ENOUGH, context=context)
        link.request("POST", path, body, headers or {})
        answer = link.getresponse()
        told = answer.status, answer.read()
        link.close()
        return told


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    one = Server(tmp_path / "server")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "box"


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "box") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def certificate(joined: identity.Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(joined.certificate.read_bytes())


def aged(server: Server, joined: identity.Identity, age: timedelta) -> None:
    """Give a box the certificate that it would have, had it joined some time ago."""
    asked = read_request(openssl.request(joined.key))
    assert asked
    issued = server.folder.authority.admit(f"19/{joined.site}/{joined.box}", asked, datetime.now(UTC) - age)
    server.books.record(issued.serial, issued.name, issued.expires.timestamp())
    joined.certificate.write_bytes(issued.pem)
    told = json.loads((joined.folder / "identity.json").read_bytes())
    times = {"renew_after": issued.renew_after.timestamp(), "expires": issued.expires.timestamp()}
    (joined.folder / "identity.json").write_text(json.dumps(told | times))


def test_a_box_joins_with_a_key_that_it_made_and_nobody_else_has(server: Server, state: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    assert (joined.site, joined.box, joined.port) == ("tc-001", "scan-1", server.fleet.port)
    assert identity.load(state) == joined
    made = certificate(joined)
    assert made.subject.rfc4514_string() == f"CN={box_name(BOX)}"
    assert made.not_valid_after_utc - datetime.now(UTC) <= BOX_LIFE
    assert stat.S_IMODE(joined.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(joined.folder.stat().st_mode) == 0o700
    kept = b"".join(file.read_bytes() for file in (server.fleet.place / "fleet").rglob("*") if file.is_file())
    assert joined.key.read_bytes().splitlines()[1] not in kept


def test_a_strict_reader_of_certificates_takes_all_of_ours(server: Server, state: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    context = identity.context_of(joined)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with (
        socket.create_connection(("127.0.0.1", server.port), ENOUGH) as link,
        context.wrap_socket(link, server_hostname="127.0.0.1") as tls,
    ):
        assert tls.version() == "TLSv1.3"


def test_the_same_token_twice_is_the_same_as_once(server: Server, state: Path) -> None:
    token = server.token().text()
    first = identity.enrol(token, state)
    assert identity.enrol(token, state) == first


def test_a_second_box_with_the_same_token_stays_outside(server: Server, state: Path, tmp_path: Path) -> None:
    token = server.token().text()
    identity.enrol(token, state)
    with pytest.raises(EnrolmentError, match=f"403: {NO}"):
        identity.enrol(token, tmp_path / "thief")
    assert identity.load(tmp_path / "thief") is None


def test_of_many_boxes_that_come_with_one_token_at_once_one_joins(server: Server, tmp_path: Path) -> None:
    token = server.token().text()

    def join(number: int) -> bool:
        with contextlib.suppress(EnrolmentError):
            return identity.enrol(token, tmp_path / f"box-{number}").box == "scan-1"
        return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(join, range(6))) == 1


def test_a_box_that_died_before_the_answer_came_asks_again_with_its_key(server: Server, state: Path) -> None:
    token = server.token()
    pending = identity._pending(state)  # noqa: SLF001 - as far as it came
    lost = Enrol(token.secret, openssl.request(pending / "key.pem"))
    assert server.post(ENROL_PATH, msgspec.json.encode(lost))[0] == 200
    joined = identity.enrol(token.text(), state)
    public = serialization.load_pem_private_key(joined.key.read_bytes(), None).public_key()
    assert certificate(joined).public_key() == public
    assert identity.load(state) == joined


@pytest.mark.parametrize("left", ["key.pem", "certificate.pem", "identity.json", ".key.pem"])
def test_whatever_an_attempt_left_behind_the_next_one_succeeds(server: Server, state: Path, left: str) -> None:
    (state / "pending").mkdir(parents=True)
    if left == "key.pem":
        identity._pending(state)  # noqa: SLF001 - as far as it came
    else:
        (state / "pending" / left).write_bytes(b"half of it")
    assert identity.enrol(server.token().text(), state).box == "scan-1"


@pytest.mark.parametrize("lasts", [-1.0, 0.0])
def test_a_token_that_is_over_lets_nobody_in(server: Server, state: Path, lasts: float) -> None:
    with pytest.raises(EnrolmentError, match="403"):
        identity.enrol(server.token(lasts=lasts).text(), state)


def test_a_token_that_nobody_made_lets_nobody_in_and_is_told_no_more_than_others(server: Server) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    over = server.token(lasts=-1.0)
    told = {
        server.post(ENROL_PATH, msgspec.json.encode(Enrol(secret, request(key)))) for secret in ("ab" * 20, over.secret)
    }
    assert told == {(403, NO.encode())}


def test_a_new_token_moves_a_box_and_the_old_name_goes(server: Server, state: Path) -> None:
    first = identity.enrol(server.token().text(), state)
    moved = identity.enrol(server.token(Address("tc-002", "scan-9")).text(), state)
    assert (moved.site, moved.box) == ("tc-002", "scan-9")
    assert not first.folder.exists()
    assert [one.name for one in state.iterdir() if one.name != "current"] == [moved.folder.name]


def test_who_the_certificate_is_for_stands_in_the_token_and_not_in_the_request(server: Server) -> None:
    asked = Enrol(server.token().secret, request(ec.generate_private_key(ec.SECP256R1()), "monitor"))
    status, answer = server.post(ENROL_PATH, msgspec.json.encode(asked))
    made = x509.load_pem_x509_certificate(json.loads(answer)["certificate"].encode())
    assert (status, made.subject.rfc4514_string()) == (200, f"CN={box_name(BOX)}")


def test_a_request_that_proves_no_key_of_our_kind_costs_the_token_nothing(server: Server, state: Path) -> None:
    token = server.token()
    good = request(ec.generate_private_key(ec.SECP256R1()))
    lines = good.splitlines()
    lines[-2] = lines[-2][:8] + ("A" if lines[-2][8] != "A" else "B") + lines[-2][9:]
    for bad in (
        "x",
        "\n".join(lines),
        request(rsa.generate_private_key(65537, 2048)),
        request(ec.generate_private_key(ec.SECP384R1())),
        server.folder.authority.certificate.decode(),
    ):
        assert server.post(ENROL_PATH, msgspec.json.encode(Enrol(token.secret, bad)))[0] == 403
    assert identity.enrol(token.text(), state).box == "scan-1"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[" * 10_000, 400),
        (b'{"secret":"x","request":"y"}', 400),
        (b'{"secret":1}', 400),
        (b"\xff\xfe", 400),
        (b"x" * (LARGEST + 1), 413),
    ],
)
def test_what_is_no_question_is_refused(server: Server, body: bytes, status: int) -> None:
    assert [server.post(path, body)[0] for path in (ENROL_PATH, RENEW_PATH)] == [status, status]


def test_a_question_without_an_end_is_cut_off(server: Server) -> None:
    context = ssl.create_default_context(cadata=server.folder.authority.certificate.decode())
    link = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=ENOUGH, context=context)
    link.putrequest("POST", ENROL_PATH)
    link.putheader("Transfer-Encoding", "chunked")
    link.endheaders()
    for _ in range(5):
        link.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert link.getresponse().status == 413
    link.close()


def test_a_question_that_does_not_come_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_WITHIN", 0.1)
    assert server.post(ENROL_PATH, b"", {"Content-Length": "100"})[0] == 408


def test_whoever_is_refused_too_often_waits_and_is_told_how_long(server: Server, state: Path) -> None:
    wrong = msgspec.json.encode(Enrol("ab" * 20, request(ec.generate_private_key(ec.SECP256R1()))))
    assert {server.post(ENROL_PATH, wrong)[0] for _ in range(BURST)} == {403}
    assert server.post(ENROL_PATH, wrong)[0] == 429
    with pytest.raises(Unreachable, match="429"):
        identity.enrol(server.token().text(), state)


def test_there_is_nothing_else_to_see(server: Server) -> None:
    for path in ("/", "/docs", "/openapi.json", "/v1/enrol/", "/v1/../authority.key"):
        assert server.post(path, b"")[0] in {404, 405, 307}


def test_neither_log_nor_database_nor_error_holds_a_secret(server: Server, state: Path, tmp_path: Path) -> None:
    token = server.token()
    structlog.reset_defaults()
    with capture_logs() as lines:
        identity.enrol(token.text(), state)
        with pytest.raises(EnrolmentError) as told:
            identity.enrol(token.text(), tmp_path / "thief")
    assert [one["event"] for one in lines] == ["Admitted", "Refused"]
    assert lines[1]["reason"] == "TokenUsed"
    kept = (server.fleet.place / "fleet/identity.db").read_bytes()
    for place in (repr(lines), str(told.value), kept.decode("latin-1"), (state / "current/identity.json").read_text()):
        assert token.secret not in place


class Between(threading.Thread):
    """Somebody in between, who has read all that is public and remembers what he is told."""

    def __init__(self, authority: bytes, certificate: Path, key: Path) -> None:
        super().__init__(daemon=True)
        self.authority, self.told = authority, bytearray()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.socket.accept()
                with contextlib.suppress(OSError), self.context.wrap_socket(link, server_side=True) as tls:
                    self.told += tls.recv(65536)
                    length = f"Content-Length: {len(self.authority)}\r\n\r\n".encode()
                    tls.sendall(b"HTTP/1.1 200 OK\r\n" + length + self.authority)
                link.close()


@pytest.mark.parametrize("who", ["another fleet", "with our authority's certificate", "with a box's certificate"])
def test_somebody_in_between_is_told_nothing(server: Server, state: Path, tmp_path: Path, who: str) -> None:
    now, another = datetime.now(UTC), Authority.create(datetime.now(UTC))
    issued, key = another.server("server", ["127.0.0.1"], now)
    papers = server.fleet.saved("between", issued.pem, key)
    if who == "with a box's certificate":
        papers = server.fleet.box(Address("tc-001", "scan-2"))
    public = another.certificate if who == "another fleet" else server.folder.authority.certificate
    assert papers.certificate
    assert papers.key
    between = Between(public, papers.certificate, papers.key)
    between.start()
    token = server.token()
    with pytest.raises(EnrolmentError, match="nothing was told"):
        identity.enrol(Invitation("127.0.0.1", between.port, token.fingerprint, token.secret).text(), state)
    between.socket.close()
    assert between.told.startswith(b"GET " + AUTHORITY_PATH.encode())
    assert token.secret.encode() not in between.told
    assert identity.load(state) is None
    assert identity.enrol(token.text(), tmp_path / "later").box == "scan-1"  # it lost nothing


def test_a_server_under_an_address_that_its_certificate_lacks_is_refused(server: Server, state: Path) -> None:
    token = server.token()
    with relayed("127.0.0.2", server.port), pytest.raises(EnrolmentError, match="IP address mismatch"):
        identity.enrol(Invitation("127.0.0.2", server.port, token.fingerprint, token.secret).text(), state)


@contextlib.contextmanager
def relayed(host: str, port: int) -> Iterator[None]:
    """Have another loopback address lead to the server."""
    relay = socket.create_server((host, port))

    def carry() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = relay.accept()
                there = socket.create_connection(("127.0.0.1", port), ENOUGH)
                for one, other in ((link, there), (there, link)):
                    threading.Thread(target=pipe, args=(one, other), daemon=True).start()

    threading.Thread(target=carry, daemon=True).start()
    yield
    relay.close()


def pipe(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        end.close()


def test_a_server_that_is_not_there_is_unreachable_and_the_token_stays_good(server: Server, state: Path) -> None:
    token = server.token()
    with pytest.raises(Unreachable, match="does not answer"):
        identity.enrol(Invitation("127.0.0.1", 1, token.fingerprint, token.secret).text(), state)
    assert identity.enrol(token.text(), state).box == "scan-1"


def test_without_the_program_that_makes_keys_the_box_says_what_to_install(
    server: Server, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnrolmentError, match="apt-get install openssl"):
        identity.enrol(server.token().text(), state)


def test_nothing_is_renewed_before_its_time_nor_without_an_identity(server: Server, state: Path) -> None:
    assert identity.renew_if_due(state, time.time()) is None
    joined = identity.enrol(server.token().text(), state)
    assert identity.renew_if_due(state, joined.renew_after - 1) is None


@pytest.mark.parametrize("age", [timedelta(days=61), timedelta(days=91), timedelta(days=400)])
def test_a_certificate_is_renewed_with_the_same_key_even_after_months_in_the_dark(
    server: Server, state: Path, age: timedelta
) -> None:
    server.fleet.start()
    joined = identity.enrol(server.token().text(), state)
    key = joined.key.read_bytes()
    aged(server, joined, age)
    renewed = identity.renew_if_due(state, time.time())
    assert renewed
    assert renewed.key.read_bytes() == key
    assert renewed.expires > joined.expires - 60
    assert not joined.folder.exists()
    assert refused(server.fleet.port, Papers(renewed.authority, renewed.certificate, renewed.key)) == ""
    assert identity.renew_if_due(state, time.time()) is None


def test_a_certificate_that_is_over_for_too_long_is_not_renewed(server: Server, state: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    aged(server, joined, BOX_LIFE + timedelta(seconds=GRACE + 60))
    with pytest.raises(EnrolmentError, match="403"):
        identity.renew_if_due(state, time.time())


def test_the_old_certificate_stays_until_the_broker_has_taken_the_new_one(server: Server, state: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    with pytest.raises(Unreachable, match="the broker"):
        identity.renew_if_due(state, joined.renew_after)
    assert identity.load(state) == joined
    server.fleet.start()
    assert identity.renew_if_due(state, joined.renew_after)


def test_a_broker_of_another_fleet_is_no_proof(server: Server, state: Path, tmp_path: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    (tmp_path / "another").mkdir()
    another = FleetBroker(tmp_path / "another")
    text = another.config.read_text().replace(f"listener {another.port}", f"listener {server.fleet.port}")
    another.config.write_text(text)
    another.port = server.fleet.port
    another.start()
    with pytest.raises(EnrolmentError, match="the old one stays"):
        identity.renew_if_due(state, joined.renew_after)
    another.stop()
    assert identity.load(state) == joined


def test_a_revoked_box_is_not_renewed_and_its_tokens_are_void(server: Server, state: Path, tmp_path: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    token = server.token().text()
    server.books.revoke(box_name(BOX), BOX, time.time())
    with pytest.raises(EnrolmentError, match="403"):
        identity.renew_if_due(state, joined.renew_after)
    with pytest.raises(EnrolmentError, match="403"):
        identity.enrol(token, tmp_path / "again")


def test_nobody_renews_with_a_key_that_is_not_the_certificate_s(server: Server, state: Path) -> None:
    joined = identity.enrol(server.token().text(), state)
    theirs = joined.certificate.read_text()
    stranger = ec.generate_private_key(ec.SECP256R1())
    another = Authority.create(datetime.now(UTC))
    asked = read_request(request(stranger))
    assert asked
    forged = another.admit(box_name(BOX), asked, datetime.now(UTC)).pem.decode()
    monitor = (server.folder.path / "monitor/monitor.crt").read_text()
    key = serialization.load_pem_private_key((server.folder.path / "monitor/monitor.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for present, by in ((theirs, stranger), (forged, stranger), (monitor, key), ("x", stranger)):
        question = Renew(present, request(by))
        assert server.post(RENEW_PATH, msgspec.json.encode(question))[0] == 403


def program(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], input=said, capture_output=True, text=True, timeout=120, check=False
    )


def told(*words: str) -> Result:
    """Run a command of ours in this process, which spares a person's second of start."""
    return CliRunner().invoke(cloud, words)


def test_the_programs_as_a_person_runs_them(tmp_path: Path, free: Callable[[], int]) -> None:
    folder, state, port = str(tmp_path / "f"), tmp_path / "box", free()
    made = told("identity", "init", "--host", "localhost", "--folder", folder, "--enrolment-port", str(port))
    assert made.exit_code == 0, made.output
    token = json.loads(told("enrol", "tc-001/scan-1", "--folder", folder, "-o", "json").stdout)["token"]
    serving = subprocess.Popen(
        [sys.executable, "-m", "cloud", "identity", "serve", "--folder", folder, "--listen", "127.0.0.1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not listening(port):  # importing all that may take long where others run beside it
        assert serving.poll() is None
        time.sleep(0.05)
    where = ("--config", str(tmp_path / "agent.toml"), "--identity")
    joined = program("edgeagent", "enrol", *where, str(state), said=token)
    assert joined.stdout == "tc-001/scan-1 has joined; `edgeagent run` speaks to localhost:8883\n", joined.stderr
    (tmp_path / "token").write_text(token)
    again = program("edgeagent", "enrol", *where, str(state), "--token-file", str(tmp_path / "token"))
    assert again.returncode == 0
    stolen = program("edgeagent", "enrol", *where, str(tmp_path / "thief"), said=token)
    assert (stolen.returncode, "403" in stolen.stderr) == (1, True)
    serving.send_signal(signal.SIGTERM)
    logged = serving.communicate(timeout=60)[1]
    assert '"event": "Admitted"' in logged
    secret = token.rpartition(".")[2]
    assert secret not in logged + "".join(one.stdout + one.stderr for one in (joined, again, stolen))


@pytest.fixture
def free() -> Callable[[], int]:
    def port() -> int:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return int(one.getsockname()[1])

    return port


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_token_on_the_command_line_is_refused_and_not_repeated() -> None:
    told = program("edgeagent", "enrol", f"efl1.localhost:1.{'ab' * 32}.{'cd' * 20}")
    assert told.returncode == 2
    assert "does not belong on the command line" in told.stderr
    assert "cdcd" not in told.stdout + told.stderr


def test_an_agent_that_has_joined_is_heard_and_so_is_its_successor_after_renewal(
    server: Server, state: Path, tmp_path: Path
) -> None:
    server.fleet.start()
    joined = identity.enrol(server.token().text(), state)
    config = tmp_path / "agent.toml"
    identity.configure(joined, state, config)
    config.write_text(f'state = "{tmp_path / "spool"}"\nlan_port = 0\n{config.read_text()}')
    monitor = server.fleet.listener()
    for renewed in (False, True):
        if renewed:
            assert identity.renew_if_due(state, joined.renew_after)
        monitor.heard.clear()
        agent = subprocess.Popen([sys.executable, "-m", "edgeagent", "run", "--config", str(config)])
        until(lambda: any(one[0] == topic(BOX, Channel.BEAT) for one in monitor.heard), "a beat")
        agent.terminate()
        assert agent.wait(ENOUGH) == 0
    monitor.close()


def test_an_agent_renews_its_certificate_by_itself(server: Server, state: Path, tmp_path: Path) -> None:
    server.fleet.start()
    joined, config = identity.enrol(server.token().text(), state), tmp_path / "agent.toml"
    identity.configure(joined, state, config)
    config.write_text(f'state = "{tmp_path / "spool"}"\nlan_port = 0\n{config.read_text()}')
    told = joined.folder / "identity.json"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"renew_after": 1.0}))
    before = joined.certificate.read_bytes()
    agent = subprocess.Popen([sys.executable, "-m", "edgeagent", "run", "--config", str(config)])
    until(lambda: (state / "current" / joined.certificate.name).read_bytes() != before, "another certificate")
    agent.terminate()
    assert agent.wait(ENOUGH) == 0


def test_the_settings_of_a_person_are_left_alone_and_what_is_wrong_in_them_is_told(
    server: Server, state: Path, tmp_path: Path
) -> None:
    joined, config = identity.enrol(server.token().text(), state), tmp_path / "etc" / "agent.toml"
    identity.configure(joined, state, config)
    mine = f'roles = ["scan"]\n{config.read_text()}'
    config.write_text(mine)
    identity.configure(joined, state, config)
    for wrong in (mine.replace("scan-1", "scan-2"), "nonsense"):
        config.write_text(wrong)
        with pytest.raises(EnrolmentError, match='make it say\nsite = "tc-001"'):
            identity.configure(joined, state, config)
        assert config.read_text() == wrong
