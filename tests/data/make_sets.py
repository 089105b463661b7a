#!/usr/bin/env python3
"""Makes sets/: small image sets as other programs write them. Needs numpy and scipy.

Every set holds the same three images of 32x32; images[n][y][x][c] = (n * 80 + y * 7 + x * 3 + c * 40) % 256.
"""
import pickle
import struct
from pathlib import Path

import numpy as np
import scipy.io

OUT = Path(__file__).parent / "sets"
n, y, x, c = np.ogrid[:3, :32, :32, :3]
images = ((n * 80 + y * 7 + x * 3 + c * 40) % 256).astype(np.uint8)
planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(3, 3072))
labels, coarse, fine = [3, 0, 9], [1, 19, 4], [42, 99, 0]


def text(value):  # Python 2's str in protocol 2: SHORT_BINSTRING, or BINSTRING
    value = value if isinstance(value, bytes) else value.encode()
    return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value


def python2_batch(data, lists):
    """What Python 2's cPickle wrote for the published archives."""
    dtype = b"cnumpy\ndtype\n" + text("u1") + b"K\0K\1\x87R(K\3" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    shape = b"K" + bytes([len(data)]) + b"M" + struct.pack("<H", 3072) + b"\x86"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R"
    array += b"(K\1" + shape + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    entries = text("data") + array
    for key, values in lists.items():
        entries += text(key) + b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e"
    return b"\x80\2}(" + entries + text("batch_label") + text("testing batch 1 of 1") + b"u."


def main():
    OUT.mkdir(exist_ok=True)
    py2 = python2_batch(planes, {"labels": labels})
    read = pickle.loads(py2, encoding="bytes")
    assert read[b"labels"] == labels and (read[b"data"] == planes).all()
    (OUT / "cifar10_python2").write_bytes(py2)
    (OUT / "cifar100_python2").write_bytes(python2_batch(planes, {"coarse_labels": coarse, "fine_labels": fine}))
    for protocol in (4, 5):
        (OUT / f"cifar10_protocol{protocol}").write_bytes(pickle.dumps({"labels": labels, "data": planes}, protocol))
    svhn = {"X": images.transpose(1, 2, 3, 0), "y": np.array([[5], [10], [1]], np.uint8)}
    scipy.io.savemat(OUT / "svhn_compressed.mat", svhn, do_compression=True)
    scipy.io.savemat(OUT / "svhn_plain.mat", svhn)
    np.save(OUT / "uint8.npy", images)
    np.save(OUT / "uint8_fortran.npy", np.asfortranarray(images))
    np.save(OUT / "float32.npy", (images[:2, :4, :6].transpose(0, 3, 1, 2) / 8).astype(np.float32))
    np.save(OUT / "float32_big_endian.npy", (images[:2, :4, :6].transpose(0, 3, 1, 2) / 8).astype(">f4"))


main()
