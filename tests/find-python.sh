#!/bin/sh
# Prints a Python of version 3.11 or newer that can make virtual environments: $PYTHON, or the first on PATH.
# Where there is none, says what is missing and the command that gets it.

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  command -v "$python" >/dev/null 2>&1 && is_new_enough "$python" || continue
  if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "$python"
    exit 0
  fi
  without_venv=$python
done

if [ -n "$without_venv" ]; then
  version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  echo "$without_venv cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python$version-venv" >&2
else
  echo "Python 3.11 or newer is needed, and none is on PATH. On Debian or Ubuntu: sudo apt-get install python3 python3-venv;" \
    "on Fedora: sudo dnf install python3; on macOS: brew install python. A Python elsewhere: make PYTHON=/path/to/python3 …" >&2
fi
exit 1
