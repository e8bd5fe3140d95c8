"""Arrays out of an archive that may be made to do harm: no more is unpacked than was asked for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_HEADER: Final = 10_000
"""Bytes of an array's header, at most."""
_PACKED: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Of these no more is unpacked than is asked for."""


def read_arrays(packed: bytes, most: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Read the arrays of an `.npz` file: those that `most` names and no others, each of at most so
    many bytes.

    Raises ValueError, zipfile.BadZipFile or zlib.error for any other file.
    """
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        found = sorted(info.filename.removesuffix(".npy") for info in archive.infolist())
        if missing := sorted(set(most) - set(found)):
            raise ValueError(f"there is no {', '.join(missing)}")
        if found != sorted(most):
            raise ValueError(f"it holds {len(found)} arrays, more than the {len(most)} it may")
        return {name: _read(archive, name, bytes_) for name, bytes_ in most.items()}


def _read(archive: zipfile.ZipFile, name: str, most: int) -> NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _PACKED:
        raise ValueError(f"{name} is packed in a way that is not read")
    with archive.open(info) as member:
        content = member.read(most + _HEADER + 1)
    if len(content) > most + _HEADER:
        raise ValueError(f"{name} is larger than {most:,} bytes")
    file = io.BytesIO(content)
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is not an array of version 1.0")
    shape, by_columns, kind = npy.read_array_header_1_0(file, max_header_size=_HEADER)
    if (
        kind.hasobject
        or min((*shape, 0)) < 0
        or prod(shape) * kind.itemsize != len(content) - file.tell()
    ):
        raise ValueError(f"{name} does not hold the numbers that its header tells of")
    flat = np.frombuffer(content, kind, offset=file.tell())
    return flat.reshape(shape, order="F" if by_columns else "C")


def beyond(array: NDArray[Any], most: float) -> str:
    """Say what is wrong with numbers that should be from -most to most, or nothing."""
    if not np.isfinite(array).all():
        return "holds a number that is not finite"
    return f"holds a number beyond {most:g}" if (np.abs(array) > most).any() else ""
