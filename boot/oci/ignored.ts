// Fields of a config.json that nobody reads: what its document has and its checked form has not.

/** Names in one line. */
const NAMES_MAX = 12;

/** Paths of what is in `document` and not in `read`, each as high up as nothing of it is read. What asks for nothing is left out. */
export function ignoredFields(document: unknown, read: unknown, path = ""): string[] {
  if (!isTree(document) || isEmpty(document)) return [];
  const list: string[] = [];
  for (const [name, value] of Object.entries(document)) {
    const place = Array.isArray(document) ? `${path}[${name}]` : path === "" ? name : `${path}.${name}`;
    const found = isTree(read) ? (read as Record<string, unknown>)[name] : undefined;
    if (found !== undefined) list.push(...ignoredFields(value, found, place));
    else if (!isEmpty(value)) list.push(place);
  }
  return list;
}

/** The line that tells of them. */
export function ignoredLine(fields: readonly string[]): string {
  const more = fields.length > NAMES_MAX ? ` and ${fields.length - NAMES_MAX} more` : "";
  return `Fields of config.json without effect: ${fields.slice(0, NAMES_MAX).join(", ")}${more}`;
}

function isTree(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** null, false, "", [], {} and what has only such. */
export function isEmpty(value: unknown): boolean {
  if (isTree(value)) return Object.values(value).every(isEmpty);
  return value === undefined || value === null || value === false || value === "";
}
