"""TensorBoard event files, written without TensorBoard: the same numbers give the same bytes.

An event file is a row of records: length (uint64), masked CRC-32C of the length, data, masked
CRC-32C of the data, little-endian. The data is one ``Event`` message: ``wall_time`` (1, double),
``step`` (2, varint), ``file_version`` (3, text) or ``summary`` (5), whose ``value`` (1) holds
``tag`` (1, text) and ``simple_value`` (2, float).

Source: tensorboard/compat/proto/{event,summary}.proto and record_writer.py (Apache-2.0); RFC 3720
for the CRC. Differs: the wall time is the number of the update, because a clock would make equal
runs differ; so TensorBoard's "relative" axis counts updates.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "events.out.tfevents.0.refine-af"
"""TensorBoard takes any file with ``tfevents`` in its name."""


def write_events(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write one event per row to ``folder``; the step is the row's ``update``, others are tags.

    ``part_NAME_mean`` becomes ``part/NAME_mean``, so that parts share a page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = _record(_double(1, 0.0) + _bytes(3, b"brain.Event:2"))
    for row in rows:
        step = int(row["update"])
        values = b"".join(
            _bytes(1, _bytes(1, _tag(name).encode()) + _float(2, value))
            for name, value in row.items()
            if name != "update"
        )
        data += _record(
            _double(1, float(step)) + _varint(2 << 3) + _varint(step) + _bytes(5, values)
        )
    (folder / NAME).write_bytes(data)


def _tag(name: str) -> str:
    return f"part/{name.removeprefix('part_')}" if name.startswith("part_") else f"ppo/{name}"


def _record(data: bytes) -> bytes:
    header = struct.pack("<Q", len(data))
    return header + _masked_crc(header) + data + _masked_crc(data)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def _masked_crc(data: bytes) -> bytes:
    crc = _crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = [_entry(value) for value in range(256)]
