"""One journal entry as bytes that tell whether they are whole.

The first line is JSON with the size in bytes and the sha256 of everything after it, so a file cut
short by a crashed disk or altered by another tool is seen, and never taken for data.
"""

import json

from refine_af.storage.digest import digest_bytes


def wrap(data: bytes) -> bytes:
    """Return ``data`` behind its header line."""
    header = f'{{"size": {len(data)}, "sha256": "{digest_bytes(data)}"}}\n'
    return header.encode() + data


def unwrap(raw: bytes) -> bytes | None:
    """Return the data of an entry, or None when it is not whole."""
    line, newline, data = raw.partition(b"\n")
    try:
        header = json.loads(line)
        size, digest = header["size"], header["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    whole = newline and size == len(data) and digest == digest_bytes(data)
    return data if whole else None
