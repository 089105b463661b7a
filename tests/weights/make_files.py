#!/usr/bin/env python3
"""Makes the small checkpoints in files/ with the libraries that users save theirs with, and files/expected.json:
for each file its tensors (name, type, shape, SHA-256 of the float32 values in row-major order). Also the seeds of the
fuzz targets, in ../fuzz/corpus.

    python3 tests/weights/make_files.py        (needs torch, numpy, safetensors)
"""

import argparse
import collections
import hashlib
import io
import json
import pathlib
import pickle
import zipfile

import numpy as np
import safetensors.torch
import torch

HERE = pathlib.Path(__file__).parent / "files"
TYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.int8: "I8",
         torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.uint8: "U8", torch.bool: "BOOL"}
expected = {}


def values(*shape, dtype=torch.float32):
    count = int(np.prod(shape))
    return (torch.arange(count, dtype=torch.float64) * 0.37 - 1).reshape(shape).to(dtype)


def note(name, tensors):
    rows = []
    for key, tensor in tensors.items():
        row = {"name": key, "type": TYPES[tensor.dtype], "shape": list(tensor.shape)}
        if tensor.is_floating_point():
            row["sha256"] = hashlib.sha256(tensor.detach().float().contiguous().numpy().tobytes()).hexdigest()
        rows.append(row)
    expected[name] = rows


def save(name, content, tensors, legacy=False):
    torch.save(content, HERE / name, _use_new_zipfile_serialization=not legacy)
    note(name, tensors)


def every_type():
    special = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, float("inf"), -float("inf"), 3e-5, 0.1])
    floats = {f"{t}".removeprefix("torch."): special.to(t)
              for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
    ints = {f"{t}".removeprefix("torch."): torch.tensor([0, 1, 100]).to(t)
            for t in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)}
    return {**floats, **ints, "scalar": torch.tensor(7.5), "num_batches_tracked": torch.tensor(12345),
            "empty": torch.zeros(0, 3)}


def views():
    base = values(6, 8)
    image = values(2, 3, 4, 5)
    return {"base": base, "transposed": base.t(), "row": base[2], "column": base[:, 3], "block": base[1:4, 2:6],
            "every_second": base[::2, 1::3], "flat": base.view(-1)[10:20], "tied": base,
            "channels_last": image.contiguous(memory_format=torch.channels_last), "one": image[1:, :1, 2:3]}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.bn = torch.nn.BatchNorm2d(4)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(values(*p.shape))


def checkpoint():
    net = Net()
    state = collections.OrderedDict(("module." + k, v) for k, v in net.state_dict().items())
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.conv(torch.ones(1, 3, 5, 5)).sum().backward()
    optimiser.step()
    for k, v in net.state_dict().items():  # the optimiser moved them: save what is expected
        state["module." + k] = v.clone()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [10, 20])
    content = {"epoch": 3, "arch": "resnet20", "state_dict": state, "best_prec1": np.float64(91.25),
               "args": argparse.Namespace(lr=0.1, layers=[1, 2]), "optimizer": optimiser.state_dict(),
               "scheduler": schedule.state_dict()}
    return content, {k.removeprefix("module."): v for k, v in state.items()}


def fuzz_seeds():
    """Small starting points for tests/fuzz: whole files, and the parts that the targets put into files themselves."""
    def write(target, name, content):
        folder = HERE.parents[1] / "fuzz" / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    for name in ("types.safetensors", "views_zip.pth", "views_legacy.th", "arrays.npz", "arrays_compressed.npz"):
        write("weights", name, (HERE / name).read_bytes())
    for name in ("types_zip", "views_zip", "checkpoint_zip", "parameters", "ema", "uint16"):
        file = next(path for path in HERE.glob(name + ".*"))
        with zipfile.ZipFile(file) as archive:
            pickled = archive.read(next(n for n in archive.namelist() if n.endswith("/data.pkl")))
        write("torch", name + ".pkl", pickled)
    nested = {"text": "caf\u00e9", "list": [1, -2, 3.5, None, True, 2**70], "bytes": b"\x00\xff", "set": {1, 2}}
    for protocol in range(6):
        write("pickle", f"protocol{protocol}.pkl", pickle.dumps(nested, protocol))
        write("pickle", f"object{protocol}.pkl",
              pickle.dumps(collections.OrderedDict(a=np.float64(1), b=argparse.Namespace(c=(1, 2))), protocol))
    text = (HERE / "types.safetensors").read_bytes()
    write("safetensors", "types", text[8:])
    write("safetensors", "small", b'{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}12345678')
    for name, array in (("f4", values(2, 3).numpy()), ("fortran", np.asfortranarray(values(2, 3, 2).numpy())),
                        ("big_endian", values(3).numpy().astype(">f8")), ("scalar", np.int16(3))):
        stream = io.BytesIO()
        np.save(stream, array)
        write("npy", name + ".npy", stream.getvalue())


def main():
    HERE.mkdir(exist_ok=True)
    for legacy in (False, True):
        suffix = "legacy.th" if legacy else "zip.pth"
        save("types_" + suffix, every_type(), every_type(), legacy)
        save("views_" + suffix, views(), views(), legacy)
        content, tensors = checkpoint()
        save("checkpoint_" + suffix, content, tensors, legacy)
    net = Net()
    save("metadata.pth", net.state_dict(), net.state_dict())  # OrderedDict with _metadata

    parameter = torch.nn.Parameter(values(2, 2), requires_grad=False)
    parameter.note = "an attribute of its own"
    plain = torch.nn.Parameter(values(3))
    save("parameters.pth", {"plain": plain, "with_state": parameter}, {"plain": plain, "with_state": parameter})

    ema = {"model": {"w": values(4)}, "model_ema": {"w": values(4) * 2}, "epoch": 1}
    save("ema.pth", ema, ema["model"])
    nested = {"net": {"state_dict": {"model.w": values(4), "model.b": values(2)}, "acc": 0.5}}
    save("nested.pth", nested, {"w": values(4), "b": values(2)})

    # To be refused, each for its reason.
    torch.save(net, HERE / "whole_model.pt")
    torch.save(values(3), HERE / "single_tensor.pt")
    torch.save({"w": values(1).expand(1000)}, HERE / "expanded.pt")
    torch.save({"w": torch.complex(values(2), values(2))}, HERE / "complex.pt")
    torch.save({"w": torch.tensor([1], dtype=torch.uint16)}, HERE / "uint16.pt")
    torch.save({"w": values(4).to(torch.float8_e4m3fn)}, HERE / "float8.pt")
    torch.save({"lr": 0.1, "epochs": 3}, HERE / "no_tensors.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), HERE / "torchscript.pt")
    for name in ("whole_model.pt", "torchscript.pt"):
        assert (HERE / name).stat().st_size < 20000, name

    arrays = {"resnet/root_block/conv2d/kernel": values(2, 2, 3, 4).numpy(), "f2": values(5).half().numpy(),
              "f8": values(5).double().numpy(), "column_major": np.asfortranarray(values(3, 4, 2).numpy()),
              "big_endian": values(3, 2).numpy().astype(">f4"), "i8": np.arange(3), "scalar": np.float32(2.5)}
    native = {k: torch.from_numpy(np.ascontiguousarray(v).astype(v.dtype.newbyteorder("=")).reshape(v.shape))
              for k, v in arrays.items()}
    for name, writer in (("arrays.npz", np.savez), ("arrays_compressed.npz", np.savez_compressed)):
        writer(HERE / name, **arrays)
        note(name, native)
    tensors = every_type()
    safetensors.torch.save_file(tensors, HERE / "types.safetensors", metadata={"made by": "make_files.py"})
    note("types.safetensors", tensors)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    fuzz_seeds()


if __name__ == "__main__":
    main()
