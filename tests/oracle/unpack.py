"""The bytes of an archive's object, decompressed: by content, never by name.

In: the stored bytes. Out: the raw bytes, and whether the object ends too early or is damaged. Only
the standard library: snappy is decoded here, zstd only as far as raw and run-length blocks go, and
by whatever is installed for it beyond that. A second reading of the formats, apart from the
program's own.
"""

import importlib
import io
import shutil
import struct
import subprocess
import zipfile
import zlib

XERIAL = b"\x82SNAPPY\x00"


def unpack(stored):
    """(raw bytes, sound): gzip inside gzip and so on is unpacked until nothing is left to unpack."""
    sound = True
    for _ in range(4):
        raw, whole = unpack_once(stored)
        sound = sound and whole
        if raw is None:
            return stored, sound
        stored = raw
    return stored, sound


def unpack_once(stored):
    if stored[:3] == b"\x1f\x8b\x08":
        return gunzip(stored)
    if stored[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            return b"".join(archive.read(name) for name in archive.namelist()), True
    if stored[:4] == b"\x28\xb5\x2f\xfd":
        return unzstd(stored), True
    if stored[:8] == XERIAL:
        return xerial(stored), True
    if looks_like_hadoop(stored):
        return hadoop(stored), True
    return None, True


def gunzip(stored):
    out = []
    while stored[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(wbits=31)
        try:
            out.append(member.decompress(stored))
            out.append(member.flush())
        except zlib.error:
            return b"".join(out), False
        if not member.eof:
            return b"".join(out), False
        stored = member.unused_data
    return b"".join(out), True


def unzstd(stored):
    try:
        return unzstd_simple(stored)
    except ValueError:
        pass
    for module in ("compression.zstd", "zstandard", "pyarrow"):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if module == "compression.zstd":
            return found.decompress(stored)
        if module == "zstandard":
            return found.ZstdDecompressor().decompressobj().decompress(stored)
        return found.input_stream(io.BytesIO(stored), compression="zstd").read()
    if shutil.which("zstd") is None:
        raise SystemExit("an object is packed with zstd: install `pyarrow` or the command `zstd`")
    return subprocess.run(["zstd", "-dcq"], input=stored, capture_output=True, check=True).stdout


def unzstd_simple(stored):
    """A frame of raw and run-length blocks; any other block is a ValueError."""
    descriptor = stored[4]
    single = descriptor >> 5 & 1
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    at += (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    out = []
    last = False
    while not last:
        head = int.from_bytes(stored[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        at += 3
        if kind == 0:
            out.append(stored[at : at + size])
            at += size
        elif kind == 1:
            out.append(stored[at : at + 1] * size)
            at += 1
        else:
            raise ValueError("a compressed block")
    return b"".join(out)


def xerial(stored):
    out, at = [], 0
    while at < len(stored):
        if stored[at : at + 8] == XERIAL:
            at += 16
            continue
        (length,) = struct.unpack_from(">I", stored, at)
        out.append(unsnappy(stored[at + 4 : at + 4 + length]))
        at += 4 + length
    return b"".join(out)


def looks_like_hadoop(stored):
    if len(stored) < 10:
        return False
    raw_length, packed_length = struct.unpack_from(">II", stored)
    varint, _ = read_varint(stored, 8)
    return 0 < raw_length <= 1 << 24 and packed_length <= len(stored) - 8 and varint <= raw_length


def hadoop(stored):
    out, at = [], 0
    while at < len(stored):
        (wanted,) = struct.unpack_from(">I", stored, at)
        at += 4
        while wanted > 0:
            (length,) = struct.unpack_from(">I", stored, at)
            block = unsnappy(stored[at + 4 : at + 4 + length])
            out.append(block)
            wanted -= len(block)
            at += 4 + length
    return b"".join(out)


def read_varint(data, at):
    value = shift = 0
    while at < len(data) and shift < 35:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, at


def unsnappy(block):
    length, at = read_varint(block, 0)
    out = bytearray()
    while at < len(block):
        tag = block[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(block[at : at + extra], "little")
                at += extra
            out += block[at : at + size + 1]
            at += size + 1
            continue
        if kind == 1:
            size = (tag >> 2 & 7) + 4
            offset = (tag >> 5) << 8 | block[at]
            at += 1
        else:
            size = (tag >> 2) + 1
            width = 2 if kind == 2 else 4
            offset = int.from_bytes(block[at : at + width], "little")
            at += width
        start = len(out) - offset
        if offset >= size:
            out += out[start : start + size]
        else:
            for place in range(start, start + size):
                out.append(out[place])
    if len(out) != length:
        raise ValueError("a snappy block of another length than it says")
    return bytes(out)
