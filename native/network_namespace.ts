// Bindings of native/src/network_namespace.rs: network namespaces of others.

import { openLibrary } from "./library.ts";

const native = openLibrary(
  {
    tsv_namespace_open: { parameters: ["buffer"], result: "i32" },
    tsv_namespace_netlink: { parameters: ["i32"], result: "i32" },
  } as const,
);

/** A descriptor of the network namespace at `path`, or -errno. */
export function openNamespace(path: string): number {
  return native.tsv_namespace_open(new TextEncoder().encode(`${path}\0`));
}

/** A rtnetlink socket of network namespace `namespace`, or -errno. */
export function netlinkOf(namespace: number): number {
  return native.tsv_namespace_netlink(namespace);
}
