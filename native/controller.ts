// Bindings of native/src/controller.rs: starting the control API's door when somebody knocks.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_serve_controller: { parameters: ["i32", "i32", "buffer", "u32", "buffer", "u32"], result: "void" },
  tsv_finish_controller: { parameters: [], result: "void" },
} as const;

const native = openLibrary(symbols);

/** Has a thread start `argv` for whoever connects to `listener`, with a connection of its own to the sentry behind `control`. */
export function serveController(
  listener: number,
  control: number,
  argv: readonly string[],
  environment: readonly string[],
): void {
  const [words, variables] = [argv, environment].map((list) =>
    new TextEncoder().encode(list.map((text) => `${text}\0`).join(""))
  );
  native.tsv_serve_controller(listener, control, words, words.length, variables, variables.length);
}

/** The sandbox has ended: waits until those who have asked something have their answers. */
export function finishController(): void {
  native.tsv_finish_controller();
}
