#!/usr/bin/env python3
"""Seeds of the fuzz targets whose inputs nothing else makes: nets, journals of runs, files of flags, lists."""
import json
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent


def write(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def of_two_stages(shapes):
    """The wide nets without their last stages: small ones are built more often."""
    kept = {name: shape for name, shape in shapes.items() if not re.match(r"(body\.block|layer)[34]\.", name)}
    last = next(kept[name] for name in ("body.block2.unit01.downsample.weight", "layer2.0.bn3.weight",
                                        "layer2.0.bn2.weight") if name in kept)
    for name in ("before_head.gn.weight", "before_head.gn.bias"):
        if name in kept:
            kept[name] = [last[0]]
    for name in ("head.conv.weight", "fc.weight"):
        if name in kept:
            kept[name][1] = last[0]
    return kept


def nets():
    """tests/fuzz/described_net.h, of the small golden nets."""
    overrides = {"wrn": '{"pool_window": 8}', "mobilenet": '{"strides": [1, 2, 2, 1, 2]}'}
    for path in sorted((HERE.parent / "golden" / "nets").glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        if "shapes" not in header["__metadata__"]:
            continue  # not a net
        shapes = json.loads(header["__metadata__"]["shapes"])
        if path.stem == "bit" or path.stem.startswith("tv_"):
            shapes = of_two_stages(shapes)
        lines = ["safetensors", overrides.get(path.stem, "")]
        lines += [" ".join([name, *map(str, shape)]) for name, shape in shapes.items()]
        write("net", path.stem + ".txt", ("\n".join(lines) + "\n").encode())
    units = ["a", "b", "c"]
    lines = ["npz", "", "resnet/root_block/standardized_conv2d/kernel 7 7 3 32"]
    for letter, shape in zip(units, ["1 1 32 32", "3 3 32 32", "1 1 32 128"]):
        lines.append(f"resnet/block1/unit01/{letter}/standardized_conv2d/kernel {shape}")
        lines += [f"resnet/block1/unit01/{letter}/group_norm/{part} 32" for part in ("gamma", "beta")]
    lines += ["resnet/block1/unit01/a/proj/standardized_conv2d/kernel 1 1 32 128",
              "resnet/group_norm/gamma 128", "resnet/group_norm/beta 128",
              "resnet/head/conv2d/kernel 1 1 128 4", "resnet/head/conv2d/bias 4"]
    write("net", "bit_npz.txt", ("\n".join(lines) + "\n").encode())


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def numbers(kind, values):
    return struct.pack(f"<Q{len(values)}{kind}", len(values), *values)


def run_journals():
    """tests/fuzz/journal_of.h; records as tools/run_journal.cpp and batch_record.cpp write them."""
    def batch(first, ends_group):
        indices = [first, first + 2]
        return (b"B" + text("score a") + struct.pack("<Bqdq", ends_group, 3, 0.25, 6) + numbers("q", indices) +
                text("a" * 64) + text("b" * 64) + struct.pack("<Qq", 1, first + 1) + text("truncated JPEG") +
                numbers("q", [1, 0]) + numbers("d", [0.5, -1e300]) +
                struct.pack("<qq", 2, 2) + numbers("f", [1, 2, 3, 4]))

    start = (b"S" + text("gradscore score") + text("2026-11-29T12:00:00Z") +
             struct.pack("<Q", 1) + text("--methods") + text("msp") +
             struct.pack("<Q", 1) + text("threads") + text("2"))
    records = [start, batch(0, 0), batch(3, 1), b"R2026-11-29T13:00:00Z", batch(6, 1), batch(9, 0)]
    write("run_journal", "resumed", b"".join(struct.pack("<H", len(record)) + record for record in records))
    write("run_journal", "begun", struct.pack("<H", len(start)) + start)


def configs():
    write("config", "flags.toml", b"""# as a run's folder keeps it
[score]
weights = "net.pth"
id = "figures=folder:images/id"
ood = ["noise=synthetic:64:size=32", 'shapes=folder:images']
methods = "msp,gradnorm:p=2"
mean = "0.5,0.5,0.5"
threads = 2
batch = 8
seed = 18446744073709551615
strict = true
pillow13 = false
save = ["logits", "norms"]
""")
    write("config", "one.toml", b"[score]\nlimit = 10\n")


def lists():
    write("lists", "skip.txt", b"3\n1\n\n79302017\n")
    write("lists", "groups.txt", b"398, 521\t16\n9\n")
    write("lists", "hashes.sha256", b"".join((f"{n:x}" * 64 + "\n").encode() for n in (0, 10, 15)))


nets()
run_journals()
configs()
lists()
