"""The program on a box: ``enrol`` makes it join a fleet, ``run`` tells the cloud how it is, ``facts`` tells people."""

import argparse
import getpass
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from edgeagent.enrolment import EnrolmentError, Unreachable
from edgeagent.facts import Facts, problems, size
from edgeagent.gpureader import read_gpus
from edgeagent.identity import STATE, configure, enrol
from edgeagent.procfs import has_gpu_driver, read_facts
from edgeagent.senses import Senses
from edgeagent.service import Service, clock
from edgeagent.settings import SettingsError, read

_CONFIG = Path("/etc/edgeagent/agent.toml")
_EXAMPLES = """examples:
  edgeagent enrol                  join a fleet; asks for the token
  edgeagent enrol < token          the same from a file or a pipe
  edgeagent run                    tell the cloud how this box is, until SIGTERM
  edgeagent facts                  what this box is, for people
  edgeagent facts --output json    the same for programs
  edgeagent facts --root /host     from a container that has the host mounted there

exit status: 0 done or the box can serve, 1 something keeps it from that, 2 wrong usage or settings"""
_LONGEST_TOKEN = 1024  # letters


def main() -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args()
    if options.command == "enrol":
        return _join(parser, options)
    if not options.root.is_dir():
        parser.error(f"--root {options.root} is no folder: name the one where the host's file system is mounted")
    if options.command == "run":
        return _run(options.config, options.root, parser)
    return _facts(options.root, options.output)


def _join(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Join a fleet. The token is read, never given: what stands on a command line others on the machine can see."""
    if options.token != "-":  # noqa: S105 - stands for standard input
        parser.error(
            "a token does not belong on the command line, where others can see it: have a new one made, "
            "run `edgeagent enrol` alone, and paste it when asked"
        )
    try:
        joined = enrol(_token(options.token_file), options.identity)
        configure(joined, options.identity, options.config)
    except (EnrolmentError, Unreachable) as wrong:
        sys.exit(f"edgeagent: {wrong}")
    except OSError as wrong:
        sys.exit(f"edgeagent: {wrong.filename or options.identity}: {wrong.strerror}")
    _tell(f"{joined.site}/{joined.box} has joined; `edgeagent run` speaks to {joined.host}:{joined.port}")


def _token(file: Path | None) -> str:
    if file:
        return file.read_text(errors="replace")[:_LONGEST_TOKEN]
    return getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.read(_LONGEST_TOKEN)


def _run(config: Path, root: Path, parser: argparse.ArgumentParser) -> None:
    """Be the agent until a signal."""
    try:
        settings = read(config.read_text())
    except (OSError, UnicodeDecodeError, SettingsError) as wrong:
        parser.error(f"{config}: {wrong}; edgeagent enrol writes this file")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    service = Service(settings, Senses(root, clock()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: service.stop(signal.Signals(number).name))
    service.run()


def _facts(root: Path, form: str) -> None:
    facts = read_facts(read_gpus() if has_gpu_driver(root) else (), root)
    objections = problems(facts)
    if form == "json":
        told = json.dumps({**asdict(facts), "problems": list(objections)}, indent=2)
    else:
        told = "\n".join([*_lines(facts), *(f"✕ {objection}" for objection in objections)])
    _tell(told)
    sys.exit(1 if objections else 0)


def _tell(text: str) -> None:
    """Print; a letter that the terminal's encoding lacks becomes a plain one. Exits where nothing can be written."""
    encoding = sys.stdout.encoding
    if "✕".encode(encoding, "replace") == b"?":
        text = text.replace("✕", "x").encode(encoding, "replace").decode(encoding)
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as lost:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody tries again at the end
        sys.exit(f"edgeagent: the answer could not be written: {lost.strerror}; make room, or let it go elsewhere")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeagent",
        description="The program on an edge box.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("edgefleet"))
    commands = parser.add_subparsers(dest="command", required=True)
    facts = commands.add_parser("facts", help="what this box is, and what keeps it from serving in a fleet")
    facts.add_argument("--output", choices=("text", "json"), default="text", help="for people or for programs")
    run = commands.add_parser("run", help="tell the cloud how this box is, until SIGTERM")
    run.add_argument("--config", type=Path, default=_CONFIG, help="settings (default: %(default)s)")
    for command in (run, facts):
        command.add_argument("--root", type=Path, default=Path("/"), help="where the host's file system is mounted")
    join = commands.add_parser("enrol", help="join a fleet with a one-time token, which is read from standard input")
    join.add_argument("token", nargs="?", default="-", metavar="-", help="standard input, as without it")
    join.add_argument("--token-file", type=Path, metavar="FILE", help="read the token from there instead")
    join.add_argument("--identity", type=Path, default=STATE, metavar="DIR", help="for its key (default: %(default)s)")
    join.add_argument("--config", type=Path, default=_CONFIG, help="settings to write (default: %(default)s)")
    return parser


def _lines(facts: Facts) -> list[str]:
    gpus = ["unknown"] if facts.gpus is None else [f"{gpu.name}, {size(gpu.memory)}" for gpu in facts.gpus] or ["none"]
    rows = {
        "box": f"{facts.host} ({facts.arch}, Linux {facts.kernel})",
        "cores": str(facts.cores),
        "memory": size(facts.memory),
        "free disk": size(facts.disk_free),
        "runtime": facts.container_runtime or "none",
        "edgecore": "runs" if facts.edgecore else "does not run",
        "GPUs": "; ".join(gpus),
    }
    return [f"{name:<10} {value}" for name, value in rows.items()]


if __name__ == "__main__":
    main()
