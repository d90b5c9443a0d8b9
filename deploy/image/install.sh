#!/bin/sh
# Installs what `evergreen serve` needs into a folder, from a checkout: install.sh CHECKOUT PLACE [LOCK].
# requirements.lock as LOCK: what every command needs, for `evergreen stream run`.
# Every package is from a lock and has its hash checked. Run it again to update; PYTHON names another Python 3.11.
set -eu
checkout=$1
place=$2
lock=${3:-"requirements-serve.lock"}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools="$work/tools/bin"

# uv installs, setuptools builds our wheel; neither stays.
"${PYTHON:-python3.11}" -m venv "$work/tools"
awk '/^[^ #]/ { wanted = /^(uv|setuptools)==/ } wanted' "$checkout/requirements.lock" > "$work/tools.txt"
"$tools/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$work/tools.txt"

# From a copy, as a build writes beside what it reads.
mkdir "$work/source"
cd "$checkout"
cp -R LICENSE README.md pyproject.toml orchestration assets serving jobs "$work/source"
"$tools/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w "$work/wheel" "$work/source"

"$tools/uv" venv --quiet --allow-existing --python "${PYTHON:-python3.11}" "$place"
"$tools/uv" pip sync --quiet --python "$place/bin/python" --require-hashes --compile-bytecode "$lock"
"$tools/uv" pip install --quiet --python "$place/bin/python" --no-deps --compile-bytecode "$work"/wheel/*.whl
