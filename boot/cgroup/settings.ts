// One value of a cgroup's file, as the two versions' lists (settings_v1.ts, settings_v2.ts) name them.

/** Processes and threads of ours that share a pids cgroup with the guests': of both runtimes, spare stubs, a controller. */
export const OWN_TASKS_MAX = 128;

export interface Setting {
  /** Whose value it is, for a message: "linux.resources.memory.limit". */
  readonly field: string;
  readonly controller: string;
  /** The first of these that the host has. */
  readonly files: readonly string[];
  readonly value: string;
}

/** What a file of the cgroup holds now; null = it cannot be read. */
export type ReadSetting = (controller: string, file: string) => string | null;

export const RESOURCES = "linux.resources";

/** A list of settings that leaves out what is not asked for. */
export class SettingList {
  readonly settings: Setting[] = [];

  /** 0 asks for nothing, as with runc, whose fields of Go are 0 where a document has none. */
  amount(
    field: string,
    controller: string,
    file: string | readonly string[],
    value: number | undefined,
    written: (value: number) => string = decimal,
  ): void {
    if (value !== undefined && value !== 0) this.add(field, controller, file, written(value));
  }

  add(field: string, controller: string, file: string | readonly string[], value: string): void {
    const files = typeof file === "string" ? [file] : file;
    this.settings.push({ field: `${RESOURCES}.${field}`, controller, files, value });
  }
}

/** Digits without an exponent, and no more than the host's kernel reads. */
export function decimal(value: number): string {
  return BigInt(Math.trunc(Math.min(value, Number.MAX_SAFE_INTEGER))).toString();
}
