// To whom a signal of the control API goes. The numbers are gVisor's SignalDeliveryMode.

export const SIGNAL_MODE = {
  /** The process of the PID; 0 = the container's init. */
  DeliverToProcess: 0,
  /** Every process of the container; the PID is 0. */
  DeliverToAllProcesses: 1,
  /** The foreground group of the terminal that the process has. */
  DeliverToForegroundProcessGroup: 2,
  /** The process group of the process. */
  DeliverToProcessGroup: 3,
} as const;

const NAMES: readonly string[] = ["Process", "All", "Foreground Process Group", "Process Group"];

/** Its text. */
export function describeSignalMode(mode: number): string {
  return NAMES[mode] ?? `unknown signal delivery mode: ${mode}`;
}
