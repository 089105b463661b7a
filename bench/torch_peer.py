#!/usr/bin/env python3
"""What a user would run in PyTorch today: the scores, checked and timed.

    pip install torch timm torchvision safetensors
    python bench/torch_peer.py resnet34-cifar gradnorm-best --batch 64 --images 512 --channels-last
    python bench/torch_peer.py bit-r101x1 forward --compile --channels-last --batch 8 --golden DIR

NET    bit-r50x1 | bit-r101x1 | resnet34-cifar | resnet50 | mobilenet-v2
METHOD forward                 logits
       gradnorm-reference      the published loop: batch 1, a full backward pass, the norm of the head's gradient
       gradnorm-best           closed form from logits and features, batched: the strongest form known to us
       gradnorm-all-reference  the published loop, norms of every weight's gradient
       gradnorm-all-vmap       per-sample gradients of all weights through torch.func
       odin, input-gradient    T = 1000, epsilon = 0.0014, batched
       gaia-z-reference, gaia-a-reference   full backward passes with hooks, as published

Prints one JSON object: images a second (the best of --repeat), and the peak of resident memory in MiB. --compile is
torch.compile; on the CPU with frozen weights, without which it is far slower. Weights and images are random.

--golden DIR checks before timing that the form to be timed computes the right scores: the net gets the weights
that DIR/<net>.safetensors describes (bit-r101x1, resnet34-cifar), and its scores must meet the stored ones. The
net that is timed then has the same weights. --serve reads `run` lines from stdin and prints one JSON line each, so
that a caller can interleave several programs without paying for start-up and compilation in every round.
"""
import argparse
import json
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SIZES = {'resnet34-cifar': 32, 'bit-r50x1': 480, 'bit-r101x1': 480, 'resnet50': 224, 'mobilenet-v2': 224}
NORMS = (nn.BatchNorm2d, nn.GroupNorm)
ODIN_TEMPERATURE, ODIN_EPSILON = 1000.0, 0.0014


# ---- Nets -----------------------------------------------------------------------------------------------------

class Basic(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class CifarResNet34(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        cin, stages = 64, []
        for i, (n, c) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512))):
            blocks = []
            for j in range(n):
                blocks.append(Basic(cin, c, 2 if i and not j else 1))
                cin = c
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.linear = nn.Linear(512, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.mean((2, 3)))


def build(name, classes=None):
    """The net and the module of its head."""
    torch.manual_seed(0)
    if name == 'resnet34-cifar':
        net = CifarResNet34(classes or 10)
        return net, net.linear
    classes = classes or 1000
    if name.startswith('bit-'):
        import timm
        net = timm.create_model(f'resnetv2_{name[5:]}_bit', pretrained=False, num_classes=classes)
        for module in net.modules():
            if type(module).__name__ == 'StdConv2d':
                module.eps = 1e-10  # as in Google's BiT; timm's default is 1e-8
        return net, net.head.fc
    import torchvision
    if name == 'resnet50':
        net = torchvision.models.resnet50(num_classes=classes)
        return net, net.fc
    net = torchvision.models.mobilenet_v2(num_classes=classes)
    return net, net.classifier[1]


# ---- Golden weights -------------------------------------------------------------------------------------------

def golden_name(net_name, parameter):
    """Our names of timm's BiT parameters; the other nets agree."""
    if not net_name.startswith('bit-'):
        return parameter
    unit = re.fullmatch(r'stages\.(\d)\.blocks\.(\d+)\.(.+)', parameter)
    if unit:
        inner = unit[3].replace('norm', 'gn').replace('downsample.conv', 'downsample')
        return f'body.block{int(unit[1]) + 1}.unit{int(unit[2]) + 1:02d}.{inner}'
    for theirs, ours in (('stem.conv', 'root.conv'), ('norm.', 'before_head.gn.'), ('head.fc', 'head.conv')):
        if parameter.startswith(theirs):
            return ours + parameter[len(theirs):]
    raise KeyError(parameter)


def recipe_tensor(name, shape, seed, mean, deviation):
    """Seeded uniform weights: splitmix64 counted from a hash of the name (golden/README.md)."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    key ^= seed * 0xD1342543DE82EF95 % 2**64
    count = int(np.prod(shape))
    with np.errstate(over='ignore'):
        z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return torch.from_numpy((mean + deviation * np.sqrt(3.0) * (2 * u - 1)).astype(np.float32)).reshape(shape)


class Golden:
    """Weights, inputs and true scores of one net, from float64 arithmetic."""

    FILES = {'bit-r101x1': 'bit_r101x1.safetensors', 'resnet34-cifar': 'cifar_resnet34.safetensors'}

    def __init__(self, net_name, path):
        from safetensors import safe_open
        self.net_name = net_name
        with safe_open(path, 'pt') as file:
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}
            metadata = file.metadata()
        self.seed = int(metadata['seed'])
        self.recipe = json.loads(metadata['recipe'])
        self.parameter_names = json.loads(metadata['param_names'])
        self.classes = self.tensors['logits'].shape[1]

    @classmethod
    def find(cls, net_name, folder):
        """None, with a notice, where there is nothing to check against."""
        path = Path(folder) / cls.FILES.get(net_name, '-') if folder else None
        if path is None or not path.exists():
            print(f'notice: scores of {net_name} are not checked: no golden file'
                  + (f' in {folder}' if folder else ' (--golden DIR)'), file=sys.stderr)
            return None
        return cls(net_name, path)

    def load_into(self, net):
        """Also into a net with another number of classes: the recipe knows no shapes."""
        for name, tensor in net.state_dict().items():
            ours = golden_name(self.net_name, name)
            if ours in self.recipe:
                tensor.copy_(recipe_tensor(ours, tensor.shape, self.seed, *self.recipe[ours]))
            elif f'w/{ours}' in self.tensors:
                tensor.copy_(self.tensors[f'w/{ours}'])
            elif not name.endswith('num_batches_tracked'):
                raise KeyError(f'{self.net_name}: the golden file has no weights for {name}')

    def check(self, peer, method):
        """Largest deviation relative to the largest true value; raises where it is too large."""
        key, tolerance = CHECKS[method]
        got = METHODS[method](peer, peer.prepare(self.tensors['input'])).double()
        want = self.tensors[key].double()
        if method == 'odin':
            got = (self.classes * got).log()
        if key == 'gradnorm/param_l1':
            columns = [self.parameter_names.index(golden_name(self.net_name, n)) for n in peer.weight_names]
            want = want[:, columns]
        scale = want.abs().amax(0) if key == 'gradnorm/param_l1' else want.abs().amax()
        deviation = ((got - want).abs() / scale).amax().item()
        if not deviation <= tolerance:
            raise SystemExit(f'{self.net_name} {method}: deviates from {key} by {deviation:.2e} of its maximum, '
                             f'more than {tolerance:.0e}; not timing a form that computes something else')
        return {'golden': key, 'deviation': float(f'{deviation:.2g}'), 'tolerance': tolerance}


# ---- Methods: each maps (peer, images) to a tensor of results, one row an image --------------------------------

def uniform_loss(logits):
    """Sum over classes of -log softmax, one value a sample (GradNorm's loss)."""
    return -F.log_softmax(logits, -1).sum(-1)


@torch.no_grad()
def forward(peer, images):
    return torch.cat([peer.run(x)[0].float().cpu() for x in images.split(peer.batch)])


@torch.no_grad()
def gradnorm_best(peer, images):
    out = []
    for x in images.split(peer.batch):
        logits, features = (v.float() for v in peer.run(x))
        residual = 1 - logits.shape[1] * logits.softmax(-1)
        out.append((features.abs().sum(1) * residual.abs().sum(1)).cpu())
    return torch.cat(out)


def reference_loop(peer, images, parameters):
    out = []
    for x in images.split(1):
        x = x.clone().requires_grad_(True)
        peer.net.zero_grad()
        uniform_loss(peer.net(x)).mean().backward()
        out.append([p.grad.abs().sum().item() for p in parameters])
    return torch.tensor(out)


def gradnorm_reference(peer, images):
    return reference_loop(peer, images, [peer.head.weight])[:, 0]


def gradnorm_all_reference(peer, images):
    return reference_loop(peer, images, peer.weights)


def gradnorm_all_vmap(peer, images):
    from torch.func import functional_call, grad, vmap
    parameters = {k: v.detach() for k, v in peer.net.named_parameters()}
    buffers = {k: v.detach() for k, v in peer.net.named_buffers()}

    def loss(p, one):
        return uniform_loss(functional_call(peer.net, (p, buffers), (one[None],)))[0]

    per_sample = vmap(grad(loss), in_dims=(None, 0))
    out = []
    for x in images.split(peer.batch):
        gradients = per_sample(parameters, x)
        out.append(torch.stack([gradients[n].abs().flatten(1).sum(1) for n in peer.weight_names], 1).cpu())
    return torch.cat(out)


def input_gradients(peer, images):
    peer.net.requires_grad_(False)
    for x in images.split(peer.batch):
        x = x.clone().requires_grad_(True)
        logits = peer.net(x) / ODIN_TEMPERATURE
        gradient, = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1), reduction='sum'), x)
        yield x.detach(), gradient


def input_gradient(peer, images):
    return torch.cat([gradient.cpu() for _, gradient in input_gradients(peer, images)])


def odin(peer, images):
    out = []
    for x, gradient in input_gradients(peer, images):
        with torch.no_grad():
            logits = peer.net(x - ODIN_EPSILON * torch.where(gradient >= 0, 1.0, -1.0)) / ODIN_TEMPERATURE
            out.append(logits.float().softmax(-1).amax(1).cpu())
    return torch.cat(out)


def gaia_z_reference(peer, images):
    bag = peer.bags['z']
    out = []
    for x in images.split(peer.batch):
        peer.net.zero_grad()
        bag.clear()
        peer.net(x).amax(1).sum().backward()
        density = torch.cat([(g != 0).float().mean((-1, -2)) for g in bag], 1)
        out.append(-density.square().mean(1).cpu())
    return torch.cat(out)


def gaia_a_reference(peer, images):
    """Two full backward passes: the uniform loss at the last stage's output, and ones on the features at the norms."""
    inner, outer = peer.bags['a'], peer.bags['output']
    out = []
    for x in images.split(peer.batch):
        peer.net.zero_grad()
        outer.clear()
        uniform_loss(peer.net(x)).sum().backward(retain_graph=True)
        omega = outer[0].mean((-1, -2)).abs().mean(1).sqrt()[:, None]
        inner.clear()
        peer.features.sum().backward()
        r = torch.cat([g.mean((-1, -2)) for g in inner], 1)
        out.append(-(r / omega).square().mean(1).cpu())
    return torch.cat(out)


METHODS = {'forward': forward, 'gradnorm-reference': gradnorm_reference, 'gradnorm-best': gradnorm_best,
           'gradnorm-all-reference': gradnorm_all_reference, 'gradnorm-all-vmap': gradnorm_all_vmap,
           'odin': odin, 'input-gradient': input_gradient, 'gaia-z-reference': gaia_z_reference,
           'gaia-a-reference': gaia_a_reference}
COMPILABLE = ('forward', 'gradnorm-best')

# Golden key and tolerance for deep nets in float32 (golden/README.md).
CHECKS = {'forward': ('logits', 1e-4), 'gradnorm-reference': ('score/gradnorm_T1', 1e-4),
          'gradnorm-best': ('score/gradnorm_T1', 1e-4), 'gradnorm-all-reference': ('gradnorm/param_l1', 5e-3),
          'gradnorm-all-vmap': ('gradnorm/param_l1', 5e-3), 'odin': ('score/odin_T1000_eps0.0014_log_cs', 2e-2),
          'input-gradient': ('odin_grad_T1000', 5e-2), 'gaia-z-reference': ('gaiaZ/score', 1e-3),
          'gaia-a-reference': ('gaiaA/score', 2e-2)}


# ---- The peer: a net in the form that is asked for --------------------------------------------------------------

class WithFeatures(nn.Module):
    """Logits and the head's input as two outputs, so that a compiled graph needs no hook outside it."""

    def __init__(self, net, head):
        super().__init__()
        self.net, self.kept = net, None
        head.register_forward_pre_hook(self.keep)

    def keep(self, module, inputs):
        self.kept = inputs[0]

    def forward(self, x):
        logits = self.net(x)
        return logits, self.kept.flatten(1)


class Peer:
    def __init__(self, a, classes=None, golden=None):
        self.device, self.batch = torch.device(a.device), a.batch
        self.dtype = torch.bfloat16 if a.dtype == 'bf16' else torch.float32
        self.format = torch.channels_last if a.channels_last else torch.contiguous_format
        self.net, self.head = build(a.net, classes)
        if golden:
            golden.load_into(self.net)
        self.net = self.net.eval().to(self.device, self.dtype).to(memory_format=self.format)
        self.weight_names, self.weights = zip(*((n, p) for n, p in self.net.named_parameters() if p.ndim > 1))
        self.with_features = WithFeatures(self.net, self.head)
        self.run = self.with_features
        if a.compile:
            import torch._inductor.config as inductor
            inductor.freezing = self.device.type == 'cpu'
            torch._dynamo.reset()
            self.run = torch.compile(self.with_features, dynamic=False)
        self.bags = {}
        if a.method == 'gaia-z-reference':
            self.bags = {'z': self.hook_norms(self.last_stages() if a.net.startswith('bit-') else [self.net])}
        if a.method == 'gaia-a-reference':
            self.bags = {'a': self.hook_norms(self.last_stages()), 'output': self.hook_output()}

    @property
    def features(self):
        return self.with_features.kept

    def last_stages(self):
        """Whose norms GAIA-A reads: BiT's last, the last two of the others."""
        if hasattr(self.net, 'stages'):
            return [self.net.stages[-1]]
        if hasattr(self.net, 'layer4'):
            return [self.net.layer3, self.net.layer4]
        return [self.net.features[14:19]]  # MobileNet-v2

    def prepare(self, images):
        return images.to(self.device, self.dtype).contiguous(memory_format=self.format)

    def hook_norms(self, stages):
        """A list that every backward pass fills with the gradients at the outputs of the norms."""
        bag = []

        def keep(tensor):
            tensor.register_hook(lambda g: bag.append(g.detach()))

        for module in (m for stage in stages for m in stage.modules() if isinstance(m, NORMS)):
            if hasattr(module, 'act'):  # timm: norm and ReLU in one module; the norm's output is act's input
                module.act.register_forward_pre_hook(lambda m, i: keep(i[0]))
            else:
                module.register_forward_hook(lambda m, i, o: keep(o))
        return bag

    def hook_output(self):
        """The same for the last stage's output (BiT: the pooled features, as published)."""
        bag = []

        def keep(tensor):
            tensor.register_hook(lambda g: bag.append(g.detach()))

        if hasattr(self.net, 'stages'):
            self.head.register_forward_pre_hook(lambda m, i: keep(i[0]))
        else:
            self.last_stages()[-1].register_forward_hook(lambda m, i, o: keep(o))
        return bag


def synchronize(peer):
    if peer.device.type == 'cuda':
        torch.cuda.synchronize()


def reset_peak(peer):
    if peer.device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    else:
        try:
            Path('/proc/self/clear_refs').write_text('5')
        except OSError:
            pass  # the peak then includes the check


def peak_mib(peer):
    if peer.device.type == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(peer, a, images):
    synchronize(peer)
    start = time.perf_counter()
    METHODS[a.method](peer, images)
    synchronize(peer)
    return len(images) / (time.perf_counter() - start)


def check(a, golden):
    """The scores of exactly the form that will be timed (the check compiles for its own shape)."""
    if golden is None:
        return None
    if a.dtype != 'f32':
        print(f'notice: scores in {a.dtype} are not checked', file=sys.stderr)
        return None
    return golden.check(Peer(a, golden.classes, golden), a.method)


def parse_arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('net', choices=SIZES)
    ap.add_argument('method', choices=METHODS)
    ap.add_argument('--size', type=int, help='side of the images (default: what the net is used with)')
    ap.add_argument('--batch', type=int, default=8)
    ap.add_argument('--images', type=int, default=16)
    ap.add_argument('--repeat', type=int, default=1, help='time this often and print the best')
    ap.add_argument('--threads', type=int, default=2)
    ap.add_argument('--device', default='cpu')
    ap.add_argument('--channels-last', action='store_true')
    ap.add_argument('--compile', action='store_true', help='torch.compile (forward, gradnorm-best)')
    ap.add_argument('--dtype', default='f32', choices=('f32', 'tf32', 'bf16'))
    ap.add_argument('--golden', help='folder of golden files: check the scores before timing')
    ap.add_argument('--serve', action='store_true', help='time once for every `run` line on stdin')
    a = ap.parse_args()
    if a.compile and a.method not in COMPILABLE:
        ap.error(f'--compile is for {" and ".join(COMPILABLE)}')
    a.size = a.size or SIZES[a.net]
    return a


def main():
    a = parse_arguments()
    torch.set_num_threads(a.threads)
    if a.device.startswith('cuda'):
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = a.dtype == 'tf32'
    golden = Golden.find(a.net, a.golden)
    checked = check(a, golden)
    peer = Peer(a, golden=golden)
    torch.manual_seed(1)
    images = peer.prepare(torch.randn(a.images, 3, a.size, a.size))
    METHODS[a.method](peer, images[:a.batch])  # warm-up, compilation
    reset_peak(peer)
    facts = {'peer': 'torch ' + torch.__version__, 'net': a.net, 'method': a.method, 'size': a.size, 'batch': a.batch,
             'images': a.images, 'dtype': a.dtype, 'compile': a.compile, 'channels_last': a.channels_last,
             'threads': a.threads, 'device': a.device, 'checked': checked}
    if a.serve:
        print(json.dumps({'ready': True, **facts}), flush=True)
        for line in sys.stdin:
            if line.strip() != 'run':
                break
            print(json.dumps({'images_per_s': round(timed(peer, a, images), 4), 'peak_MiB': round(peak_mib(peer))}),
                  flush=True)
        return
    best = max(timed(peer, a, images) for _ in range(a.repeat))
    print(json.dumps({**facts, 'images_per_s': round(best, 4), 'peak_MiB': round(peak_mib(peer))}))


if __name__ == '__main__':
    main()
