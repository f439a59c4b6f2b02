#!/usr/bin/env bash
# Builds the kernels with AddressSanitizer and UndefinedBehaviorSanitizer and runs their tests. Needs gcc, on Linux.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/source"
cd "$root"
cp -r setup.py pyproject.toml MANIFEST.in README.md LICENSE tests "$work/source"
tar -cf - --exclude='*.so' --exclude=__pycache__ fluidlite | tar -xf - -C "$work/source"

"$python" -m venv "$work/env"
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
cd "$work/source"
CC=gcc CFLAGS="$flags" LDFLAGS="$flags" FLUIDLITE_DEBUG=1 "$work/env/bin/pip" install -q -e . pytest hypothesis
# What a sanitizer finds it writes to descriptor 2 and ends the process, so pytest may not hold that back.
# Python itself is not built with the sanitizers, so their libraries have to be there first, and its own leaks to be let be.
libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
env LD_PRELOAD="$libraries" ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
    "$work/env/bin/python" -m pytest -q -p no:cacheprovider --capture=sys tests/kernels
