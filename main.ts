// tsvisor's entry: an internal role when the CLI has started us as one, the command line otherwise.

const role = Deno.args[0];
if (role === "--role=sentry") {
  const { runSentry } = await import("./boot/sentry.ts");
  const { netstackOfCheckout } = await import("./boot/netstack_checkout.ts");
  runSentry(netstackOfCheckout);
} else if (role === "--role=gofer") {
  const { runGofer } = await import("./boot/gofer.ts");
  runGofer();
} else if (role === "--role=controller") {
  const { runController } = await import("./boot/controller.ts");
  runController();
} else if (role === "--role=relay") {
  const { runRelay } = await import("./boot/relay.ts");
  runRelay();
} else {
  const { runCommandLine } = await import("./boot/cli/main.ts");
  Deno.exit(await runCommandLine(Deno.args));
}
