import { equal } from "node:assert/strict";
import { nearestOf, suggestion } from "./suggestion.ts";

Deno.test("nearestOf() finds a word with a slip or two, and none that is far", () => {
  const known = ["run", "create", "start", "state", "list", "delete", "--timeout"];
  const rows: [string, string | null][] = [
    ["creat", "create"],
    ["craete", "create"],
    ["strat", "start"],
    ["lsit", "list"],
    ["delte", "delete"],
    ["--tiemout", "--timeout"],
    ["xyz", null],
    ["rn", null],
    ["frobnicate", null],
    ["x".repeat(1000), null],
  ];
  for (const [word, nearest] of rows) equal(nearestOf(word, known), nearest, word);
});

Deno.test("suggestion() is a question, or nothing", () => {
  equal(suggestion("craete", ["create"]), '; did you mean "create"?');
  equal(suggestion("xyz", ["create"]), "");
});
