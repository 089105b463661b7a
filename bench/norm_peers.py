"""Per-sample norms of weight gradients as other packages take them: methods of torch_peer.py.

    pip install torch timm opacus backpack-for-pytorch

Each maps (peer, images) to norms, one row an image, one column a weight: of p = 1 the sums of magnitudes, of p = 2
Euclidean norms. All of them see the same loss, GradNorm's, and only convolution and linear weights learn: frozen
norms ask for no gradient. Where a package refuses a net, its own error ends the program.
"""
import copy
import importlib.metadata

import torch
import torch.nn.functional as F


def uniform_loss(logits):
    return -F.log_softmax(logits, -1).sum(-1)


def learning_weights(peer):
    """A copy of the net of which only convolution and linear weights learn, and these, by name."""
    net = copy.deepcopy(peer.net)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in peer.weight_names)
    net.train()  # Opacus' hooks see nothing else
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return net, dict(net.named_parameters())


def loop(peer, images, p):
    net, parameters = learning_weights(peer)
    out = []
    for x in images.split(1):
        net.zero_grad()
        uniform_loss(net(x)).sum().backward()
        out.append([parameters[n].grad.norm(p).item() for n in peer.weight_names])
    return torch.tensor(out)


def vmap(peer, images, p):
    from torch.func import functional_call, grad, vmap as vectorised
    net, parameters = learning_weights(peer)
    learn = {n: parameters[n].detach() for n in peer.weight_names}
    constant = {n: v.detach() for n, v in [*net.named_parameters(), *net.named_buffers()] if n not in learn}

    def loss(weights, one):
        return uniform_loss(functional_call(net, (weights, constant), (one[None],)))[0]

    per_sample = vectorised(grad(loss), in_dims=(None, 0))
    out = []
    for x in images.split(peer.batch):
        gradients = per_sample(learn, x)
        out.append(torch.stack([gradients[n].flatten(1).norm(p, dim=1) for n in peer.weight_names], 1))
    return torch.cat(out)


def opacus(peer, images, p):
    """Its hooks keep the gradient of every sample."""
    from opacus import GradSampleModule
    if not hasattr(peer, 'opacus'):
        peer.opacus = GradSampleModule(learning_weights(peer)[0], loss_reduction='sum')
    out = []
    for x in images.split(peer.batch):
        peer.opacus.zero_grad()
        uniform_loss(peer.opacus(x)).sum().backward()
        parameters = dict(peer.opacus._module.named_parameters())
        out.append(torch.stack([parameters[n].grad_sample.flatten(1).norm(p, dim=1) for n in peer.weight_names], 1))
    return torch.cat(out)


def opacus_ghost(peer, images, p):
    """Ghost clipping's first pass: norms without the gradients where it has a rule for the layer."""
    assert p == 2
    from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
    if not hasattr(peer, 'opacus'):
        peer.opacus = GradSampleModuleFastGradientClipping(learning_weights(peer)[0], loss_reduction='sum',
                                                           max_grad_norm=1.0, use_ghost_clipping=True)
    out = []
    for x in images.split(peer.batch):
        peer.opacus.zero_grad()
        uniform_loss(peer.opacus(x)).sum().backward()
        parameters = dict(peer.opacus._module.named_parameters())
        out.append(torch.stack([parameters[n]._norm_sample for n in peer.weight_names], 1).detach())
    return torch.cat(out)


def backpack(peer, images, p):
    assert p == 2
    from backpack import backpack as extended, extend
    from backpack.extensions import BatchL2Grad
    if not hasattr(peer, 'backpack'):
        peer.backpack = extend(learning_weights(peer)[0])
    out = []
    for x in images.split(peer.batch):
        peer.backpack.zero_grad()
        with extended(BatchL2Grad()):
            uniform_loss(peer.backpack(x)).sum().backward()
        parameters = dict(peer.backpack.named_parameters())
        out.append(torch.stack([parameters[n].batch_l2.sqrt() for n in peer.weight_names], 1))
    return torch.cat(out)


FORMS = {'loop': (loop, (1, 2), None), 'vmap': (vmap, (1, 2), None), 'opacus': (opacus, (1, 2), 'opacus'),
         'opacus-ghost': (opacus_ghost, (2,), 'opacus'), 'backpack': (backpack, (2,), 'backpack-for-pytorch')}
METHODS = {f'norms-{name}-p{p}': (lambda peer, images, form=form, p=p: form(peer, images, p).detach().cpu())
           for name, (form, exponents, _) in FORMS.items() for p in exponents}
TOLERANCE = 5e-3  # float32 gradients of nets whose ReLUs flip, relative to each layer's largest norm


def package_of(method):
    """'opacus 1.6.0', or None for PyTorch itself."""
    package = FORMS[method.removeprefix('norms-')[:-3]][2]
    return package and f'{package} {importlib.metadata.version(package)}'


def check(peer, method, images):
    """Two images' norms against one at a time with PyTorch's own gradients; raises where they differ."""
    want = loop(peer, images, int(method[-1]))
    got = METHODS[method](peer, images)
    deviation = ((got - want).abs() / want.abs().amax(0).clamp(min=1e-30)).amax().item()
    if not deviation <= TOLERANCE:
        raise SystemExit(f'{method}: norms deviate from the loop\'s by {deviation:.1e} of the largest')
    return deviation
