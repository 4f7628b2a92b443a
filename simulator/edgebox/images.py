"""Container images of a few files around a static busybox, made in memory; no I/O.

An image is blobs by digest and one manifest; `archive` is what `ctr images import` reads, and a registry can serve the
blobs as they are (OCI image format and distribution specifications, v1).
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's names in Go's words
APPLETS = ("sh", "sleep", "httpd", "touch", "test", "true", "false", "cat", "echo")


@dataclass(frozen=True, slots=True)
class Image:
    """One image; `manifest` is the digest of one of the blobs, which names the others."""

    manifest: str
    blobs: Mapping[str, bytes]


def busybox_image(
    busybox: bytes, machine: str, command: tuple[str, ...], env: Mapping[str, str] | None = None
) -> Image:
    """An image that runs `command` with `env`; `machine` is the kernel's name of the CPU."""
    tree = layer(busybox)
    packed = gzip.compress(tree, compresslevel=1, mtime=0)
    variables = {"PATH": "/bin", **(env or {})}
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Cmd": list(command), "Env": [f"{name}={value}" for name, value in variables.items()]},
        "rootfs": {"type": "layers", "diff_ids": [digest(tree)]},
    }
    described = as_json(config)
    manifest = as_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, described),
            "layers": [descriptor(LAYER_TYPE, packed)],
        }
    )
    return Image(digest(manifest), {digest(blob): blob for blob in (packed, described, manifest)})


def archive(image: Image, reference: str) -> bytes:
    """The image as one file, under a full name such as `example.org/tool:1`."""
    named = descriptor(MANIFEST_TYPE, image.blobs[image.manifest])
    index = {
        "schemaVersion": 2,
        "manifests": [{**named, "annotations": {"io.containerd.image.name": reference}}],
    }
    members = {"oci-layout": as_json({"imageLayoutVersion": "1.0.0"}), "index.json": as_json(index)}
    members |= {f"blobs/{name.replace(':', '/')}": blob for name, blob in image.blobs.items()}
    return packed_tar({name: (0o644, content) for name, content in members.items()}, {})


def layer(busybox: bytes) -> bytes:
    """The file system: busybox with its applets, and an empty /tmp."""
    return packed_tar(
        {"bin/busybox": (0o755, busybox)}, {f"bin/{name}": "busybox" for name in APPLETS}, folders=("tmp",)
    )


def packed_tar(
    contents: Mapping[str, tuple[int, bytes]], links: Mapping[str, str], folders: tuple[str, ...] = ()
) -> bytes:
    """A tar of files (mode and content by path), symbolic links and empty folders; the same each time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for path, (mode, content) in contents.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = mode, len(content)
            tar.addfile(entry, io.BytesIO(content))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return stream.getvalue()


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    """How the format points at a blob."""
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def digest(content: bytes) -> str:
    """The name of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_json(value: dict[str, Any]) -> bytes:
    """One spelling, so that digests are stable."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
