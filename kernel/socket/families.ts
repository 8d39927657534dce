// The written list of address families.

import { AF_UNIX } from "../abi/socket.ts";
import type { SocketFamily } from "./socket.ts";
import { UNIX_FAMILY } from "./unix/family.ts";

/** By AF_ number. What is missing answers EAFNOSUPPORT. */
export const SOCKET_FAMILIES: ReadonlyMap<number, SocketFamily> = new Map([
  [AF_UNIX, UNIX_FAMILY],
]);
