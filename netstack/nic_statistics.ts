// Counters of an interface, as /proc/net/dev has them (proc_pid_net(5)).

export class NicStatistics {
  receiveBytes = 0;
  receivePackets = 0;
  receiveErrors = 0;
  receiveDropped = 0;
  receiveMulticast = 0;
  sendBytes = 0;
  sendPackets = 0;
  sendErrors = 0;
  sendDropped = 0;
}
