#!/usr/bin/env python3
"""Trains the demo's checkpoint, demo/resnet8_shapes.safetensors.

A ResNet-8 for 32 x 32 images (He et al. 2016, option A shortcuts, one block a stage, 16/32/64 channels; the
parameter names of the usual CIFAR implementation) learns the ten classes that gradscore-draw-demo draws. The
weights are stored as float16: the file is half as large, and the validation accuracy in its metadata is that of the
rounded weights. Same seeds, threads and library versions give the same file; takes two or three minutes on two cores.

    pip install torch torchvision safetensors
    make build
    python tools/train_demo.py --draw build/tools/gradscore-draw-demo --out demo/resnet8_shapes.safetensors

Images go through torchvision's Resize(32), CenterCrop(32) and the ImageNet mean and deviation, which is what
gradscore does by default for nets of this family. --check prints AUROCs on a freshly drawn demo set as well.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file, save_file
from torchvision import transforms

TRANSFORM = transforms.Compose([
    transforms.Resize(32), transforms.CenterCrop(32), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
VALIDATION_SEED_OFFSET = 1_000_000


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.pad = stride, (cout - cin) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:  # option A: every second pixel, zero channels on both sides
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(x + y)


class ResNet(nn.Module):
    """6n + 2 layers."""

    def __init__(self, n, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (cin, cout) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            first = Block(cin, cout, 1 if stage == 1 else 2)
            setattr(self, f'layer{stage}', nn.Sequential(first, *(Block(cout, cout, 1) for _ in range(n - 1))))
        self.linear = nn.Linear(64, classes)

    def features(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x))).mean((2, 3))

    def forward(self, x):
        return self.linear(self.features(x))


class Flat(torchvision.datasets.VisionDataset):
    """The images of one folder, without labels."""

    def __init__(self, root, transform):
        super().__init__(root, transform=transform)
        self.files = sorted(p for p in Path(root).iterdir() if p.suffix in ('.png', '.jpg'))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return self.transform(torchvision.datasets.folder.default_loader(self.files[index])), -1


def load(dataset):
    """All images and labels of a set as two tensors; the sets are small."""
    images, labels = zip(*dataset)
    return torch.stack(images), torch.tensor(labels)


def draw(tool, folder, seed, per_class, ood=0):
    subprocess.run([tool, str(folder), '--seed', str(seed), '--id-per-class', str(per_class), '--ood', str(ood)],
                   check=True, stdout=subprocess.DEVNULL)
    return torchvision.datasets.ImageFolder(folder / 'id', TRANSFORM)


def train(net, images, labels, epochs, batch, learning_rate):
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.SGD(net.parameters(), learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    net.train()
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(images)).split(batch):
            if len(index) < batch:
                break
            x = images[index]
            if torch.rand(()) < 0.5:  # figures have no left or right
                x = x.flip(3)
            loss = F.cross_entropy(net(x), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f'epoch {epoch + 1}/{epochs}: loss {total * batch / len(images):.4f}', flush=True)


@torch.no_grad()
def evaluate(net, images):
    """Logits and features."""
    net.eval()
    features = torch.cat([net.features(x) for x in images.split(256)])
    return net.linear(features), features


def scores(logits, features):
    """Higher is more in-distribution. GradNorm: L1 norm of the head weight's gradient, in closed form."""
    p = logits.softmax(-1)
    return {'msp': p.amax(1), 'maxlogit': logits.amax(1), 'energy': logits.logsumexp(1),
            'gradnorm': features.abs().sum(1) * (1 - logits.shape[1] * p).abs().sum(1)}


def auroc(inside, outside):
    """Share of pairs that are ordered rightly, ties counting half."""
    difference = inside.double()[:, None] - outside.double()[None]
    return ((difference > 0).double() + 0.5 * (difference == 0)).mean().item()


def check(net, tool, seed):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'demo'
        x, labels = load(draw(tool, root, seed, per_class=60, ood=300))
        logits, features = evaluate(net, x)
        print(f'demo seed {seed}: accuracy {100 * (logits.argmax(1) == labels).double().mean():.2f} %')
        inside = scores(logits, features)
        for name in ('ood-textures', 'ood-shapes'):
            outside = scores(*evaluate(net, load(Flat(root / name, TRANSFORM))[0]))
            print(f'  {name}: ' + ', '.join(f'{m} {100 * auroc(inside[m], outside[m]):.2f}' for m in inside))


def save(net, path, metadata):
    state = {k: v.detach().half() for k, v in net.state_dict().items() if not k.endswith('num_batches_tracked')}
    save_file(state, path, metadata)
    rounded = ResNet(len(net.layer1), net.linear.out_features)
    rounded.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)
    return state, rounded


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--draw', required=True, help='the gradscore-draw-demo program')
    ap.add_argument('--out', type=Path, required=True)
    ap.add_argument('--blocks', type=int, default=1, help='blocks a stage: 1 is ResNet-8')
    ap.add_argument('--per-class', type=int, default=800)
    ap.add_argument('--epochs', type=int, default=12)
    ap.add_argument('--batch', type=int, default=64)
    ap.add_argument('--learning-rate', type=float, default=0.1)
    ap.add_argument('--seed', type=int, default=2024, help='of drawing and of training; the demo draws with others')
    ap.add_argument('--threads', type=int, default=2)
    ap.add_argument('--check', type=int, metavar='SEED', help='also print AUROCs on a demo set of this seed')
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    with tempfile.TemporaryDirectory() as folder:
        dataset = draw(a.draw, Path(folder) / 'train', a.seed, a.per_class)
        images, labels = load(dataset)
        validation = load(draw(a.draw, Path(folder) / 'val', a.seed + VALIDATION_SEED_OFFSET, 200))
    net = ResNet(a.blocks, len(dataset.classes))
    train(net, images, labels, a.epochs, a.batch, a.learning_rate)

    net.eval()
    full = (evaluate(net, validation[0])[0].argmax(1) == validation[1]).double().mean().item()
    _, rounded = save(net, a.out, {})
    accuracy = (evaluate(rounded, validation[0])[0].argmax(1) == validation[1]).double().mean().item()
    command = (f'tools/train_demo.py --blocks {a.blocks} --per-class {a.per_class} --epochs {a.epochs} '
               f'--batch {a.batch} --learning-rate {a.learning_rate} --seed {a.seed}')
    save(net, a.out, {'format': 'pt', 'classes': json.dumps(dataset.classes), 'command': command,
                      'seed': str(a.seed), 'torch': torch.__version__.split('+')[0],
                      'validation_accuracy': f'{accuracy:.4f}',
                      'validation': f'seed {a.seed + VALIDATION_SEED_OFFSET}, {len(validation[1])} images'})
    print(f'validation accuracy {100 * full:.2f} %, rounded to float16 {100 * accuracy:.2f} %; '
          f'{a.out}: {a.out.stat().st_size} bytes')
    if a.check is not None:
        check(rounded, a.draw, a.check)


if __name__ == '__main__':
    main()
