// What the help says of flags that runc or runsc have and that mean nothing here.

export const IGNORED = "accepted for callers of runc and runsc, without a meaning here";
