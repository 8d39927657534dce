// A descriptor of the host and the number it gets in the guest: --pass-fd HOST:GUEST. The pair owns nothing.

export interface FDMapping {
  readonly guest: number;
  readonly host: number;
}

const TEXT = /^(0|[1-9]\d{0,6}):(0|[1-9]\d{0,6})$/;

/** From "HOST:GUEST". Throws where it is none. */
export function parseFDMapping(text: string): FDMapping {
  const match = TEXT.exec(text);
  if (match === null) throw new Error(`Cannot read "${text}": a mapping is HOST:GUEST, two descriptors`);
  return { host: Number(match[1]), guest: Number(match[2]) };
}

export function formatFDMapping({ host, guest }: FDMapping): string {
  return `${host}:${guest}`;
}
