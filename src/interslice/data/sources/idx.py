"""IDX files, the format of MNIST: images and labels as they are published."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from interslice.common.errors import InputError

UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file, plain or gzip: uint8, of the shape in its header, (n, rows, columns) or (n,).

    Header: two zero bytes, the type 0x08, the number of dimensions, each dimension as a big-endian uint32.
    Raises InputError for a file that is missing, cut, longer than its header says, or of another type.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a readable IDX file ({error})") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise InputError(
            f"{path}: found the first bytes {content[:4].hex()}, an IDX file of bytes begins with 000008"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(f"{path}: found {len(content)} bytes, the header alone has {start}")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise InputError(
            f"{path}: found {len(content) - start} values, the header says {math.prod(shape)} ({shape})"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
