// Text for a person's terminal or log. A guest chooses names of processes and files, and a role that has been taken over
// chooses whole sentences; none of them may move the cursor, set a title, or write lines that look like ours.

/**
 * C0 and C1 controls with DEL; what breaks a line; what turns the direction of writing or is not seen; halves of pairs. (ECMA-48
 * 5th edition 5.2 and 5.3 for the controls, Unicode 16 23.2 for the others.)
 */
const UNSEEN =
  // deno-lint-ignore no-control-regex
  /[\0-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** `text` in one line; what a terminal would act on or not show becomes \x1b or \u202e. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => {
    const code = character.charCodeAt(0);
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
