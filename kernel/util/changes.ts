// Changes of something that files of /proc show: who polls such a file hears of each. Linux: poll_event of struct
// mnt_namespace, struct ctl_table_poll.

import { POLLERR, POLLPRI } from "../abi/file.ts";
import { WaitQueue } from "./wait_queue.ts";

export class Changes {
  /** How many there have been. */
  count = 0;
  readonly queue = new WaitQueue();

  tell(): void {
    this.count++;
    this.queue.notify(POLLPRI | POLLERR);
  }
}
