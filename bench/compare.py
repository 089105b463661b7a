#!/usr/bin/env python3
"""gradscore against PyTorch, interleaved in one run.

    pip install torch timm torchvision safetensors
    make build && python bench/compare.py --gradscore build/tools/gradscore
    python bench/compare.py --gradscore build/tools/gradscore --device cuda --precision bf16

Every round runs each contestant of a case once, so that a busy moment of the machine falls on all of them alike; a
ratio is taken within each round, and its median over the rounds is printed. All contestants, ours (`gradscore bench
--serve`) and the PyTorch forms (torch_peer.py), are servers that stay up: start-up, compilation and warm-up are not timed. On a GPU both sides start from float32 images in the host's memory. With --golden DIR each PyTorch
form must meet golden scores before it is timed. A case that fails leaves the others their turn; the exit code is then 1.
Memory: on the CPU the peak of resident memory; on a GPU what PyTorch allocated, and our plan's arena.

Prints Markdown tables; --out writes everything as JSON too.
"""
import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from server import Server

PEER = Path(__file__).resolve().parent / 'torch_peer.py'
ODIN = 'odin:temperature=1000:epsilon=0.0014'
GRADNORM_ALL = 'gradnorm:layers=all'
SIX = 'msp,maxlogit,energy,gradnorm,gaia-a,gaia-z'

# Case: net, then contestants. Ours are (methods, images); PyTorch's are torch_peer.py's arguments. Images of a
# repetition are few, a second or some: more rounds see more of the machine than longer ones do.
CASES = {
    'bit-r101x1': {
        'net': 'bit-r101x1', 'size': 480,
        'ours': {'forward': ('forward', 8), 'gradnorm': ('gradnorm', 8)},
        'torch': {
            'gradnorm-best compiled, channels_last, batch 4':
                'gradnorm-best --compile --channels-last --batch 4 --images 8',
            'gradnorm-best compiled, channels_last, batch 8':
                'gradnorm-best --compile --channels-last --batch 8 --images 8',
            'forward eager, batch 8': 'forward --batch 8 --images 8',
            'gradnorm published loop': 'gradnorm-reference --images 2'}},
    'resnet34-cifar': {
        'net': 'resnet34-cifar', 'size': 32,
        'ours': {'forward': ('forward', 256), 'gradnorm': ('gradnorm', 256)},
        'torch': {
            'forward compiled, batch 64': 'forward --compile --batch 64 --images 256',
            'forward compiled, channels_last, batch 64': 'forward --compile --channels-last --batch 64 --images 256',
            'forward eager NCHW, batch 64': 'forward --batch 64 --images 128',
            'forward eager channels_last, batch 64': 'forward --channels-last --batch 64 --images 128'}},
    'resnet34-cifar-odin': {
        'net': 'resnet34-cifar', 'size': 32,
        'ours': {'odin': (ODIN, 128)},
        'torch': {
            'odin channels_last, batch 64': 'odin --channels-last --batch 64 --images 128',
            'odin NCHW, batch 64': 'odin --batch 64 --images 128'}},
    'resnet34-cifar-gaia': {
        'net': 'resnet34-cifar', 'size': 32,
        'ours': {'gaia-z': ('gaia-z', 128), 'gaia-a': ('gaia-a', 128)},
        'torch': {
            'gaia-z published, batch 64': 'gaia-z-reference --batch 64 --images 64',
            'gaia-a published, batch 64': 'gaia-a-reference --batch 64 --images 64'}},
    'resnet34-cifar-gradnorm-all': {
        'net': 'resnet34-cifar', 'size': 32,
        'ours': {'gradnorm all, p 1': (GRADNORM_ALL, 64), 'gradnorm all, p 2': (GRADNORM_ALL + ':p=2', 64)},
        'torch': {
            'gradnorm-all published loop': 'gradnorm-all-reference --images 16',
            'gradnorm-all vmap, batch 8': 'gradnorm-all-vmap --batch 8 --images 8'}},
    'bit-r101x1-gradnorm-all': {
        'net': 'bit-r101x1', 'size': 480,
        'ours': {'gradnorm all, p 1': (GRADNORM_ALL, 2), 'gradnorm all, p 2': (GRADNORM_ALL + ':p=2', 2)},
        'torch': {'gradnorm-all published loop': 'gradnorm-all-reference --images 2'}},
    # What a set of scores costs beside its dearest member.
    'resnet34-cifar-seven': {
        'net': 'resnet34-cifar', 'size': 32,
        'ours': {**{name: (name, 128) for name in ('gaia-z', 'gaia-a', 'nac', 'nac:layers=avgpool')},
                 'seven, pooled nac': (SIX + ',nac:layers=avgpool', 128), 'seven, four-layer nac': (SIX + ',nac', 128)},
        'torch': {}},
    'bit-r101x1-seven': {
        'net': 'bit-r101x1', 'size': 480,
        'ours': {**{name: (name, 4) for name in ('gaia-z', 'gaia-a', 'nac:variant=v1')},
                 'seven': (SIX + ',nac:variant=v1', 4)},
        'torch': {}},
}

# On a GPU: batches as large as both sides like them, images a multiple of the batch. The dearest to start come last.
GPU_CASES = {
    'resnet34-cifar': {
        'net': 'resnet34-cifar', 'size': 32, 'batch': 1024,
        'ours': {'forward': ('forward', 8192), 'gradnorm': ('gradnorm', 8192)},
        'torch': {
            'forward eager, channels_last': 'forward --channels-last --batch 1024 --images 8192',
            'gradnorm published loop': 'gradnorm-reference --images 32'}},
    'resnet34-cifar-gradients': {
        'net': 'resnet34-cifar', 'size': 32, 'batch': 512,
        'ours': {'odin': (ODIN, 4096), 'gaia-z': ('gaia-z', 4096), 'gaia-a': ('gaia-a', 4096)},
        'torch': {
            'odin, channels_last': 'odin --channels-last --batch 512 --images 4096',
            'gaia-z published': 'gaia-z-reference --batch 512 --images 4096',
            'gaia-a published': 'gaia-a-reference --batch 512 --images 4096'}},
    'bit-r101x1': {
        'net': 'bit-r101x1', 'size': 480, 'batch': 64,
        'ours': {'forward': ('forward', 256), 'gradnorm': ('gradnorm', 256)},
        'torch': {
            'gradnorm published loop': 'gradnorm-reference --images 16',
            'gradnorm-best eager, channels_last': 'gradnorm-best --channels-last --batch 64 --images 256'}},
    'bit-r101x1-compiled': {
        'net': 'bit-r101x1', 'size': 480, 'batch': 64,
        'ours': {'forward': ('forward', 256), 'gradnorm': ('gradnorm', 256)},
        'torch': {
            'gradnorm-best compiled, channels_last':
                'gradnorm-best --compile --channels-last --batch 64 --images 256'}},
    'resnet34-cifar-gradnorm-all': {
        'net': 'resnet34-cifar', 'size': 32, 'batch': 256,
        'ours': {'gradnorm all, p 1': (GRADNORM_ALL, 1024), 'gradnorm all, p 2': (GRADNORM_ALL + ':p=2', 1024)},
        'torch': {
            'gradnorm-all published loop': 'gradnorm-all-reference --images 16',
            'gradnorm-all vmap, batch 64': 'gradnorm-all-vmap --batch 64 --images 128'}},
    'bit-r101x1-gradnorm-all': {
        'net': 'bit-r101x1', 'size': 480, 'batch': 32,
        'ours': {'gradnorm all, p 1': (GRADNORM_ALL, 64), 'gradnorm all, p 2': (GRADNORM_ALL + ':p=2', 64)},
        'torch': {'gradnorm-all published loop': 'gradnorm-all-reference --images 16'}},
    'resnet34-cifar-compiled': {
        'net': 'resnet34-cifar', 'size': 32, 'batch': 1024,
        'ours': {'forward': ('forward', 8192)},
        'torch': {'forward compiled, channels_last':
                  'forward --compile --channels-last --batch 1024 --images 8192'}},
}


class Torch(Server):
    """A torch_peer.py that waits for `run`."""

    def __init__(self, a, case, arguments):
        command = [a.python, str(PEER), case['net'], *shlex.split(arguments), '--size', str(case['size']),
                   '--threads', str(a.threads), '--dtype', a.precision, '--serve']
        if a.golden:
            command += ['--golden', a.golden]
        environment = dict(os.environ)
        if on_gpu(a):
            command += ['--device', a.device]
        else:
            environment['CUDA_VISIBLE_DEVICES'] = ''
        super().__init__(command, environment)


class Ours(Server):
    """A `gradscore bench` that waits for `run`; it chooses its own micro-batches."""

    def __init__(self, a, case, methods, images):
        command = [a.gradscore, 'bench', '--net', case['net'], '--size', str(case['size']), '--images', str(images),
                   '--methods', methods, '--threads', str(a.threads), '--precision', a.precision, '--serve']
        self.memory = 'peak_MiB'
        if on_gpu(a):
            command += ['--device', a.device, '--batch', str(case['batch'])]
            self.memory = 'arena_mib'
        super().__init__(command, None)

    def run(self):
        result = super().run()
        return {**result, 'peak_MiB': round(result[self.memory])}


def summary(values):
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values), 'values': values}


def on_gpu(a):
    return a.device.startswith('cuda')


def cases_of(a):
    return GPU_CASES if on_gpu(a) else CASES


def run_case(a, name):
    case = cases_of(a)[name]
    contestants = {}
    try:
        for label, arguments in case['torch'].items():
            print(f'{name}: starting torch {label} ...', file=sys.stderr)
            contestants[f'torch {label}'] = Torch(a, case, arguments)
        if a.gradscore:
            for label, arguments in case['ours'].items():
                contestants[f'gradscore {label}'] = Ours(a, case, *arguments)
        rates, peaks = {c: [] for c in contestants}, {c: 0 for c in contestants}
        for index in range(a.rounds):
            print(f'{name}: round {index + 1}/{a.rounds}', file=sys.stderr)
            for label, contestant in contestants.items():
                result = contestant.run()
                rates[label].append(result['images_per_s'])
                peaks[label] = max(peaks[label], result['peak_MiB'])
    finally:
        for contestant in contestants.values():
            contestant.close()
    ratios = {f'{ours} / {theirs}': summary([x / y for x, y in zip(rates[ours], rates[theirs])])
              for ours in rates for theirs in rates
              if ours != theirs and ours.startswith('gradscore') and
              (theirs.startswith('torch') or list(rates).index(theirs) < list(rates).index(ours))}
    return {'case': name, 'net': case['net'], 'size': case['size'],
            'contestants': {c: {'images_per_s': summary(rates[c]), 'peak_MiB': peaks[c],
                                'facts': contestants[c].facts} for c in contestants},
            'ratios': ratios}


def checked(facts):
    found = facts.get('checked')
    return f'{found["deviation"]:.0e} of {found["golden"]}' if found else ''


def print_tables(result):
    print(f'\n### {result["case"]}: {result["net"]} at {result["size"]}\n')
    print('| contestant | images/s, median | min | max | peak MiB | golden deviation |\n|---|---|---|---|---|---|')
    for label, c in result['contestants'].items():
        r = c['images_per_s']
        print(f'| {label} | {r["median"]:.3g} | {r["min"]:.3g} | {r["max"]:.3g} | {c["peak_MiB"]} '
              f'| {checked(c["facts"])} |')
    if result['ratios']:
        print('\n| ratio within a round | median | min | max |\n|---|---|---|---|')
    for label, r in result['ratios'].items():
        print(f'| {label} | {r["median"]:.2f} | {r["min"]:.2f} | {r["max"]:.2f} |')


def cpu_name():
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next(line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor()


def gpu_name():
    query = ['nvidia-smi', '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader']
    return subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().replace('\n', '; ')


def parse_arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--gradscore', help='the gradscore program; without it only PyTorch is measured')
    ap.add_argument('--python', default=sys.executable, help='a Python with torch, timm and torchvision')
    ap.add_argument('--device', default='cpu', help='cpu or cuda[:N]')
    ap.add_argument('--precision', default='f32', choices=('f32', 'tf32', 'bf16'), help='of both; tf32 on a GPU only')
    ap.add_argument('--case', action='append', help='default: all of ' + ', '.join(dict.fromkeys([*CASES, *GPU_CASES])))
    ap.add_argument('--golden', help='folder of golden files: check the PyTorch forms before timing them')
    ap.add_argument('--rounds', type=int, default=7)
    ap.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument('--out', type=Path, help='write the results as JSON')
    a = ap.parse_args()
    for name in a.case or []:
        if name not in cases_of(a):
            ap.error(f'--case {name}: on this device there are {", ".join(cases_of(a))}')
    if not on_gpu(a) and a.precision == 'tf32':
        ap.error('--precision tf32 is for --device cuda')
    return a


def main():
    a = parse_arguments()
    results = {'cpu': cpu_name(), 'threads': a.threads, 'rounds': a.rounds, 'cases': []}
    if on_gpu(a):
        results.update({'gpu': gpu_name(), 'precision': a.precision})
        print(f'{results["gpu"]}, {a.precision}')
    print(f'{results["cpu"]}, {a.threads} threads, {a.rounds} rounds')
    failed = False
    for name in a.case or cases_of(a):
        try:
            result = run_case(a, name)
        except SystemExit as ended:  # a contestant's; the other cases have their turn
            print(ended, file=sys.stderr, flush=True)
            failed = True
            continue
        results['cases'].append(result)
        print_tables(result)
        sys.stdout.flush()
        if a.out:
            a.out.write_text(json.dumps(results, indent=1) + '\n')
    return failed


if __name__ == '__main__':
    sys.exit(main())
