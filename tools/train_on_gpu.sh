#!/bin/sh
# A long training on all GPUs of this machine: first one batch by heart, then the run, gone on with after every
# interruption until it is complete.
#
#   tools/train_on_gpu.sh OUT TASK [ARGUMENTS of monocap train…]
#   tools/train_on_gpu.sh runs/tokenizer prior tokenizer --official-size --data corpus
#
# MONOCAP (monocap), DEVICES (auto), PRECISION (bf16-mixed), OVERFIT (100 steps; 0: leave it out), TRIES (20) and
# EXTRA (--pieces) can be set from outside.
set -u
[ $# -ge 2 ] || { sed -n '2,9p' "$0" | sed 's/^# \{0,1\}//'; exit 2; }
out=$1
shift
: "${MONOCAP:=monocap}" "${DEVICES:=auto}" "${PRECISION:=bf16-mixed}" "${OVERFIT:=100}" "${TRIES:=20}"
: "${EXTRA=--pieces}"
command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,memory.total --format=csv,noheader >&2

if [ "$OVERFIT" -gt 0 ] && [ ! -f "$out/checkpoint.ckpt" ]; then
    # shellcheck disable=SC2086
    $MONOCAP train "$@" -o "$out/overfit" --devices 1 --precision "$PRECISION" --overfit "$OVERFIT" || exit $?
fi

try=1
while :; do
    before=$(cksum "$out/checkpoint.ckpt" 2> /dev/null)
    # shellcheck disable=SC2086
    $MONOCAP train "$@" -o "$out" --devices "$DEVICES" --precision "$PRECISION" $EXTRA --resume
    status=$?
    [ $status -eq 0 ] && exit 0
    [ $status -eq 2 ] && exit 2 # wrong arguments or data: a second try ends the same way
    [ $status -eq 130 ] && exit 130
    after=$(cksum "$out/checkpoint.ckpt" 2> /dev/null)
    if [ "$before" = "$after" ]; then
        echo "train_on_gpu.sh: no step forward since the last try (status $status)" >&2
        exit 1
    fi
    try=$((try + 1))
    [ "$try" -le "$TRIES" ] || { echo "train_on_gpu.sh: given up after $TRIES tries" >&2; exit 1; }
    echo "train_on_gpu.sh: cut short (status $status); going on, try $try" >&2
done
