// tsvisor's version, the same as in deno.json (the tidy test sees to that), and the runtime-spec it follows.

export const VERSION = "0.1.0";
export const OCI_VERSION = "1.2.0";
