// A time in two parts, as guests and clocks have it: struct timespec as numbers.

export class TimeValue {
  seconds = 0;
  nanos = 0;
}
