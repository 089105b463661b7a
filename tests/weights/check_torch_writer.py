#!/usr/bin/env python3
"""Has PyTorch read what `gradscore convert IN OUT.pth` wrote, beside the same weights as safetensors.

usage: check_torch_writer.py GRADSCORE WEIGHTS      needs torch, safetensors; exit 1 where they differ
"""
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file


def main(command, weights):
    with tempfile.TemporaryDirectory() as folder:
        pth, safe = (str(pathlib.Path(folder, "out" + ending)) for ending in (".pth", ".safetensors"))
        for out in (pth, safe):
            subprocess.run([command, "convert", weights, out, "--quiet"], check=True)
        want = load_file(safe)
        for mapped in (False, True):
            got = torch.load(pth, weights_only=True, mmap=mapped)
            assert type(got).__name__ == "OrderedDict" and list(got) == sorted(want), "other names"
            for name, tensor in want.items():
                assert got[name].dtype == tensor.dtype and torch.equal(got[name], tensor), name
    print(f"{len(want)} tensors, all equal")


if __name__ == "__main__":
    main(*sys.argv[1:])
