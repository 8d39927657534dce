import { deepEqual } from "node:assert/strict";
import { METHODS } from "../urpc/methods/all.ts";
import { SERVICES } from "./all.ts";

Deno.test("the door lets in what the sentry has a service for, and nothing else", () => {
  deepEqual(Object.keys(SERVICES).sort(), [...METHODS.keys()].sort());
});
