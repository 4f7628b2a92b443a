"""A GPU driver's library that behaves as it is told, for tests of whoever asks it."""

import os
import subprocess
from pathlib import Path
from shutil import which

SOURCE = Path(__file__).with_name("nvml") / "fake.c"
COMPILER = which("gcc")


def compiled(folder: Path) -> Path:
    """Compile the library into a folder; returns that."""
    assert COMPILER
    command = [COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", str(SOURCE), "-o", str(folder / "libnvidia-ml.so.1")]
    subprocess.run(command, check=True, timeout=60)
    return folder


class FakeNvml:
    """The library of a folder, and the file that it obeys."""

    def __init__(self, library: Path, orders: Path) -> None:
        self.library, self.orders = library, orders
        self.obey("gpus=01")

    def obey(self, orders: str) -> None:
        """Give the library other orders, from its next call on."""
        fresh = self.orders.with_suffix(".fresh")
        fresh.write_text(orders)
        fresh.replace(self.orders)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find it."""
        return {"LD_LIBRARY_PATH": str(self.library), "FAKE_NVML": str(self.orders), "PATH": os.environ["PATH"]}
