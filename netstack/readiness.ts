// Readiness of endpoints: poll(2)'s bits, and whom to tell. The kernel's WaitQueue fits; a program of its own passes a
// plain object.

export const POLLIN = 0x001;
export const POLLPRI = 0x002;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLRDNORM = 0x040;
export const POLLWRNORM = 0x100;
export const POLLRDHUP = 0x2000;

/** Called with the events that have occurred; they may be over when it reads them. It must not call back into the stack. */
export interface ReadinessQueue {
  notify(events: number): void;
}

/** Nobody listens. */
export const NO_LISTENER: ReadinessQueue = { notify() {} };
