#!/bin/sh
# Make .venv beside this script, if it is not there, and install this checkout into it, editable, with the
# extras named: ./bootstrap.sh dev,docs. Without a name it only makes .venv. PYTHON names the interpreter to use instead of
# the first that fits.
set -eu
cd "$(dirname "$0")"

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11 python
    fi
    for candidate; do
        # Asked to run, not only looked for: a version manager's stand-in may be on the path and lead nowhere.
        if fits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "disdat needs Python 3.11 or newer; none of these is: $*" >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3" >&2
    return 1
}

# Debian ships Python without what venv needs, in a package of its own.
ensure_venv() {
    if "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        return
    fi
    package=$(basename "$1")-venv
    install="apt-get update && apt-get install -y $package"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$1 cannot make a virtual environment: $package is not installed. Type this, then try again:" >&2
        echo "    sudo sh -c '$install'" >&2
        return 1
    fi
    echo "Installing $package"
    DEBIAN_FRONTEND=noninteractive sh -c "$install" </dev/null
}

if ! { fits .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    python=$(find_python)
    ensure_venv "$python"
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
if [ $# -eq 0 ]; then
    exit
fi
echo "Installing disdat[$1] and what it needs into .venv"
# Newer versions of pip show what setuptools thinks of editable installs, over ten lines, even if all is well.
PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --editable ".[$1]"

# An editable install is found after the current directory, where a clone named "disdat" would hide it.
.venv/bin/python - <<'PYTHON'
import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "disdat-checkout.pth").write_text(f"{pathlib.Path.cwd()}\n", encoding="utf-8")
PYTHON
