"""The nets that torch_peer.py runs, with random weights."""
import torch
import torch.nn as nn
import torch.nn.functional as F

SIZES = {'resnet34-cifar': 32, 'bit-r50x1': 480, 'bit-r101x1': 480, 'resnet50': 224, 'mobilenet-v2': 224}


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
