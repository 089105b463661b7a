#!/usr/bin/env python3
"""Makes images/ and expected.tsv: what Pillow and torchvision make of images, for the tests of data/.

Needs Pillow, torch and torchvision. With --shared DIR also hashes the images there (jpeg-odd, dtd, imagenet-sample,
golden/images). Pillow 13 resizes vertically first in some cases; "horizontal" here means two calls, one an axis.
"""
import argparse
import hashlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

warnings.simplefilter("ignore")
HERE = Path(__file__).parent
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rng, width, height, depth, colour, interlaced, extra=(), top=None):
    """A PNG of random samples below `top`, filtered at random."""
    samples = rng.integers(0, top or 1 << depth, (height, width, CHANNELS[colour]))
    out, bpp = b"", max(1, depth * CHANNELS[colour] // 8)
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size == 0:
            continue
        bits = np.unpackbits(part.astype(">u2").view(np.uint8).reshape(part.shape[0], -1, 2), axis=-1)
        rows = np.packbits(bits[:, :, 16 - depth:].reshape(part.shape[0], -1), axis=1).astype(int)
        before = np.zeros_like(rows[0])
        for row in rows:
            left = np.concatenate([np.zeros(bpp, int), row])[:len(row)]
            corner = np.concatenate([np.zeros(bpp, int), before])[:len(row)]
            p = left + before - corner
            pa, pb, pc = abs(p - left), abs(p - before), abs(p - corner)
            paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, before, corner))
            kind = int(rng.integers(0, 5))
            guess = [0 * row, left, before, (left + before) // 2, paeth][kind]
            out += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
            before = row
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = b"".join(chunk(*e) for e in extra) + chunk(b"IDAT", zlib.compress(out, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def make_pngs():
    rng = np.random.default_rng(1)
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(3, d) for d in (1, 2, 4, 8)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]
    for colour, depth in kinds:
        palette = [(b"PLTE", rng.integers(0, 256, 3 * min(200, 1 << depth), dtype=np.uint8).tobytes())]
        for interlaced in (False, True):
            extra, top = (palette, min(200, 1 << depth)) if colour == 3 else ([], None)
            name = f"png_c{colour}_d{depth}{'_adam7' if interlaced else ''}.png"
            (HERE / "images" / name).write_bytes(png(rng, 19, 11, depth, colour, interlaced, extra, top))
    palette = (b"PLTE", rng.integers(0, 256, 3 * 16, dtype=np.uint8).tobytes())
    grey16 = (b"tRNS", b"\x00\x30")
    some = {
        "png_palette_trns.png": png(rng, 19, 11, 4, 3, False, [palette, (b"tRNS", bytes(range(0, 160, 10)))]),
        "png_rgb_trns.png": png(rng, 19, 11, 8, 2, False, [(b"tRNS", b"\0\1\0\2\0\3")]),
        "png_grey16_low.png": png(rng, 19, 11, 16, 0, False, [grey16], top=300),
        "png_1x1_adam7.png": png(rng, 1, 1, 8, 2, True),
        "png_text_gamma.png": png(rng, 19, 11, 8, 2, False, [(b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Title\0x")]),
    }
    whole = png(rng, 19, 11, 8, 2, False)
    some["png_no_end.png"] = whole[:-12]
    some["png_bad_idat_crc.png"] = whole[:-16] + b"\0\0\0\0" + whole[-12:]
    some["png_truncated.png"] = whole[:-200]
    some["png_bad_ihdr_crc.png"] = whole[:29] + b"\0\0\0\0" + whole[33:]
    for name, data in some.items():
        (HERE / "images" / name).write_bytes(data)


def photo(width, height, seed):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (7, 6, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8))


def make_jpegs():
    def save(name, image, **options):
        data = io.BytesIO()
        image.save(data, "JPEG", quality=75, **options)
        (HERE / "images" / name).write_bytes(data.getvalue())
        return data.getvalue()

    image = photo(83, 61, 2)
    for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
        save(f"jpeg_{name}.jpg", image, subsampling=sampling)
    save("jpeg_portrait.jpg", photo(20, 190, 3), subsampling=2)
    save("jpeg_grey.jpg", image.convert("L"))
    save("jpeg_cmyk.jpg", photo(31, 29, 4).convert("CMYK"))
    save("jpeg_restart.jpg", image, restart_marker_blocks=3)
    exif = Image.Exif()
    exif[0x0112] = 6
    save("jpeg_exif_rotated.jpg", photo(24, 17, 5), exif=exif)
    save("jpeg_1x1.jpg", photo(1, 1, 6))
    progressive = save("jpeg_progressive.jpg", image, progressive=True)
    plain = save("jpeg_plain.jpg", photo(40, 40, 7))
    (HERE / "images/jpeg_no_end.jpg").write_bytes(plain[:-2])
    (HERE / "images/jpeg_truncated.jpg").write_bytes(plain[:-150])
    (HERE / "images/jpeg_progressive_no_end.jpg").write_bytes(progressive[:-2])
    (HERE / "images/jpeg_progressive_truncated.jpg").write_bytes(progressive[:-400])
    (HERE / "images/jpeg_garbage_after.jpg").write_bytes(plain + b"garbage")


def opened(path):
    try:
        return Image.open(path).convert("RGB")
    except Exception:
        return None


def sha(image):
    return hashlib.sha256(image.tobytes()).hexdigest()[:32]


def horizontal_first(image, width, height):
    return image.resize((width, image.height), Image.BILINEAR).resize((width, height), Image.BILINEAR)


def short_side(image, side):
    longer = int(side * max(image.size) / min(image.size))
    return horizontal_first(image, *((side, longer) if image.width <= image.height else (longer, side)))


def result(image):
    return f"{image.width}x{image.height}\t{sha(image)}" if image else "fail\t-"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path)
    options = parser.parse_args()
    (HERE / "images").mkdir(exist_ok=True)
    make_pngs()
    make_jpegs()
    lines = []
    for path in sorted((HERE / "images").iterdir()):
        lines.append(f"decode\t{path.name}\t{result(opened(path))}")
    for name in ["jpeg_420.jpg", "jpeg_portrait.jpg", "jpeg_grey.jpg", "png_c2_d8.png", "png_1x1_adam7.png"]:
        image = opened(HERE / "images" / name)
        for w, h in [(48, 48), (image.width, 5), (5, image.height), (300, 7), (7, 300), (1, 1), (64, 3), (3, 64), image.size]:
            lines.append(f"resize\t{name}\thorizontal\t{result(horizontal_first(image, w, h))}")
            lines.append(f"resize\t{name}\tpillow13\t{result(image.resize((w, h), Image.BILINEAR))}")
        for side, w, h in [(32, 32, 32), (33, 20, 15), (16, 40, 11), (9, 64, 63), (0, 32, 32), (0, 7, 400), (0, 6, 8)]:
            prepared = short_side(image, side) if side else image
            lines.append(f"prepare\t{name}\t{side}\t{result(F.center_crop(prepared, [h, w]))}")
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256).expand(3, 1, 256)
    for mean, std in [([.5, .5, .5], [.5, .5, .5]), ([.485, .456, .406], [.229, .224, .225]),
                      ([.4914, .4822, .4465], [.2023, .1994, .2010]), ([.5071, .4867, .4408], [.2675, .2565, .2761]),
                      ([.4914, .4822, .4465], [.2470, .2435, .2616]),
                      ([x / 255 for x in (125.3, 123.0, 113.9)], [x / 255 for x in (63.0, 62.1, 66.7)])]:
        values = F.normalize(ramp.to(torch.float32).div(255), mean, std).permute(1, 2, 0).contiguous()
        numbers = "\t".join(repr(x) for x in mean + std)
        lines.append(f"normalise\t{numbers}\t{hashlib.sha256(values.numpy().tobytes()).hexdigest()[:32]}")
    (HERE / "expected.tsv").write_text("\n".join(lines) + "\n")
    if options.shared:
        folders = ["data/jpeg-odd", "data/dtd", "data/imagenet-sample", "golden/images"]
        paths = [p for f in folders for p in sorted((options.shared / f).rglob("*")) if p.is_file() and p.suffix != ".tsv"]
        table = [f"{p.relative_to(options.shared)}\t{result(opened(p))}" for p in paths]
        (HERE / "expected_shared.tsv").write_text("\n".join(table) + "\n")


main()
