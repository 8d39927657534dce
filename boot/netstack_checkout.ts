// The network stack of a checkout: a module like any other. In dist/ it is netstack_bundle.ts.

import * as netstack from "../netstack/mod.ts";

/** For runSentry(). */
export function netstackOfCheckout(): () => typeof netstack {
  return () => netstack;
}
