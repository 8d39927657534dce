#!/bin/sh
# Starts tsvisor's command line with the runtime beside it, whatever the caller's directory, PATH and environment.
self=$0
case $self in
  /*) ;;
  */*) self=$PWD/$self ;;
  *) self=$(command -v -- "$self") ;;
esac
if [ -L "$self" ]; then self=$(readlink -f -- "$self"); fi
lib=${self%/*}/lib
export TSVISOR_CALLER_DENO_DIR="${DENO_DIR-}" TSVISOR_CALLER_DENO_NO_UPDATE_CHECK="${DENO_NO_UPDATE_CHECK-}"
export TSVISOR_NATIVE="$lib/libtsvisor_native.so" DENO_NO_UPDATE_CHECK=1 DENO_DIR="$lib/cache"
exec "$lib/deno" run --quiet --no-prompt --no-config --no-lock --no-remote --no-npm --no-check -A "$lib/cli.js" "$@"
