#!/usr/bin/env python3
"""Per-sample norms of all weight gradients: gradscore against other packages, interleaved in one run.

    pip install torch timm opacus backpack-for-pytorch
    make build && python bench/gradient_norms.py --gradscore build/tools/gradscore

Every form (norm_peers.py) is a process of its own, first held against PyTorch's own gradients one image at a time,
then timed once a round. A form that refuses a net, or computes something else, is listed with its own words. Times are
processor time an image, which other work on the machine adds little to; with --threads 1 that is what an idle
machine takes. Ours is the difference of two runs of `gradscore bench`, so that building the net is in neither.
Memory is the peak of the process.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import types
from pathlib import Path

from server import Server

# Net: side of its images; batches by form; images of one timing.
NETS = {'resnet34-cifar': (32, {'loop': 1, 'vmap': 8, 'opacus': 8, 'opacus-ghost': 8, 'backpack': 8}, 8),
        'bit-r101x1': (480, {'loop': 1, 'vmap': 1, 'opacus': 1, 'opacus-ghost': 1, 'backpack': 1}, 1)}


# ---- One form, in a process of its own --------------------------------------------------------------------------

def serve(a):
    import torch
    import norm_peers
    import torch_peer
    torch.set_num_threads(a.threads)
    size, batches, count = NETS[a.net[0]]
    form = a.serve.removeprefix('norms-')[:-3]
    peer = torch_peer.Peer(types.SimpleNamespace(device='cpu', batch=batches[form], dtype='f32', channels_last=False,
                                                 compile=False, method=a.serve, net=a.net[0]))
    torch.manual_seed(1)
    deviation = norm_peers.check(peer, a.serve, torch.randn(2, 3, a.check_size or size, a.check_size or size))
    images = torch.randn(count, 3, size, size)
    norm_peers.METHODS[a.serve](peer, images)
    torch_peer.reset_peak(peer)
    package = norm_peers.package_of(a.serve)
    print(json.dumps({'deviation': deviation, 'package': package or f'torch {torch.__version__}'}), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        norm_peers.METHODS[a.serve](peer, images)
        print(json.dumps({'seconds': (time.process_time() - start) / count, 'peak_MiB': torch_peer.peak_mib(peer)}),
              flush=True)


class Peer(Server):
    def __init__(self, a, net, method):
        command = [a.python, __file__, '--net', net, '--threads', str(a.threads), '--serve', method]
        if a.check_size:
            command += ['--check-size', str(a.check_size)]
        self.errors = open(a.errors / f'{net}-{method}.txt', 'w+')
        super().__init__(command, {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}, self.errors)

    def ended(self, code):
        return None

    def last_words(self):
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return lines[-1] if lines else f'ended with code {self.process.returncode}'

    def close(self):
        super().close()
        self.errors.close()


class Ours:
    def __init__(self, a, net, p):
        self.few, self.many = (16, 80) if net == 'resnet34-cifar' else (1, 3)
        self.command = [a.gradscore, 'bench', '--net', net, '--size', str(NETS[net][0]), '--threads', str(a.threads),
                        '--batch', str(16 if net == 'resnet34-cifar' else 1), '--methods', f'gradnorm:layers=all:p={p}',
                        '--json']
        self.facts = {'package': 'gradscore'}

    def processor_seconds(self, images):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*self.command, '--images', str(images)], stdout=subprocess.PIPE, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.loads(done.stdout)

    def run(self):
        few, _ = self.processor_seconds(self.few)
        many, result = self.processor_seconds(self.many)
        return {'seconds': (many - few) / (self.many - self.few), 'peak_MiB': result['peak_MiB']}

    def close(self):
        pass


# ---- All of them -------------------------------------------------------------------------------------------------

def run_net(a, net):
    import norm_peers
    contestants, refused = {}, {}
    for p in (1, 2):
        contestants[f'gradscore p{p}'] = Ours(a, net, p)
    for method in norm_peers.METHODS:
        if a.form and method.removeprefix('norms-')[:-3] not in a.form:
            continue
        print(f'{net}: starting {method} ...', file=sys.stderr)
        peer = Peer(a, net, method)
        if peer.facts is None:
            refused[method] = peer.last_words()
        else:
            contestants[method.removeprefix('norms-').replace('-p', ' p')] = peer
    seconds, peaks = {c: [] for c in contestants}, {c: 0 for c in contestants}
    for index in range(a.rounds):
        for label, contestant in list(contestants.items()):
            print(f'{net}: round {index + 1}/{a.rounds}, {label}', file=sys.stderr)
            result = contestant.run()
            seconds[label].append(result['seconds'])
            peaks[label] = max(peaks[label], result['peak_MiB'])
    for contestant in contestants.values():
        contestant.close()
    print_table(net, contestants, seconds, peaks, refused)


def print_table(net, contestants, seconds, peaks, refused):
    print(f'\n### {net}\n\n| form | batch | s an image | min | max | over gradscore, same p | peak MiB | deviation |\n'
          '|---|---|---|---|---|---|---|---|')
    for label, contestant in contestants.items():
        ours = seconds[f'gradscore {label[-2:]}']
        ratio = statistics.median(x / y for x, y in zip(seconds[label], ours))
        deviation = contestant.facts.get('deviation')
        batch = NETS[net][1].get(label[:-3], '')
        print(f'| {label} ({contestant.facts["package"]}) | {batch} | {statistics.median(seconds[label]):.3g} '
              f'| {min(seconds[label]):.3g} | {max(seconds[label]):.3g} | {ratio:.2f} | {peaks[label]:.0f} '
              f'| {"" if deviation is None else f"{deviation:.0e}"} |')
    for method, words in refused.items():
        print(f'\n`{method}` does not run: {words}')
    sys.stdout.flush()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--gradscore', help='the gradscore program')
    ap.add_argument('--python', default=sys.executable, help='a Python with torch, timm, opacus and backpack')
    ap.add_argument('--net', action='append', choices=NETS, help='default: all')
    ap.add_argument('--form', action='append', help='of norm_peers.py; default: all')
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--threads', type=int, default=1)
    ap.add_argument('--check-size', type=int, help='side of the images of the check, where the net takes any')
    ap.add_argument('--errors', type=Path, default=Path('.'), help='folder for what the forms say on stderr')
    ap.add_argument('--serve', help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.serve:
        return serve(a)
    if not a.gradscore:
        ap.error('--gradscore PROGRAM is needed')
    for net in a.net or NETS:
        run_net(a, net)


if __name__ == '__main__':
    main()
