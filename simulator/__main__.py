"""Where `fleetsim` and `python -m simulator` begin: with next to nothing, so that Ctrl-C is heard from the first."""

import os

BROKEN_OFF = 130  # as a shell says it of a program that Ctrl-C ended


def main() -> None:
    """Run the command line; while its modules are still being read, Ctrl-C ends it without a word."""
    try:
        import signal  # noqa: PLC0415 - even this takes a moment

        heard = signal.getsignal(signal.SIGINT)
        if heard is not signal.SIG_IGN:  # as in a script's background
            signal.signal(signal.SIGINT, lambda *_: os._exit(BROKEN_OFF))
        from simulator import cli  # noqa: PLC0415 - takes a third of a second

        signal.signal(signal.SIGINT, heard)
    except KeyboardInterrupt:
        os._exit(BROKEN_OFF)
    cli.main()


if __name__ == "__main__":
    main()
