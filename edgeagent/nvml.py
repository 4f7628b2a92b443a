"""Asks NVIDIA's management library for GPUs, in a child process: a call into a sick driver may never return."""

import json
import subprocess
import sys
from dataclasses import asdict

from edgeagent.facts import Gpu

_PATIENCE = 10.0
"""Seconds; a healthy driver that has gone to sleep answers within 3."""


def read_gpus() -> tuple[Gpu, ...] | None:
    """Return the GPUs by index; None if the driver, or the library to ask it with, gives no answer."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "edgeagent.nvml"], capture_output=True, timeout=_PATIENCE, check=True
        )
        return tuple(Gpu(**one) for one in json.loads(child.stdout))
    except (subprocess.SubprocessError, OSError, ValueError, TypeError):
        return None


def _ask() -> list[Gpu]:
    import pynvml  # noqa: PLC0415 - optional: extra `gpu`; only the child needs it

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return [
        Gpu(
            index=index,
            name=_text(pynvml.nvmlDeviceGetName(handle)),
            uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
            memory=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        )
        for index, handle in enumerate(handles)
    ]


def _text(given: str | bytes) -> str:
    return given.decode(errors="replace") if isinstance(given, bytes) else given


if __name__ == "__main__":
    json.dump([asdict(gpu) for gpu in _ask()], sys.stdout)
