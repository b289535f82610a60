#!/usr/bin/env bash
# Build the sdist and the wheel into dist/ and check both. PYTHON names an interpreter that has build and twine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-.venv/bin/python}
out=${1:-dist}

fail() {
    echo "build-dist: $1" >&2
    exit 1
}

# setuptools packs whatever lies in build/, deleted modules included.
rm -rf build "$out"
"$python" -m build --outdir "$out" .
"$python" -m twine check --strict "$out"/*

wheel=$("$python" -m zipfile --list "$out"/*.whl)
sdist=$("$python" -m tarfile --list "$out"/*.tar.gz)
for file in disdat/py.typed disdat/errors.py disdat/dockerizer/__init__.py licenses/LICENSE; do
    grep -q "$file" <<<"$wheel" || fail "the wheel lacks $file"
done
for file in pyproject.toml setup.py dockerizer/__init__.py disdat/py.typed tests/conftest.py; do
    grep -q "/$file" <<<"$sdist" || fail "the sdist lacks $file"
done
if grep -E '^(tests|bench|examples|docs|dockerizer)/' <<<"$wheel"; then
    fail "the wheel holds what is not the package's"
fi
ls -l "$out"
