import { deepEqual, throws } from "node:assert/strict";
import { shownEnvironment } from "./shown_environment.ts";

const CALLER = ["PATH=/bin", "TOKEN=secret", "HOME=/root", "USER=root", "LC_ALL=C", "TERM=dumb", "EMPTY="];
const NOTHING = { given: [], isCleared: false, isOther: false };

Deno.test("shownEnvironment() passes on what a program needs, and no other variable", () => {
  deepEqual(shownEnvironment(CALLER, NOTHING), [
    "PATH=/bin",
    "HOME=/root",
    "USER=root",
    "LC_ALL=C",
    "TERM=dumb",
  ]);
});

Deno.test("shownEnvironment() has nothing of the caller's person for another user", () => {
  deepEqual(shownEnvironment(CALLER, { ...NOTHING, isOther: true }), ["PATH=/bin", "LC_ALL=C", "TERM=dumb"]);
});

Deno.test("shownEnvironment() with --clear-env and --env: what is given, and the caller's value of a name", () => {
  const given = ["A=1", "TOKEN", "MISSING", "EMPTY", "A=2=3"];
  deepEqual(shownEnvironment(CALLER, { ...NOTHING, given, isCleared: true }), [
    "A=2=3",
    "TOKEN=secret",
    "EMPTY=",
  ]);
  deepEqual(shownEnvironment(CALLER, { ...NOTHING, given: ["PATH=/x"] })[0], "PATH=/x");
  throws(() => shownEnvironment(CALLER, { ...NOTHING, given: ["=x"] }), /--env: "=x" has no name/);
});
