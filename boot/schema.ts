// The schema library behind one file: zod in its small form, and of that only what is used, since start-up time counts
// (35 KB instead of 730). Only what reads a user's document imports it; sentry and gofer never load it.
// docs/DECISIONS.md says how another library takes its place.

import { config } from "zod/mini";
import en from "zod/v4/locales/en.js";

export {
  _default,
  array,
  boolean,
  custom,
  enum,
  gte,
  type infer,
  int,
  lte,
  maxLength,
  minLength,
  nonnegative,
  nullable,
  nullish,
  number,
  object,
  optional,
  pipe,
  record,
  regex,
  startsWith,
  strictObject,
  string,
  transform,
  unknown,
  type ZodMiniType as Schema,
} from "zod/mini";

config(en());
