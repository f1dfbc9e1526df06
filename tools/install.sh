#!/bin/sh
# Set up .venv: this project in editable mode with its dev extra, at the versions of constraints.txt, and with the files
# whose hashes are in requirements.lock.
#
# Does nothing, silently and at once, if .venv is up to date; every make target that needs .venv runs it. Usage:
#
#   tools/install.sh [PYTHON]
#
# Without PYTHON, an existing .venv is updated with its own Python, and a new .venv is created with python3. If PYTHON
# has another version than .venv, .venv is created from scratch.
set -eu
cd "$(dirname "$0")/.."
log=.venv/install.log
stamp=.venv/installed # written last; without this file, .venv is created from scratch
other="choose another Python with make PYTHON=/path/to/python3.12"

fail() {
    echo "error in setting up .venv: $1" >&2
    exit 1
}

# Print the contents of the stamp for an up-to-date .venv: version of Python, folder, checksums.
state() {
    echo "$version $(pwd -P)"
    cksum pyproject.toml constraints.txt requirements.lock
}

is_ready() {
    [ -x .venv/bin/python ] && [ -f $stamp ] && [ "$(cat $stamp)" = "$(state)" ]
}

# Lock file descriptor 9 with flock(2), through Python, since macOS has no command for it. The lock is held until this
# script and all programs that it started have ended.
lock() {
    "$python" -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | $1)" 2>/dev/null
}

pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" >>$log 2>&1 && return
    reason=$(grep '^ERROR: ' $log | head -n 1)
    ! grep -q 'connection broken' $log || reason="$reason (check the network)"
    fail "pip failed: $reason; its output is in $log"
}

python=${1:-}
if [ -z "$python" ] && [ -x .venv/bin/python ] && [ -f $stamp ]; then
    python=.venv/bin/python
    read -r version _ <$stamp
else
    python=${python:-python3}
    command -v "$python" >/dev/null || fail "no Python at '$python': $other"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&1) ||
        fail "'$python' does not run: $other"
    # 3.11 is the requires-python of pyproject.toml
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python $version is too old, 3.11 or newer is needed: $other"
fi
! is_ready || exit 0

[ ! -e .venv ] || [ -e .venv.lock ] ||
    fail ".venv was not created by this script: move it away, or delete it with make clean"
exec 9>>.venv.lock
lock fcntl.LOCK_NB || { echo "Another process is setting up .venv; waiting for it ..." && lock 0; } || :
! is_ready || exit 0
start=$(date +%s)
if [ -f $stamp ] && [ "$(head -n 1 $stamp)" = "$version $(pwd -P)" ]; then
    echo "Updating .venv ..."
    rm $stamp
else
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python has no module venv or ensurepip: \
install it (Debian, Ubuntu: apt install python3-venv) or $other"
    echo "Setting up .venv (about two minutes, once) ..."
    output=$("$python" -m venv --clear .venv 2>&1) || fail "venv failed: $(echo "$output" | tail -n 1)"
fi
: >$log
# First all packages whose hashes are known, then torch, which is another file where it brings CUDA, and the project.
pip_install --no-deps --require-hashes --requirement requirements.lock
pip_install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
state >$stamp
echo "Done in $(($(date +%s) - start)) s."
