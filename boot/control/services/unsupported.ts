// Calls of the control API that a sandbox cannot carry out yet, each with what it lacks: the caller gets an error, and nothing is
// pretended.

import { Refusal, type Service, type Services } from "./query.ts";

const lacks = (text: string): Service => () => new Refusal(text);

export const UNSUPPORTED: Services = {
  "containerManager.Checkpoint": lacks("checkpoint is not supported"),
  "containerManager.Restore": lacks("restore is not supported"),
};
