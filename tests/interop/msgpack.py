"""The part of MessagePack that Serf's RPC uses, written for these tests so that they need nothing but Python.

Writing follows the modern string families (str8, bin); reading takes every family, text that is no UTF-8 stays bytes.
"""
import struct


class Incomplete(Exception):
    """The buffer ends inside an object: read more and try again."""


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, str):
        return _pack_text(value.encode())
    if isinstance(value, bytes):
        return _sized(len(value), (b"\xc4", b"\xc5", b"\xc6")) + value
    if isinstance(value, (list, tuple)):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
        return head + b"".join(map(pack, value))
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xde" + struct.pack(">H", len(value))
        return head + b"".join(pack(key) + pack(item) for key, item in value.items())
    raise TypeError("no MessagePack for %r" % type(value))


def _pack_int(value):
    if 0 <= value < 128 or -32 <= value < 0:
        return struct.pack("b", value)
    if value < 0:
        return b"\xd3" + struct.pack(">q", value)
    for code, form in ((b"\xcc", ">B"), (b"\xcd", ">H"), (b"\xce", ">I"), (b"\xcf", ">Q")):
        if value < 1 << (8 * struct.calcsize(form)):
            return code + struct.pack(form, value)
    raise OverflowError(value)


def _pack_text(raw):
    if len(raw) < 32:
        return bytes([0xA0 | len(raw)]) + raw
    return _sized(len(raw), (b"\xd9", b"\xda", b"\xdb")) + raw


def _sized(size, codes):
    for code, form in zip(codes, (">B", ">H", ">I")):
        if size < 1 << (8 * struct.calcsize(form)):
            return code + struct.pack(form, size)
    raise OverflowError(size)


_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_RUNS = {0xC4: (1, "bin"), 0xC5: (2, "bin"), 0xC6: (4, "bin"), 0xD9: (1, "str"), 0xDA: (2, "str"), 0xDB: (4, "str"),
         0xDC: (2, "list"), 0xDD: (4, "list"), 0xDE: (2, "map"), 0xDF: (4, "map")}


def unpack(data, at=0):
    """Decodes one object at offset `at`; returns the object and the offset behind it."""
    if at >= len(data):
        raise Incomplete
    code, at = data[at], at + 1
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 256, at
    if code < 0x90:
        return _unpack_run(data, at, code & 15, "map")
    if code < 0xA0:
        return _unpack_run(data, at, code & 15, "list")
    if code < 0xC0:
        return _unpack_run(data, at, code & 31, "str")
    if code == 0xC0:
        return None, at
    if code in (0xC2, 0xC3):
        return code == 0xC3, at
    if code in _NUMBERS:
        size = struct.calcsize(_NUMBERS[code])
        return struct.unpack(_NUMBERS[code], _take(data, at, size))[0], at + size
    if code in _RUNS:
        width, kind = _RUNS[code]
        return _unpack_run(data, at + width, int.from_bytes(_take(data, at, width), "big"), kind)
    raise ValueError("MessagePack byte 0x%02x" % code)


def _take(data, at, size):
    if at + size > len(data):
        raise Incomplete
    return data[at:at + size]


def _unpack_run(data, at, count, kind):
    if kind in ("str", "bin"):
        raw = bytes(_take(data, at, count))
        if kind == "bin":
            return raw, at + count
        try:
            return raw.decode(), at + count
        except UnicodeDecodeError:
            return raw, at + count
    if kind == "list":
        items = []
        for _ in range(count):
            item, at = unpack(data, at)
            items.append(item)
        return items, at
    pairs = {}
    for _ in range(count):
        key, at = unpack(data, at)
        pairs[key], at = unpack(data, at)
    return pairs, at
