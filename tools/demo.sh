#!/usr/bin/env bash
# The main job end to end on data that the project makes itself: draws images as files, scores them with a small
# CIFAR ResNet, shows the table. usage: tools/demo.sh FOLDER (replaced); BUILD names the build folder.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-demo-out}
build=${BUILD:-build}

rm -rf "$out"
mkdir -p "$out"
echo "Drawing images: ten classes of figures, textures and unseen figures"
"$build/tools/gradscore-draw-demo" "$out/images" --seed 2026 --id-per-class 60 --ood 300
command=("$build/tools/gradscore" score --weights demo/resnet8_shapes.safetensors
  --id "figures=folder:$out/images/id"
  --ood "textures=folder:$out/images/ood-textures" --ood "unseen=folder:$out/images/ood-shapes"
  --methods msp,maxlogit,energy,odin:temperature=1000:epsilon=0.0014,gradnorm
  --out "$out/run")
echo
echo "${command[*]}"
echo
"${command[@]}"
