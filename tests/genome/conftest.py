"""What tests of the genome stage share: a writer of 2bit files."""

import struct

import numpy as np
import pytest


def _blocks(flags, order):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, int), [0]])))
    both = edges[::2], edges[1::2] - edges[::2]
    return struct.pack(f"{order}I", len(both[0])) + b"".join(part.astype(f"{order}u4").tobytes() for part in both)


def _write_two_bit(path, sequences, order="<"):
    records = {}
    for name, text in sequences.items():
        bases = [max("TCAG".find(letter), 0) for letter in text.upper()] + [0] * (-len(text) % 4)
        quads = np.array(bases, int).reshape(-1, 4) @ [64, 16, 4, 1]
        unknown = _blocks([letter not in "ACGT" for letter in text.upper()], order)
        size, masked = struct.pack(f"{order}I", len(text)), _blocks([letter.islower() for letter in text], order)
        records[name] = size + unknown + masked + bytes(4) + quads.astype(np.uint8).tobytes()
    at = 16 + sum(5 + len(name) for name in records)
    index = b""
    for name, record in records.items():
        index += bytes([len(name)]) + name.encode() + struct.pack(f"{order}I", at)
        at += len(record)
    header = struct.pack(f"{order}4I", 0x1A412743, 0, len(records), 0)
    path.write_bytes(header + index + b"".join(records.values()))


@pytest.fixture(scope="session")
def write_two_bit():
    """Writes the 2bit format as UCSC defines it, without any library: (path, sequences, byte order)."""
    return _write_two_bit
