"""Set up .venv: this project in editable mode with its dev extra, at the versions of constraints.txt.

Quiet and instant when nothing is to do; run by every make target that needs it. Only the standard library. Python 2.7
must be able to read this file too: it is here that an old Python is told what is wrong.
"""

from __future__ import print_function

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

OLDEST = (3, 11)  # as requires-python in pyproject.toml
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
LOG = os.path.join(VENV, "install.log")
STAMP = os.path.join(VENV, "installed")  # written last: without it the set-up is not whole


class Failure(Exception):
    """Ends the set-up; its text is the one line that the user sees."""


class Stopped(BaseException):
    """A signal to stop; its argument is the number."""


def main():
    """Set up .venv unless it is ready; return the exit code."""
    try:
        if sys.version_info < OLDEST:
            raise Failure(
                "Python {}.{} is too old, {}.{} or newer is needed: "
                "name one with make PYTHON=/path/to/python3.12".format(*(sys.version_info[:2] + OLDEST))
            )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if read_stamp() != wanted_stamp():
            with open(os.path.join(ROOT, ".venv.lock"), "a") as lock_file:
                lock(lock_file)
                set_up()
    except Failure as failure:
        return complain(str(failure), 1)
    except OSError as error:
        return complain("{}: {}; put that right and try again".format(error.filename or VENV, error.strerror), 1)
    except Stopped as stopped:
        return complain("interrupted: the next call starts over", 128 + stopped.args[0])
    return 0


def stop(number, _frame):
    """Turn a signal into an exception."""
    raise Stopped(number)


def complain(message, code):
    """Print the one line on stderr and return the exit code."""
    print("set-up of .venv: " + " ".join(message.split()), file=sys.stderr)
    return code


def wanted_stamp():
    """Two lines: which Python and folder the .venv is for, and the digest of the files that say what is in it."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return ["{}.{} {}".format(sys.version_info[0], sys.version_info[1], ROOT), digest.hexdigest()]


def read_stamp():
    """Return the lines of the stamp, none if .venv is not whole."""
    if not (os.path.isfile(STAMP) and os.path.exists(PYTHON)):
        return []
    with open(STAMP) as file:
        return file.read().splitlines()


def lock(file):
    """Wait until no other process sets up this .venv.

    pip inherits the lock, so one whose parent was killed is waited for too.
    """
    if not try_lock(file):
        say("Another process is setting up .venv; waiting for it ...")
        while not try_lock(file):
            time.sleep(0.2)
    os.set_inheritable(file.fileno(), True)


def try_lock(file):
    """Lock the file; return whether that worked."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks
    return True


def set_up():
    """Make or renew .venv, unless the process that held the lock before has done so."""
    wanted, found = wanted_stamp(), read_stamp()
    if found == wanted:
        return
    start = time.time()
    if found[:1] == wanted[:1]:
        say("Updating .venv ...")
        os.remove(STAMP)
    else:
        create()
    pip("hatchling", "editables")  # the project is built with the locked ones, not with the newest
    pip("--no-build-isolation", "--editable", ".[dev]")
    run("compileall", PYTHON, "-m", "compileall", "-q", "rnn_tasks")  # as pip does with all else that it installs
    with open(STAMP + ".part", "w") as file:
        file.write("\n".join(wanted) + "\n")
    os.replace(STAMP + ".part", STAMP)
    say("Done in {:.0f} s.".format(time.time() - start))


def create():
    """Make an empty .venv with pip, in place of what an earlier call left behind."""
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            raise Failure(
                "this Python has no module {}: install it (Debian, Ubuntu: apt install python3-venv) "
                "or name another Python with make PYTHON=/path/to/python3".format(module)
            )
    if os.path.islink(VENV) or (os.path.isdir(VENV) and os.listdir(VENV) and not os.path.exists(LOG)):
        raise Failure("{} exists and is not ours: move it away, or delete it with make clean".format(VENV))
    say("Setting up .venv (about two minutes, once) ...")
    if os.path.exists(VENV):
        shutil.rmtree(VENV)
    os.mkdir(VENV)
    with open(LOG, "w"):
        pass  # marks the folder as ours from the start
    # Inside another virtual environment (our own .venv, when it is renewed) the Python below it.
    base = getattr(sys, "_base_executable", None) or sys.executable
    # Two steps, for venv hides the output of a failing ensurepip.
    run("venv", base, "-m", "venv", "--without-pip", VENV)
    run("ensurepip", PYTHON, "-m", "ensurepip", "--upgrade", "--default-pip")


def pip(*arguments):
    """Install into .venv under the constraints."""
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--constraint", "constraints.txt")
    run("pip", PYTHON, "-m", "pip", "install", *(options + arguments))


def run(name, *command):
    """Run a command, its output to the log; a failure is told by the last line that says what went wrong."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False)
    try:
        output = process.communicate()[0].decode("utf-8", "replace")
    except BaseException:
        process.terminate()
        process.wait()
        raise
    with open(LOG, "a") as log:
        print("$ " + " ".join(command), output, sep="\n", file=log)
    if process.returncode:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        # "error:" and a sentence; not a code such as metadata-generation-failed, nor that there was another error
        errors = [line for line in lines if re.match(r"[\w.]*error: \S+ \S", line, re.IGNORECASE)]
        causes = [line for line in errors if not re.search("CalledProcessError|ResolutionImpossible", line)]
        reason = (causes or lines or ["exit code {}".format(process.returncode)])[-1]
        hint = " (is there a network?)" if "connection broken" in output else ""
        raise Failure("{} failed: {}{}; all of it is in .venv/install.log".format(name, reason, hint))


def say(message):
    """Print a line at once, for a person who waits."""
    print(message)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
