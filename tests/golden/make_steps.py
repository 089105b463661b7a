#!/usr/bin/env python3
"""Golden training steps of the nets that make_nets.py makes: PyTorch in float64 is the oracle.

usage: make_steps.py [--out DIR]        needs: pip install torch torchvision numpy safetensors
Writes train_steps.safetensors. Keys of a case TAG: TAG/loss [steps]; TAG/labels [N], or [N,groups], the class + 1 in its
group and 0 ("others") elsewhere; TAG/probes [tensors,9]: of every tensor that training changes the values
after the last step at elements k * size / 8, k = 0 .. 7, and the norm of what the steps changed. Metadata: a JSON object
TAG of the recipe (lr [steps], momentum, weight_decay, nesterov, label_smoothing, open_blocks, zero_head; `tensors`: the names of the
probes' rows; `scale`: the images are the net's `input` times this, in float32, chosen for the largest
margin of ReLU inputs from their kinks over all steps, `relu_margin` over rms); mixup {lam, perm} of the BiT cases' steps, group_config, energy_margin.
The auxiliary images of case "energy" are minus images 0, 1, … N - 1, 0 of the labelled ones. Dropout is off.
Batch norms train with the batch's statistics, momentum 0.1, unbiased running variance.
"""
import argparse, contextlib, json, math, os
from collections import OrderedDict
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file
from safetensors import safe_open
from make_nets import NETS, fill, images

PROBES = 8
SCALES = [1 - k / 32 for k in range(12)]
MIXUP = {"lam": [0.83, 0.31], "perm": [[2, 0, 1], [1, 2, 0]]}
GROUPS = [3, 2]
MARGINS = [-3.0, -1.0]
SGD = dict(momentum=0.9, weight_decay=5e-4, nesterov=True)
PLAIN = dict(momentum=0.9, weight_decay=0.0, nesterov=False)
TEN = [0.02 * (1 + float(np.cos(np.pi * s / 10))) / 2 for s in range(10)]
CASES = OrderedDict([
    ("flat_head", dict(net="bit", lr=[0.003, 0.0015], zero_head=True, open_blocks=0, **PLAIN)),
    ("flat_all", dict(net="bit", lr=[0.003, 0.0015], **PLAIN)),
    ("group_head", dict(net="bit", loss="group", lr=[0.003, 0.0015], zero_head=True, open_blocks=0, **PLAIN)),
    ("open_two", dict(net="bit", lr=[0.003, 0.0015], open_blocks=2, **PLAIN)),
    ("energy", dict(net="cifar_basic", loss="energy", lr=[0.01, 0.008], **SGD)),
    ("bce", dict(net="cifar_bottleneck", loss="bce", lr=[0.01, 0.008], **SGD)),
    ("smoothed", dict(net="tv_bottleneck", label_smoothing=0.1, lr=[0.01, 0.008], **SGD)),
    ("relu6", dict(net="mobilenet", lr=[0.01, 0.008], **SGD)),
    ("ten_option_a", dict(net="option_a", lr=TEN, **SGD)),
    ("ten_wrn", dict(net="wrn", lr=TEN, **SGD)),
])


@contextlib.contextmanager
def smallest_margin():
    """Distance of ReLU inputs from the kinks, over their rms; in a list of one."""
    best, relu, relu6 = [math.inf], F.relu, nn.ReLU6.forward

    def record(t, kinks):
        rms = t.detach().pow(2).mean().sqrt()
        best[0] = min([best[0]] + [float((t.detach() - k).abs().min() / rms) for k in kinks])

    def probe(t, *a, **k):
        if t.dim() == 4:  # maps, not the energy's hinges
            record(t, (0.0,))
        return relu(t)

    def probe6(_, t):
        record(t, (0.0, 6.0))
        return torch.clamp(t, 0, 6)
    F.relu, nn.ReLU6.forward = probe, probe6
    try:
        yield best
    finally:
        F.relu, nn.ReLU6.forward = relu, relu6


def load(name):
    build, seed, (_, h, w), *_ = NETS[name]
    torch.manual_seed(0)
    net = build()
    fill(net, seed, images(seed, 8, h, w))
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nets", name + ".safetensors")
    with safe_open(here, "pt") as file:
        return net, file.get_tensor("input")


def group_loss(z, y):
    loss, start = 0, 0
    for g, n in enumerate(GROUPS):
        loss, start = loss + F.cross_entropy(z[:, start:start + n + 1], y[:, g]), start + n + 1
    return loss


def is_open(name, blocks):
    if blocks < 0 or name.startswith("head."):
        return True
    if blocks == 0:
        return False
    first = 4 - blocks + 1
    return (name.startswith("before_head.") or any(name.startswith(f"body.block{b}.") for b in range(first, 5))) \
        and not name.startswith(f"body.block{first}.unit01.gn1.")


def new_head(net, outputs):
    net.head.conv = nn.Conv2d(net.head.conv.in_channels, outputs, 1).double()
    nn.init.zeros_(net.head.conv.weight); nn.init.zeros_(net.head.conv.bias)


def run(tag, case, seed, scale):
    g = np.random.default_rng(seed)
    net, x = load(case["net"])
    x = (x * scale).double()
    loss_kind, n = case.get("loss", "ce"), len(x)
    if case.get("zero_head"):
        new_head(net, sum(GROUPS) + len(GROUPS) if loss_kind == "group" else net.head.conv.out_channels)
    with torch.no_grad():  # counts classes; batch norms are not touched
        classes = net.double().eval()(x).shape[1]
    net.train()
    for m in net.modules():
        if isinstance(m, nn.Dropout):
            m.p = 0.0
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = 0.1
    out, aux = {}, None
    if loss_kind == "group":
        y = torch.zeros(n, len(GROUPS), dtype=torch.long)
        for i in range(n):
            y[i, i % len(GROUPS)] = int(g.integers(1, GROUPS[i % len(GROUPS)] + 1))
    else:
        y = torch.from_numpy(g.integers(0, classes, n))
    if loss_kind == "energy":
        aux = -x[[i % n for i in range(n + 1)]]

    def criterion(z, target):
        if loss_kind == "group":
            return group_loss(z, target)
        if loss_kind == "bce":
            return F.binary_cross_entropy_with_logits(z, F.one_hot(target, classes).double())
        return F.cross_entropy(z, target, label_smoothing=case.get("label_smoothing", 0.0))

    def loss_of(step):
        if case["net"] == "bit":
            lam, perm = MIXUP["lam"][step], torch.tensor(MIXUP["perm"][step])
            z = net(lam * x + (1 - lam) * x[perm])
            return lam * criterion(z, y) + (1 - lam) * criterion(z, y[perm])
        if aux is not None:
            z = net(torch.cat([x, aux])); e = -torch.logsumexp(z, 1)
            return criterion(z[:n], y) + 0.1 * (F.relu(e[:n] - MARGINS[0]).pow(2).mean() + F.relu(MARGINS[1] - e[n:]).pow(2).mean())
        return criterion(net(x), y)

    params = OrderedDict((k, p) for k, p in net.named_parameters() if is_open(k, case.get("open_blocks", -1)))
    changed = OrderedDict(params)
    changed.update((k, b) for k, b in net.named_buffers() if "running_" in k)
    before = {k: v.detach().clone() for k, v in changed.items()}
    optimiser = torch.optim.SGD(params.values(), lr=1.0, momentum=case["momentum"], weight_decay=case["weight_decay"], nesterov=case["nesterov"])
    losses = []
    for step, lr in enumerate(case["lr"]):
        optimiser.param_groups[0]["lr"] = lr
        loss = loss_of(step)
        optimiser.zero_grad(); loss.backward(); optimiser.step()
        losses.append(float(loss.detach()))
    rows = []
    for k, v in changed.items():
        flat = v.detach().reshape(-1)
        rows.append([float(flat[i * len(flat) // PROBES]) for i in range(PROBES)] + [float((v.detach() - before[k]).norm())])
    out[f"{tag}/loss"] = torch.tensor(losses, dtype=torch.float64)
    out[f"{tag}/labels"] = y
    out[f"{tag}/probes"] = torch.tensor(rows, dtype=torch.float64)
    return out, list(changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "nets"))
    args = parser.parse_args()
    tensors, meta = {}, dict(mixup=MIXUP, group_config=GROUPS, energy_margin=MARGINS)
    for i, (tag, case) in enumerate(CASES.items()):
        best = None
        for scale in SCALES:
            with smallest_margin() as margin:
                out, names = run(tag, case, 100 + i, scale)
            if best is None or margin[0] > best[0]:
                best = margin[0], scale, out, names
        margin, scale, out, names = best
        tensors.update(out)
        meta[tag] = dict(case, tensors=names, scale=scale, relu_margin=margin)
        print(f"{tag}: relu margin {margin:.1e},", [round(v, 6) for v in out[f"{tag}/loss"].tolist()], flush=True)
    save_file(tensors, os.path.join(args.out, "train_steps.safetensors"), metadata={k: json.dumps(v) for k, v in meta.items()})


if __name__ == "__main__":
    main()
