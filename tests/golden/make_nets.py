#!/usr/bin/env python3
"""Golden values of small nets of every family: PyTorch in float64 is the oracle.

usage: make_nets.py [--out DIR] [NAME ...]        needs: pip install torch torchvision numpy safetensors
Writes NAME.safetensors for each net and fp32_noise.json, the deviation of PyTorch's own float32 run, which is the
yardstick of tolerances. Weights are not stored: they follow a recipe (tests/support/golden_file.h), the same in C++
and here; only BatchNorm's statistics are. Weights and inputs are float32 numbers, arithmetic is float64.

Keys: input [N,3,H,W]; logits [N,C], features [N,D]; odin_grad_T1000 = dCE(z/T, argmax z)/dx of each sample;
odin_T1000_eps0.0014/logits of the second pass; gaiaZ/density, gaiaA/inner, gaiaA/head_component; nac/TAP/test_o, test_g
(sums over positions of the activation and of dKL/da, KL = -mean_c log p_c); gradnorm/param_l1, param_l2 [N,params].
Metadata: seed, arch, recipe {tensor: [mean, sd]}, shapes {tensor: shape}, weights_sha256, gaiaZ_layers, gaiaA_layers,
param_names, relu_margin (the smallest distance of a ReLU's input from its kink, over rms).
"""
import argparse, hashlib, json, math, os
from collections import OrderedDict
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file

torch.set_num_threads(1)
M64 = (1 << 64) - 1
CANDIDATE_INPUTS = 24  # the one with the largest relu_margin is taken
ODIN_T, ODIN_EPS = 1000.0, 0.0014


# ---- deterministic numbers
def fnv1a(text):
    h = 0xcbf29ce484222325
    for b in text.encode():
        h = ((h ^ b) * 0x100000001b3) & M64
    return h


def uniform01(seed, name, n):
    key = np.uint64(fnv1a(name) ^ ((seed * 0xD1342543DE82EF95) & M64))
    with np.errstate(over="ignore"):
        z = key + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


def drawn(seed, name, shape, mean=0.0, sd=1.0):
    values = mean + sd * math.sqrt(3.0) * (2.0 * uniform01(seed, name, int(np.prod(shape))) - 1.0)
    return torch.from_numpy(values.astype(np.float32)).reshape(*shape)


def images(seed, n, h, w):
    """Mixtures of plane waves and noise, roughly in [-1, 1]."""
    g = np.random.default_rng(seed)
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float64)
    out = np.zeros((n, 3, h, w))
    for i in range(n):
        for c in range(3):
            for _ in range(3):
                kx, ky = g.normal(0, 0.35, 2)
                out[i, c] += g.uniform(0.1, 0.5) * np.sin(kx * xx + ky * yy + g.uniform(0, 6.28))
            out[i, c] += g.uniform(-0.5, 0.5) + g.uniform(0.02, 0.4) * g.normal(size=(h, w))
    return torch.from_numpy(np.clip(out, -1.5, 1.5).astype(np.float32))


# ---- nets, with the names of the published ones; each leaves its maps in self.maps
class StdConv2d(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        m = w.mean(dim=(1, 2, 3), keepdim=True)
        v = ((w - m) ** 2).mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, (w - m) / torch.sqrt(v + 1e-10), self.bias, self.stride, self.padding)


class BitUnit(nn.Module):
    def __init__(self, cin, mid, stride):
        super().__init__()
        out = 4 * mid
        self.gn1 = nn.GroupNorm(32, cin); self.conv1 = StdConv2d(cin, mid, 1, bias=False)
        self.gn2 = nn.GroupNorm(32, mid); self.conv2 = StdConv2d(mid, mid, 3, stride, 1, bias=False)
        self.gn3 = nn.GroupNorm(32, mid); self.conv3 = StdConv2d(mid, out, 1, bias=False)
        if stride != 1 or cin != out:
            self.downsample = StdConv2d(cin, out, 1, stride, bias=False)

    def forward(self, x):
        a = F.relu(self.gn1(x))
        shortcut = self.downsample(a) if hasattr(self, "downsample") else x
        r = self.conv2(F.relu(self.gn2(self.conv1(a))))
        return self.conv3(F.relu(self.gn3(r))) + shortcut


class BiT(nn.Module):
    head_name, last_stages, out_tap = "head.conv", ("body.block4",), "before_head"

    def __init__(self, units, base, classes):
        super().__init__()
        self.root = nn.Sequential(OrderedDict(conv=StdConv2d(3, base, 7, 2, 3, bias=False)))
        blocks, cin = OrderedDict(), base
        for b, n in enumerate(units):
            block = OrderedDict()
            for u in range(1, n + 1):
                block[f"unit{u:02d}"] = BitUnit(cin, base << b, 2 if b and u == 1 else 1)
                cin = 4 * (base << b)
            blocks[f"block{b + 1}"] = nn.Sequential(block)
        self.body = nn.Sequential(blocks)
        self.before_head = nn.Sequential(OrderedDict(gn=nn.GroupNorm(32, cin)))
        self.head = nn.Sequential(OrderedDict(conv=nn.Conv2d(cin, classes, 1)))

    def forward(self, x):
        x = F.max_pool2d(F.pad(self.root.conv(x), (1, 1, 1, 1)), 3, 2, 0)  # zeros take part, not -inf
        self.maps = {"root": x}
        for name, block in self.body.named_children():
            x = self.maps[name] = block(x)
        x = F.relu(self.before_head.gn(x)).mean(dim=(2, 3), keepdim=True)
        self.maps["before_head"] = x
        self.feat = x.flatten(1)
        return self.head(x)[..., 0, 0]


class Block(nn.Module):
    """Basic or bottleneck block; `option`: how the shortcut is called, or "A"."""
    def __init__(self, cin, width, stride, bottleneck, option):
        super().__init__()
        out = 4 * width if bottleneck else width
        sizes = [(cin, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)] if bottleneck else \
                [(cin, width, 3, stride), (width, width, 3, 1)]
        for i, (a, b, k, s) in enumerate(sizes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, k, s, k // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.convs, self.option, self.stride, self.pad = len(sizes), option, stride, (out - cin) // 2
        if option != "A" and (stride != 1 or cin != out):
            setattr(self, option, nn.Sequential(nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out)))

    def forward(self, x):
        r = x
        for i in range(1, self.convs + 1):
            r = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(r))
            if i < self.convs:
                r = F.relu(r)
        if self.option == "A":
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad))
        elif hasattr(self, self.option):
            x = getattr(self, self.option)(x)
        return F.relu(r + x)


class ResNet(nn.Module):
    """CIFAR (3x3 stem) and torchvision (7x7 stem, max pool) nets; `window`: avg_pool2d's, 0 = global."""
    def __init__(self, units, base, classes, bottleneck=False, option="shortcut", head="linear", window=0, large=False):
        super().__init__()
        self.head_name, self.window, self.large, self.stages = head, window, large, len(units)
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False) if large else nn.Conv2d(3, base, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        cin = base
        for s, n in enumerate(units):
            layer = []
            for i in range(n):
                layer.append(Block(cin, base << s, 2 if s and i == 0 else 1, bottleneck, option))
                cin = (base << s) * (4 if bottleneck else 1)
            setattr(self, f"layer{s + 1}", nn.Sequential(*layer))
        setattr(self, head, nn.Linear(cin, classes))
        self.out_tap = f"layer{self.stages}"
        self.last_stages = (f"layer{self.stages - 1}", self.out_tap)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        self.maps = {}
        for s in range(1, self.stages + 1):
            x = self.maps[f"layer{s}"] = getattr(self, f"layer{s}")(x)
        self.maps["avgpool"] = x = F.avg_pool2d(x, self.window) if self.window else x.mean(dim=(2, 3), keepdim=True)
        self.feat = x.flatten(1)
        return getattr(self, self.head_name)(self.feat)


class WrnBlock(nn.Module):
    def __init__(self, cin, c, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin); self.conv1 = nn.Conv2d(cin, c, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c); self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        if cin != c:
            self.convShortcut = nn.Conv2d(cin, c, 1, stride, bias=False)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        shortcut = self.convShortcut(a) if hasattr(self, "convShortcut") else x
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(a))))


class WideResNet(nn.Module):
    head_name, last_stages, out_tap = "fc", ("",), "avgpool"  # GAIA-A reads every norm here

    def __init__(self, depth, widen, classes):
        super().__init__()
        n, cin = (depth - 4) // 6, 16
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        for s in range(3):
            blocks = []
            for i in range(n):
                blocks.append(WrnBlock(cin, (16 << s) * widen, 2 if s and i == 0 else 1))
                cin = (16 << s) * widen
            setattr(self, f"block{s + 1}", nn.Sequential(OrderedDict(layer=nn.Sequential(*blocks))))
        self.bn1 = nn.BatchNorm2d(cin); self.fc = nn.Linear(cin, classes)

    def forward(self, x):
        x, self.maps = self.conv1(x), {}
        for s in range(1, 4):
            x = self.maps[f"block{s}"] = getattr(self, f"block{s}")(x)
        self.maps["avgpool"] = x = F.relu(self.bn1(x)).mean(dim=(2, 3), keepdim=True)
        self.feat = x.flatten(1)
        return self.fc(self.feat)


def mobilenet(width, setting, classes):
    import torchvision

    class MobileNet(torchvision.models.MobileNetV2):
        head_name, out_tap = "classifier.1", f"features.{sum(s[2] for s in setting) + 1}"
        last_stages = tuple(f"features.{i}" for i in range(sum(s[2] for s in setting) - 3, sum(s[2] for s in setting) + 2))

        def forward(self, x):
            self.maps = {}
            for i, stage in enumerate(self.features):
                x = self.maps[f"features.{i}"] = stage(x)
            self.maps["avgpool"] = x = x.mean(dim=(2, 3), keepdim=True)
            self.feat = x.flatten(1)
            return self.classifier(self.feat)

    net = MobileNet(num_classes=classes, width_mult=width, inverted_residual_setting=setting)
    for m in net.modules():
        if isinstance(m, nn.ReLU6):
            m.inplace = False
    return net


SETTING = [[1, 16, 1, 1], [6, 24, 2, 2], [3, 32, 2, 2]]
# name: net, seed, input, what it is, the taps whose NAC values are stored
NETS = {
    "bit": (lambda: BiT([1, 2, 1, 1], 32, 7), 1, (3, 40, 56), "BiT units 1,2,1,1 base 32", ["before_head", "block3", "root"]),
    "cifar_basic": (lambda: ResNet([1, 2, 1, 2], 8, 6, window=4), 2, (3, 40, 36), "CIFAR ResNet units 1,2,1,2 base 8", ["avgpool", "layer3", "layer2", "layer1"]),
    "cifar_bottleneck": (lambda: ResNet([1, 1, 2, 1], 8, 9, bottleneck=True, window=4), 3, (3, 32, 32), "CIFAR ResNet bottleneck units 1,1,2,1 base 8", ["avgpool", "layer4", "layer1"]),
    "cifar_openood": (lambda: ResNet([1, 1, 1, 1], 8, 6, head="fc"), 4, (2, 36, 44), "OpenOOD naming, units 1,1,1,1 base 8", ["avgpool", "layer2"]),
    "option_a": (lambda: ResNet([1, 1, 1], 16, 5, option="A"), 5, (3, 32, 32), "CIFAR ResNet-8, option A", ["avgpool", "layer3", "layer1"]),
    "wrn": (lambda: WideResNet(16, 1, 6), 6, (3, 28, 36), "WRN-16-1", ["avgpool", "block2"]),
    "tv_basic": (lambda: ResNet([2, 1, 1, 1], 16, 11, option="downsample", head="fc", large=True), 7, (3, 56, 40), "torchvision ResNet basic units 2,1,1,1 base 16", ["avgpool", "layer3", "layer1"]),
    "tv_bottleneck": (lambda: ResNet([1, 2, 1, 1], 8, 11, bottleneck=True, option="downsample", head="fc", large=True), 8, (2, 41, 53), "torchvision ResNet bottleneck units 1,2,1,1 base 8", ["avgpool", "layer2"]),
    "mobilenet": (lambda: mobilenet(0.35, SETTING, 8), 9, (3, 40, 48), "MobileNet-v2 width 0.35, (1,16,1,1),(6,24,2,2),(3,32,2,2)", ["avgpool", "features.2"]),
}
PUBLISHED = {
    "bit_r101x1": lambda: BiT([3, 4, 23, 3], 64, 20),
    "cifar_resnet34": lambda: ResNet([3, 4, 6, 3], 64, 10),
    "wrn40_2": lambda: WideResNet(40, 2, 10),
}


# ---- weights by recipe
def fill(net, seed, calibration):
    recipe, modules = OrderedDict(), dict(net.named_modules())
    with torch.no_grad():
        for name, p in net.named_parameters():
            module, leaf = modules[name.rpartition(".")[0]], name.rpartition(".")[2]
            if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                mean, sd = (0.9, 0.5) if leaf == "weight" else (0.1, 0.3)
            elif isinstance(module, StdConv2d):
                mean, sd = 0.01, 0.05
            elif name.startswith(net.head_name):
                mean, sd = 0.0, 2 / math.sqrt(0.4 * p[0].numel()) if leaf == "weight" else 0.3
            else:
                mean, sd = 0.0, math.sqrt(2.0 / p[0].numel())
            mean, sd = float(np.float32(mean)), float(np.float32(sd))
            recipe[name] = [mean, sd]
            p.copy_(drawn(seed, name, p.shape, mean, sd))
        norms = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)]
        if norms:  # statistics of a batch, then moved, so that they are neither trivial nor off
            net.double().train()
            for _, m in norms:
                m.momentum = 1.0
            net(calibration.double())
            for n, m in norms:
                c, s = m.running_mean.numel(), m.running_var.sqrt()
                m.running_mean.copy_((m.running_mean + s * drawn(seed, n + ".rm", (c,), 0, 0.2)).float())
                m.running_var.copy_((m.running_var * drawn(seed, n + ".rv", (c,), 1.0, 0.25) + 1e-3).float())
    net.double().eval()
    return recipe


def relu_margin(net, x):
    best, relu, relu6 = [math.inf], F.relu, nn.ReLU6.forward

    def record(t, kinks):
        rms = t.pow(2).mean().sqrt()
        best[0] = min([best[0]] + [float((t - k).abs().min() / rms) for k in kinks])

    def probe(t, *a, **k):
        record(t, (0.0,))
        return relu(t)

    def probe6(_, t):
        record(t, (0.0, 6.0))
        return torch.clamp(t, 0, 6)
    F.relu, nn.ReLU6.forward = probe, probe6
    try:
        with torch.no_grad():
            net(x.double())
    finally:
        F.relu, nn.ReLU6.forward = relu, relu6
    return best[0]


# ---- values
def norm_outputs(net, x, last_stages_only):
    outputs = OrderedDict()
    hooks = [m.register_forward_hook(lambda m, i, o, n=n: outputs.__setitem__(n, o)) for n, m in net.named_modules()
             if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)) and (not last_stages_only or n.startswith(net.last_stages))]
    z = net(x)
    for h in hooks:
        h.remove()
    order = [n for n, _ in net.named_modules() if n in outputs]
    return z, order, [outputs[n] for n in order]


def gaia(net, x):
    x = x.clone().requires_grad_(True)
    z, z_names, outputs = norm_outputs(net, x, isinstance(net, BiT))
    g = torch.autograd.grad(z.max(1).values.sum(), outputs)
    r = {"gaiaZ/density": torch.cat([(t != 0).to(z.dtype).mean((2, 3)) for t in g], 1)}
    z, a_names, outputs = norm_outputs(net, x, True)
    out, = torch.autograd.grad(torch.log_softmax(z, 1).sum(), net.maps[net.out_tap], retain_graph=True)
    r["gaiaA/head_component"] = out.mean((2, 3))
    g = torch.autograd.grad(net.feat.sum(), outputs)
    r["gaiaA/inner"] = torch.cat([t.mean((2, 3)) for t in g], 1).abs()
    return r, {"gaiaZ_layers": z_names, "gaiaA_layers": a_names}


def nac(net, x, taps):
    z = net(x.clone().requires_grad_(True))
    maps = [net.maps[t] for t in taps]
    g = torch.autograd.grad(-torch.log_softmax(z, 1).mean(1).sum(), maps)
    r = {}
    for tap, o, d in zip(taps, maps, g):
        r[f"nac/{tap}/test_o"], r[f"nac/{tap}/test_g"] = o.sum((2, 3)), d.sum((2, 3))
    return r


def param_norms(net, x):
    params = [p for _, p in net.named_parameters()]
    l1, l2 = [], []
    for i in range(len(x)):
        g = torch.autograd.grad((-torch.log_softmax(net(x[i:i + 1]), 1)).sum(), params)
        l1.append(torch.stack([t.abs().sum() for t in g])); l2.append(torch.stack([t.norm() for t in g]))
    return {"gradnorm/param_l1": torch.stack(l1), "gradnorm/param_l2": torch.stack(l2)}


def odin(net, x):
    x = x.clone().requires_grad_(True)
    z = net(x)
    g, = torch.autograd.grad(F.cross_entropy(z / ODIN_T, z.argmax(1), reduction="sum"), x)
    with torch.no_grad():
        second = net(x - ODIN_EPS * torch.where(g >= 0, 1.0, -1.0).to(x.dtype))
    return {"odin_grad_T1000": g, "odin_T1000_eps0.0014/logits": second}


def values(net, x, taps, dtype):
    net, x = net.to(dtype), x.to(dtype)
    r = {"logits": net(x), "features": net.feat}
    more, names = gaia(net, x)
    for part in (more, nac(net, x, taps), param_norms(net, x), odin(net, x)):
        r.update(part)
    net.double()
    return {k: v.detach() for k, v in r.items()}, names


def deviation(wanted, got):
    scale = float(wanted.abs().max()) or 1.0
    return {"max_rel_to_max": float((wanted - got.double()).abs().max()) / scale}


def shapes(net):
    return {k: list(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}


def write_json(path, data):
    with open(path, "w") as file:
        file.write(json.dumps(data, sort_keys=True).replace("}, ", "},\n") + "\n")


def make(name, out):
    build, seed, (n, h, w), arch, taps = NETS[name]
    torch.manual_seed(0)
    net = build()
    recipe = fill(net, seed, images(seed, 8, h, w))
    margin, x = max(((relu_margin(net, x), x) for x in (images([seed, k], n, h, w) for k in range(CANDIDATE_INPUTS))),
                    key=lambda pair: pair[0])
    wanted, names = values(net, x, taps, torch.float64)
    got, _ = values(net, x, taps, torch.float32)
    state = {k: v.detach().float().contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    digest = hashlib.sha256()
    for k, v in state.items():
        digest.update(k.encode()); digest.update(v.numpy().tobytes())
    tensors = {"input": x, **{"w/" + k: v for k, v in state.items() if "running_" in k},
               **{k: v.double() if k.startswith("gradnorm/") else v.float() for k, v in wanted.items()}}
    meta = dict(seed=seed, arch=arch, recipe=recipe, shapes=shapes(net), taps=taps,
                weights_sha256=digest.hexdigest(), relu_margin=margin, T=ODIN_T, eps=ODIN_EPS,
                param_names=[k for k, _ in net.named_parameters()], **names)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, os.path.join(out, name + ".safetensors"),
              metadata={k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()})
    print(f"{name}: relu margin {margin:.1e}, logits' deviation {wanted['logits'].std():.2f}", flush=True)
    return {k: deviation(v, got[k]) for k, v in wanted.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "nets"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "fp32_noise.json")
    noise = json.load(open(path)) if os.path.exists(path) else {}
    for name in args.names or NETS:
        noise[name] = make(name, args.out)
    write_json(path, noise)
    # Shapes of published nets, for golden files whose recipe does not say them.
    write_json(os.path.join(args.out, "shapes.json"), {name: shapes(build()) for name, build in PUBLISHED.items()})


if __name__ == "__main__":
    main()
