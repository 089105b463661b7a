"""Golden weights, inputs and true scores for the nets of torch_nets.py."""
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch

# Golden key and tolerance for deep nets in float32 (golden/README.md).
CHECKS = {'forward': ('logits', 1e-4), 'gradnorm-reference': ('score/gradnorm_T1', 1e-4),
          'gradnorm-best': ('score/gradnorm_T1', 1e-4), 'gradnorm-all-reference': ('gradnorm/param_l1', 5e-3),
          'gradnorm-all-vmap': ('gradnorm/param_l1', 5e-3), 'odin': ('score/odin_T1000_eps0.0014_log_cs', 2e-2),
          'input-gradient': ('odin_grad_T1000', 5e-2), 'gaia-z-reference': ('gaiaZ/score', 1e-3),
          'gaia-a-reference': ('gaiaA/score', 2e-2)}


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

    def check(self, peer, method, compute):
        """Largest deviation relative to the largest true value; raises where it is too large."""
        key, tolerance = CHECKS[method]
        got = compute(peer, peer.prepare(self.tensors['input'])).double()
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
