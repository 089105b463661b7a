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

import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_golden import Golden
from torch_nets import SIZES, build

NORMS = (nn.BatchNorm2d, nn.GroupNorm)
ODIN_TEMPERATURE, ODIN_EPSILON = 1000.0, 0.0014


# ---- Methods: each maps (peer, images) to a tensor of results, one row an image --------------------------------

def uniform_loss(logits):
    """Sum over classes of -log softmax, one value a sample (GradNorm's loss)."""
    return -F.log_softmax(logits, -1).sum(-1)


@torch.no_grad()
def forward(peer, images):
    return torch.cat([peer.run(x)[0].float().cpu() for x in peer.batches(images)])


@torch.no_grad()
def gradnorm_best(peer, images):
    out = []
    for x in peer.batches(images):
        logits, features = (v.float() for v in peer.run(x))
        residual = 1 - logits.shape[1] * logits.softmax(-1)
        out.append((features.abs().sum(1) * residual.abs().sum(1)).cpu())
    return torch.cat(out)


def reference_loop(peer, images, parameters):
    out = []
    for x in peer.batches(images, 1):
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
    for x in peer.batches(images):
        gradients = per_sample(parameters, x)
        out.append(torch.stack([gradients[n].abs().flatten(1).sum(1) for n in peer.weight_names], 1).cpu())
    return torch.cat(out)


def input_gradients(peer, images):
    peer.net.requires_grad_(False)
    for x in peer.batches(images):
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
    for x in peer.batches(images):
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
    for x in peer.batches(images):
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
        """As a loader leaves them: for a GPU float32 in page-locked memory of the host."""
        images = images.contiguous(memory_format=self.format)
        return images.pin_memory() if self.device.type == 'cuda' else images.to(self.dtype)

    def batches(self, images, size=None):
        """Batch by batch on the device. The copy to a GPU is timed on both sides: ours take images of the host."""
        for x in images.split(size or self.batch):
            yield x.to(self.device, self.dtype, non_blocking=True, memory_format=self.format)

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
    return golden.check(Peer(a, golden.classes, golden), a.method, METHODS[a.method])


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
