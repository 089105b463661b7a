"""Small things of this project's own under the names that the documentation gives to downloads."""
import json
import math
import pathlib
import random
import shutil
import struct
import subprocess


def wide_resnet(depth, widen, classes):
    """Names and shapes of energy_ood's WRN-D-K."""
    def norm(name, width):
        return {f"{name}.{part}": [width] for part in ("weight", "bias", "running_mean", "running_var")}

    tensors = {"conv1.weight": [16, 3, 3, 3]}
    inside = 16
    for block, width in enumerate((16 * widen, 32 * widen, 64 * widen), 1):
        for unit in range((depth - 4) // 6):
            name = f"block{block}.layer.{unit}"
            tensors |= norm(f"{name}.bn1", inside) | {f"{name}.conv1.weight": [width, inside, 3, 3]}
            tensors |= norm(f"{name}.bn2", width) | {f"{name}.conv2.weight": [width, width, 3, 3]}
            if inside != width:
                tensors[f"{name}.convShortcut.weight"] = [width, inside, 1, 1]
            inside = width
    return tensors | norm("bn1", inside) | {"fc.weight": [classes, inside], "fc.bias": [classes]}


def write_safetensors(path, shapes, seed=1):
    """Random values, of a size that keeps activations near one."""
    draw = random.Random(seed)
    normal = [draw.gauss(0, 1) for _ in range(4099)]
    header, data = {}, bytearray()
    for name, shape in shapes.items():
        count = math.prod(shape)
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
            values = [1.0] * count
        elif len(shape) == 1:
            values = [0.0] * count
        else:
            scale = math.sqrt(2 / math.prod(shape[1:]))
            values = [normal[i % len(normal)] * scale for i in range(count)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *values)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make(folder, source, gradscore, draw_demo):
    """Fills `folder`, once for all documents; each works on a copy."""
    folder = pathlib.Path(folder)

    def run(*command):
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)

    (folder / "build").mkdir()
    (folder / "build/tools").symlink_to(gradscore.parent)
    run(gradscore, "convert", source / "demo/resnet8_shapes.safetensors", folder / "net.pth", "--quiet")
    for name, seed, each in (("photos", 1, 3), ("train", 2, 4), ("val", 3, 2)):
        run(draw_demo, folder / "drawn", "--seed", seed, "--id-per-class", each, "--ood", 12)
        (folder / "drawn/id").rename(folder / name)
        if name == "photos":
            (folder / "drawn/ood-textures").rename(folder / "textures")
        shutil.rmtree(folder / "drawn")

    draw = random.Random(5)
    (folder / "cifar-10-batches-bin").mkdir()
    records = b"".join(bytes([i % 10]) + draw.randbytes(3072) for i in range(20))
    (folder / "cifar-10-batches-bin/test_batch.bin").write_bytes(records)
    shutil.copy(source / "tests/data/sets/svhn_plain.mat", folder / "test_32x32.mat")
    for part in ("val", "train"):  # ImageNet-1k's folders; MOS' list of the validation images
        (folder / "ILSVRC-2012" / part / "n01440764").mkdir(parents=True)
        (folder / "ILSVRC-2012" / part / "n01440764" / f"{part}_1.JPEG").touch()
    (folder / "imagenet2012_group_softmax_val_list.txt").write_text("val/n01440764/val_1.JPEG 0 287\n")
    for name in ("dtd/images", "LSUN", "LSUN_resize", "iSUN"):
        shutil.copytree(folder / "textures", folder / name)
    write_safetensors(folder / "wrn.safetensors", wide_resnet(40, 2, 10))
    run(gradscore, "convert", folder / "wrn.safetensors", folder / "wrn.pth", "--quiet")
    (folder / "wrn.safetensors").unlink()
    (folder / "wrn.pth").rename(folder / "cifar10_wrn_pretrained_epoch_99.pt")
