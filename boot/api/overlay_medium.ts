// What lies above a mount of host files and takes its changes: nothing, memory of the sandbox, or a file of the host.

export const OverlayMedium = {
  NoOverlay: 0,
  /** tmpfs in the sandbox's memory. */
  MemoryMedium: 1,
  /** tmpfs whose memory is a file in the mount's own source directory. */
  SelfMedium: 2,
  /** The same with a file in another directory, unlinked at once. */
  AnonDirMedium: 3,
} as const;
export type OverlayMedium = typeof OverlayMedium[keyof typeof OverlayMedium];

const SelfOverlayFilestorePrefix = ".gvisor.overlay.img.";

export function isEnabled(medium: OverlayMedium): boolean {
  return medium !== OverlayMedium.NoOverlay;
}

export function isBackedByHostFile(medium: OverlayMedium): boolean {
  return medium === OverlayMedium.SelfMedium || medium === OverlayMedium.AnonDirMedium;
}

/** The file of a mount of `source` in sandbox `sandboxId`. */
export function selfOverlayFilestorePath(source: string, sandboxId: string): string {
  return `${source === "/" ? "" : source}/${SelfOverlayFilestorePrefix}${sandboxId}`;
}

/** A flag that is given once or several times: media of gofer mounts, the root's first, as numbers with commas. */
export class OverlayMediumFlags {
  #media: OverlayMedium[] = [];

  /** Appends those of "1,0,2". Throws, and appends none, where one is no medium. */
  set(text: string): void {
    const media = text.split(",").map((word) => {
      const medium = /^\d$/.test(word) ? Number(word) : -1;
      if (medium < OverlayMedium.NoOverlay || medium > OverlayMedium.AnonDirMedium) {
        throw new Error(`invalid OverlayMedium value "${word}"`);
      }
      return medium as OverlayMedium;
    });
    this.#media.push(...media);
  }

  get(): readonly OverlayMedium[] {
    return this.getArray();
  }

  getArray(): readonly OverlayMedium[] {
    return [...this.#media];
  }

  toString(): string {
    return toOverlayMediumFlags(this.#media);
  }
}

/** What set() reads. */
export function toOverlayMediumFlags(media: readonly OverlayMedium[]): string {
  return media.join(",");
}

/** The flag --overlay2: which mounts have an overlay, and of what. */
export interface OverlayConfig {
  readonly coversRoot: boolean;
  readonly coversSubmounts: boolean;
  readonly medium: OverlayMedium;
  /** Of AnonDirMedium; "" = none. */
  readonly directory: string;
  /** Bytes that changes may take; null = no limit. */
  readonly sizeBytes: number | null;
}

const NO_OVERLAY: OverlayConfig = {
  coversRoot: false,
  coversSubmounts: false,
  medium: OverlayMedium.NoOverlay,
  directory: "",
  sizeBytes: null,
};
const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** "none", or {root|all}:{memory|self|dir=/abs/path}[,size=N]. Throws with what is wrong. */
export function parseOverlay2(text: string): OverlayConfig {
  if (text === "none") return NO_OVERLAY;
  const colon = text.indexOf(":");
  const mount = text.slice(0, Math.max(0, colon));
  if (colon < 0) throw new Error(`expected format is "mount:medium[,size=N]": "${text}"`);
  if (mount !== "root" && mount !== "all") {
    throw new Error(`unexpected mount specifier for --overlay2: "${mount}"`);
  }
  const [word, ...rest] = text.slice(colon + 1).split(",");
  if (rest.length > 1) throw new Error(`expected format is "mount:medium[,size=N]": "${text}"`);
  return {
    coversRoot: true,
    coversSubmounts: mount === "all",
    ...mediumOf(word),
    sizeBytes: rest.length === 0 ? null : sizeOf(rest[0]),
  };
}

function mediumOf(word: string): Pick<OverlayConfig, "medium" | "directory"> {
  if (word === "memory") return { medium: OverlayMedium.MemoryMedium, directory: "" };
  if (word === "self") return { medium: OverlayMedium.SelfMedium, directory: "" };
  if (!word.startsWith("dir=")) throw new Error(`unexpected medium specifier for --overlay2: "${word}"`);
  const directory = word.slice("dir=".length);
  if (!directory.startsWith("/")) {
    throw new Error(`overlay host file directory should be an absolute path, got "${directory}"`);
  }
  return { medium: OverlayMedium.AnonDirMedium, directory };
}

function sizeOf(word: string): number {
  const match = /^size=(\d{1,15})([kmgt]?)$/i.exec(word);
  const bytes = match === null ? NaN : Number(match[1]) * UNITS[match[2].toLowerCase()];
  if (!Number.isSafeInteger(bytes)) throw new Error(`invalid overlay size: "${word}"`);
  return bytes;
}
