#!/bin/sh
# Prints the first Python that can set up the project: at least 3.11, able to make a virtual environment.
# PYTHON in the environment is the only candidate, where it is set. Says what to install when there is none.
set -u

usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
seen=''

for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 python}; do
    path=$(command -v "$candidate") || continue
    if "$path" -c "$usable" 2>/dev/null; then
        echo "$path"
        exit 0
    fi
    version=$("$path" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
    case $version in
        2.* | 3.[0-9].* | 3.10.*) seen="$seen  $path is Python $version, too old\n" ;;
        *) seen="$seen  $path is Python $version, without venv (Debian, Ubuntu: apt-get install python3-venv)\n" ;;
    esac
done

{
    echo "This project needs Python 3.11 or newer, with venv. Found:"
    if [ -n "$seen" ]; then printf '%b' "$seen"; else echo "  no Python at all${PYTHON:+ at $PYTHON}"; fi
    echo "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or name yours: make PYTHON=/path/to/python3.12"
} >&2
exit 1
