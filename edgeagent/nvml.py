"""Asks NVIDIA's management library about the GPUs, over and over, in a process of its own: a call may never return.

It is a program that knows nothing of the rest (``python -I -S nvml.py <its parent's pid>``). It calls a dozen functions
of the library itself: the usual binding costs 18 MB, and a fifth of a second of processor at every start. It writes one
line of JSON an answer, in the words of ``gpus.Reading``, and ends when its parent does, when its input ends, or
when only a new conversation with the driver can tell more. A library that crashes takes nobody else along.

Functions, structures and numbers: nvml.h, https://docs.nvidia.com/deploy/nvml-api.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

PERIOD: Final = 0.5
"""Seconds between looks at who is there: a lost GPU is told within one."""
FIGURES_EVERY: Final = 10.0
REOPEN: Final = 60.0
"""Seconds after which a lost GPU is looked for anew: only a new conversation with the driver finds it again."""
NOTHING_HERE: Final = 3
"""Exit status: there is nothing to ask, or nothing to ask it with."""
_NOT_SUPPORTED, _DRIVER_NOT_LOADED, _NO_FUNCTION, _LOST, _RESET_REQUIRED = 3, 9, 13, 15, 16
_ANSWERS: Final = {0: "ok", _NOT_SUPPORTED: "ok", _LOST: "lost", _RESET_REQUIRED: "reset required"}
_RECOVERY_ACTION: Final = 230  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
_SIGKILL_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG


class Pci(ctypes.Structure):
    """``nvmlPciInfo_t``."""

    _fields_ = (
        ("legacy", ctypes.c_char * 16),
        ("numbers", ctypes.c_uint * 5),
        ("address", ctypes.c_char * 32),
    )


class Memory(ctypes.Structure):
    """``nvmlMemory_t``, bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Utilization(ctypes.Structure):
    """``nvmlUtilization_t``, per cent."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Field(ctypes.Structure):
    """``nvmlFieldValue_t``; the value is a union of eight bytes."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("scope", ctypes.c_uint),
        ("timestamp", ctypes.c_longlong),
        ("latency", ctypes.c_longlong),
        ("type", ctypes.c_uint),
        ("code", ctypes.c_uint),
        ("value", ctypes.c_uint * 2),
    )


_UINT, _ULONG = ctypes.c_uint, ctypes.c_ulonglong
FIGURES: Final[Mapping[str, tuple[str, tuple[int, ...], Any, float]]] = {  # function, arguments, result, divisor
    "DCGM_FI_DEV_GPU_TEMP": ("nvmlDeviceGetTemperature", (0,), _UINT, 1),  # degrees Celsius
    "DCGM_FI_DEV_POWER_USAGE": ("nvmlDeviceGetPowerUsage", (), _UINT, 1000),  # watts
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("nvmlDeviceGetTotalEnergyConsumption", (), _ULONG, 1),  # millijoules
    "DCGM_FI_DEV_SM_CLOCK": ("nvmlDeviceGetClockInfo", (1,), _UINT, 1),  # MHz
    "DCGM_FI_DEV_MEM_CLOCK": ("nvmlDeviceGetClockInfo", (2,), _UINT, 1),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("nvmlDeviceGetPcieReplayCounter", (), _UINT, 1),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("nvmlDeviceGetTotalEccErrors", (1, 0), _ULONG, 1),
    "DCGM_FI_DEV_RETIRED_PENDING": ("nvmlDeviceGetRetiredPagesPendingStatus", (), _UINT, 1),
}
_MIB: Final = 1024**2


class Library:
    """The driver's library; a function that it lacks answers so."""

    def __init__(self) -> None:
        self._functions = ctypes.CDLL("libnvidia-ml.so.1")

    def call(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - whatever the function takes
        """Return the function's code; 0: done."""
        try:
            called = getattr(self._functions, function)
        except AttributeError:
            return _NO_FUNCTION
        return int(called(*arguments))

    def words(self, code: int) -> str:
        """Return what a code means."""
        try:
            told = self._functions.nvmlErrorString
        except AttributeError:
            return f"error {code}"
        told.restype = ctypes.c_char_p
        return (told(ctypes.c_uint(code)) or b"?").decode(errors="replace")[:200]


class Device:
    """A GPU of this conversation, with what does not change of it."""

    def __init__(self, library: Library, index: int) -> None:
        self._library, self._handle = library, ctypes.c_void_p()
        self._code = library.call("nvmlDeviceGetHandleByIndex_v2", _UINT(index), ctypes.byref(self._handle))
        self.same = {
            "index": index, "uuid": self._text("nvmlDeviceGetUUID"), "name": self._text("nvmlDeviceGetName"),
            "pci": self._pci(), "memory": self._memory().total,
        }  # fmt: skip

    def look(self, *, closely: bool) -> dict[str, Any]:
        """Return the device as ``gpus.Seen``; ``closely``: with its health and its figures."""
        code = self._code or self._present()
        seen = {**self.same, "answer": _ANSWERS.get(code) or self._library.words(code)}
        if closely and code in {0, _NOT_SUPPORTED}:
            figures = {**self._figures(), **self._rows()}
            seen["figures"] = figures
            seen["health"] = {
                "action": self._action(),
                "remap_failed": bool(figures.get("DCGM_FI_DEV_ROW_REMAP_FAILURE")),
                "uncorrected": int(figures.get("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", 0)),
            }
        return seen

    def _present(self) -> int:
        """Ask what the driver has to ask the hardware for; a board without that sensor is asked for its memory."""
        code = self._ask("nvmlDeviceGetTemperature", _UINT(0), ctypes.byref(_UINT()))
        if code in {_NOT_SUPPORTED, _NO_FUNCTION}:
            code = self._ask("nvmlDeviceGetMemoryInfo", ctypes.byref(Memory()))
        return code

    def _figures(self) -> dict[str, float]:
        memory, use, figures = self._memory(), Utilization(), {}
        if memory.total:
            figures = {"DCGM_FI_DEV_FB_USED": memory.used / _MIB, "DCGM_FI_DEV_FB_FREE": memory.free / _MIB}
        if self._ask("nvmlDeviceGetUtilizationRates", ctypes.byref(use)) == 0:
            figures |= {"DCGM_FI_DEV_GPU_UTIL": use.gpu, "DCGM_FI_DEV_MEM_COPY_UTIL": use.memory}
        for name, (function, arguments, kind, divisor) in FIGURES.items():
            result = kind()
            if self._ask(function, *map(_UINT, arguments), ctypes.byref(result)) == 0:
                figures[name] = result.value / divisor
        return figures

    def _rows(self) -> dict[str, float]:
        corrected, uncorrected, pending, failed = _UINT(), _UINT(), _UINT(), _UINT()
        wanted = map(ctypes.byref, (corrected, uncorrected, pending, failed))
        if self._ask("nvmlDeviceGetRemappedRows", *wanted) != 0:
            return {}
        return {
            "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": corrected.value,
            "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": uncorrected.value,
            "DCGM_FI_DEV_ROW_REMAP_PENDING": pending.value,
            "DCGM_FI_DEV_ROW_REMAP_FAILURE": failed.value,
        }

    def _action(self) -> int | None:
        field = Field(number=_RECOVERY_ACTION)
        code = self._ask("nvmlDeviceGetFieldValues", ctypes.c_int(1), ctypes.byref(field))
        return None if code or field.code else int(field.value[0])

    def _memory(self) -> Memory:
        memory = Memory()
        self._ask("nvmlDeviceGetMemoryInfo", ctypes.byref(memory))
        return memory

    def _pci(self) -> str:
        pci = Pci()
        self._ask("nvmlDeviceGetPciInfo_v3", ctypes.byref(pci))
        return str(pci.address.decode(errors="replace"))

    def _text(self, function: str) -> str:
        text = ctypes.create_string_buffer(96)
        self._ask(function, text, _UINT(len(text)))
        return text.value.decode(errors="replace")

    def _ask(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - whatever the function takes
        return self._code or self._library.call(function, self._handle, *arguments)


def main() -> int:
    """Talk with the driver until there is a reason to end; returns the exit status."""
    if len(sys.argv) > 1:
        end_with(int(sys.argv[1]))
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        library = Library()
    except OSError:
        return refused(began, "there is no libnvidia-ml.so.1: install the driver's library", NOTHING_HERE)
    if code := library.call("nvmlInit_v2"):
        return refused(began, library.words(code), NOTHING_HERE if code == _DRIVER_NOT_LOADED else 1)
    code, count = counted(library)
    if code:
        return refused(began, library.words(code), 1)
    devices = [Device(library, index) for index in range(count)]
    asked, measured, line = select.poll(), began - FIGURES_EVERY, b""
    before: list[dict[str, Any]] | None = None
    asked.register(sys.stdin.fileno(), select.POLLIN)
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        closely = now >= measured + FIGURES_EVERY
        measured = now if closely else measured
        seen = [device.look(closely=closely) for device in devices]
        if seen != before:
            before, line = seen, written({"session": began, "gpus": seen})
        tell(line)
        if not devices:
            return NOTHING_HERE
        if counted(library) != (0, count) or asked.poll(PERIOD * 1000):
            return 0
        if now > began + REOPEN and any(one["answer"] != "ok" for one in seen):
            return 0


def counted(library: Library) -> tuple[int, int]:
    """Return a code, 0 for success, and how many GPUs the driver lists."""
    count = _UINT()
    code = library.call("nvmlDeviceGetCount_v2", ctypes.byref(count))
    return code, min(count.value, 64)


def refused(session: float, why: str, status: int) -> int:
    """Say why there is no answer; returns the exit status."""
    tell(written({"session": session, "error": why}))
    return status


def written(reading: dict[str, Any]) -> bytes:
    """Return an answer as a line."""
    return json.dumps(reading).encode() + b"\n"


def tell(line: bytes) -> None:
    """Write a line at once."""
    os.write(sys.stdout.fileno(), line)


def end_with(parent: int) -> None:
    """Die when the parent does, even within a call that does not return."""
    ctypes.CDLL(None).prctl(_SIGKILL_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
