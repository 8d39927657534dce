// Host descriptors the kernel waits on: stdio, the control socket. A cookie is an index into kernel.hostFdListeners.

import type { HostFdListener, Kernel } from "../kernel.ts";

/** Watches `fd` for poll `events` (level-triggered) and tells `listener` in the kernel's turn. Its cookie. */
export function watchHostFd(kernel: Kernel, fd: number, events: number, listener: HostFdListener): number {
  let cookie = kernel.hostFdListeners.indexOf(null);
  if (cookie < 0) cookie = kernel.hostFdListeners.length;
  kernel.hostFdListeners[cookie] = listener;
  kernel.platform.watch(fd, events, cookie);
  return cookie;
}

/** Changes what a watched descriptor is waited for; 0 = not now. */
export function changeHostFdWatch(kernel: Kernel, fd: number, cookie: number, events: number): void {
  kernel.platform.watch(fd, events, cookie);
}

export function unwatchHostFd(kernel: Kernel, fd: number, cookie: number): void {
  kernel.platform.watch(fd, 0, cookie);
  kernel.hostFdListeners[cookie] = null;
}
