#!/usr/bin/env python3
"""The recipe resnet20-cifar in PyTorch, for comparison with `gradscore train resnet20-cifar`.

    pip install torch pillow
    python bench/train_peer.py TRAIN_DIR TEST_DIR --epochs 2 --seed 0 --threads 2 [--channels-last] [--steps N]

TRAIN_DIR, TEST_DIR: a folder for each class. All images are decoded before the clock starts and augmented batch by
batch on tensors: what remains is the network. Prints one JSON object: images/s of the training steps by the clock and
by the processor time they took, loss of the last epoch, accuracy on the test images. --steps N stops after N steps and
leaves the test out.
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """He et al. 2016 with option A: the shortcut subsamples and pads with zero channels."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.pad = (cout - cin) // 2
        self.stride = stride

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        sizes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.blocks = nn.Sequential(*(Block(*size) for size in sizes))
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def read(folder):
    classes = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    files = [(file, label) for label, c in enumerate(classes) for file in sorted(c.glob('*.jpg'))]
    pixels = np.stack([np.asarray(Image.open(file).convert('RGB')) for file, _ in files])
    return torch.from_numpy(pixels), torch.tensor([label for _, label in files])


def normalise(pixels):
    return (pixels.permute(0, 3, 1, 2).float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def augment(pixels):
    """Flip and a 32x32 crop out of 4 black pixels around, each image its own."""
    n = len(pixels)
    padded = F.pad(pixels, (0, 0, 4, 4, 4, 4))
    rows = torch.randint(9, (n, 1)) + torch.arange(32)
    columns = torch.randint(9, (n, 1)) + torch.arange(32)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return padded[torch.arange(n).view(n, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)]


def train(args, net, pixels, labels):
    optimizer = torch.optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    memory = torch.channels_last if args.channels_last else torch.contiguous_format
    total, step, seen, loss_sum, seconds, cpu = args.epochs * math.ceil(len(pixels) / args.batch), 0, 0, 0.0, 0.0, 0.0
    net.train()
    for epoch in range(args.epochs):
        loss_sum, epoch_images = 0.0, 0
        for index in torch.randperm(len(pixels)).split(args.batch):
            start, cpu_start = time.perf_counter(), time.process_time()
            for group in optimizer.param_groups:
                group['lr'] = 1e-6 + (args.lr - 1e-6) * (1 + math.cos(math.pi * step / total)) / 2
            x = normalise(augment(pixels[index])).contiguous(memory_format=memory)
            loss = F.cross_entropy(net(x), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += float(loss.detach()) * len(index)
            seconds, cpu = seconds + time.perf_counter() - start, cpu + time.process_time() - cpu_start
            step, seen, epoch_images = step + 1, seen + len(index), epoch_images + len(index)
            if step == args.steps:
                return seen, seconds, cpu, loss_sum / epoch_images
    return seen, seconds, cpu, loss_sum / epoch_images


@torch.no_grad()
def accuracy(net, pixels, labels):
    net.eval()
    right = sum(int((net(normalise(x)).argmax(1) == y).sum())
                for x, y in zip(pixels.split(500), labels.split(500)))
    return right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('train')
    parser.add_argument('test')
    parser.add_argument('--epochs', type=int, default=2)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--lr', type=float, default=0.1)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--steps', type=int, default=0)
    parser.add_argument('--channels-last', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    net = ResNet20()
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)
    seen, seconds, cpu, loss = train(args, net, *read(args.train))
    result = {'torch': torch.__version__, 'threads': args.threads, 'channels_last': args.channels_last,
              'seed': args.seed, 'images_per_second': round(seen / seconds, 1), 'seconds': round(seconds, 1),
              'images_per_cpu_second': round(seen / cpu, 1), 'loss': round(loss, 4)}
    if not args.steps:
        result['accuracy'] = accuracy(net, *read(args.test))
    print(json.dumps(result))


if __name__ == '__main__':
    main()
