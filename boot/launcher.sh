#!/bin/sh
# Starts tsvisor's command line with the runtime beside this file, whatever the caller's directory, PATH and environment.
self=$0
case $self in
  /*) ;;
  */*) self=$PWD/$self ;;
  *) self=$(command -v -- "$self") ;;
esac
if [ -L "$self" ]; then self=$(readlink -f -- "$self"); fi
here=${self%/*}
export TSVISOR_NATIVE="$here/libtsvisor_native.so" DENO_NO_UPDATE_CHECK=1 DENO_DIR="$here/cache"
exec "$here/deno" run --quiet --no-prompt --no-config --no-lock --no-remote --no-npm --no-check -A "$here/cli.js" "$@"
