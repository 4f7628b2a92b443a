"""How the cloud's processes log: to standard error, as text on a terminal and as JSON lines anywhere else."""

import logging
import sys

import structlog


def set_up(level: str) -> int:
    """Begin to log what is at least so severe; returns its number."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, stream=sys.stderr, format="%(message)s")
    for library in ("httpx", "httpcore"):  # they log addresses, which may hold a token
        logging.getLogger(library).setLevel(logging.WARNING)
    style = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            style,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return number
