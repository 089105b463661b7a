#!/usr/bin/env python3
"""Seeds of the fuzz targets whose inputs nothing else makes: nets, journals of runs, files of flags, lists; and of other
targets what their own seeds lack."""
import io
import json
import pathlib
import pickle
import re
import struct
import sys
import types

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


def read(target, name):
    return (HERE / "corpus" / target / name).read_bytes()


def header_of(content):
    """The JSON in front of the data, and the data."""
    header, end = json.JSONDecoder().raw_decode(content.decode("latin-1"))
    return header, content[end:]


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def statistics():
    header, data = header_of(read("statistics", "klm"))
    header["__metadata__"] |= {"limit": "2", "precision": "f32", "started_with": compact({"--limit": "2"})}
    write("statistics", "limited", compact(header).encode() + data)


def checkpoints():
    content = read("checkpoint", "small.safetensors")
    header, data = header_of(content[8:])
    header["__metadata__"] |= {"made-with/threads": "2", "state/unusable": "t: a.png\nt: b.png"}
    text = compact(header).encode()
    text += b" " * (-len(text) % 8)
    write("checkpoint", "unusable.safetensors", struct.pack("<Q", len(text)) + text + data.lstrip(b" "))


def results():
    run = json.loads(read("results_json", "full.json"))
    run["run"] |= {"shard": 1, "shards": 3, "stopped": "interrupted", "started_with": {"--limit": "40"},
                   "resumed": ["2026-11-21T08:30:00Z"], "statistics": {"s.safetensors": "ab"},
                   "limited_fits": {"s.safetensors": 7}, "plan": ["forward"], "invalid_protocol": ["fitted on t"]}
    run["sets"][0] |= {"shared_with_id": 0, "image_sizes": {"images": 40, "smallest": [8, 9], "median": [32, 32],
                                                            "largest": [640, 480]}}
    write("results_json", "shard.json", compact(run).encode())


def typed_tensors():
    """What PyTorch writes of a tensor with attributes of its own."""
    def module(name, **content):
        made = types.ModuleType(name)
        for key, value in content.items():
            value.__module__, value.__qualname__ = name, key
            setattr(made, key, value)
        sys.modules[name] = made
        return made

    torch = module("torch", Tensor=type("Tensor", (), {}), FloatStorage=type("FloatStorage", (), {}))
    utils = module("torch._utils", _rebuild_tensor_v2=lambda: None)
    tensor = module("torch._tensor", _rebuild_from_type_v2=lambda: None)

    class Storage:
        pass

    class Typed:
        def __reduce__(self):
            plain = (Storage(), 0, (2, 2), (2, 1), False, {})
            return tensor._rebuild_from_type_v2, (utils._rebuild_tensor_v2, torch.Tensor, plain, {"note": 1})

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(value, Storage) else None

    out = io.BytesIO()
    Pickler(out, protocol=2).dump({"a": Typed()})
    write("torch", "typed.pkl", out.getvalue())


nets()
statistics()
checkpoints()
results()
typed_tensors()
run_journals()
configs()
lists()
