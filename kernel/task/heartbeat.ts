// What the loop leaves for a watchdog in another thread (native/src/watchdog.rs) to see: whether it turns, and where it is.

const TURNS = 0;
const IS_WAITING = 1;
const TASK = 2;
const CALL = 3;
const WORDS = 4;

export class Heartbeat {
  /** Shared with the watchdog; boot puts it there. */
  words: Uint32Array = new Uint32Array(WORDS);

  /** A turn begins: nobody's call is being served. */
  turn(): void {
    this.words[TURNS]++;
    this.words[TASK] = 0;
  }

  /** The loop waits for something to happen, and need not turn. */
  beginWait(): void {
    this.words[IS_WAITING] = 1;
  }
  endWait(): void {
    this.words[IS_WAITING] = 0;
  }

  /** Call `number` of `tid` is being served; tid 0 = nobody's. */
  serve(tid: number, number: number): void {
    this.words[TASK] = tid;
    this.words[CALL] = number;
  }
}
