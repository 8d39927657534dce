// How strace writes: for who asks for it, without the kernel.

export interface StraceStyle {
  readonly isJson: boolean;
  /** Characters of a string or buffer that are written. */
  readonly textMax: number;
}

/** As strace(1). */
export const STRACE_TEXT_MAX = 32;
