// Network: links, addresses and routes of the sandbox's stack. boot/net/sandbox_network.ts makes them.

import type { Services } from "./query.ts";

export const NETWORK: Services = {
  "Network.CreateLinksAndRoutes": ({ network }, query) => network.create(query),
};
