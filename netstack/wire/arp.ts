// ARP for IPv4 over ethernet by offset, RFC 826.

export const ARP_BYTES = 28;
export const ARP_OPERATION_AT = 6;
export const ARP_SENDER_HARDWARE_AT = 8;
export const ARP_SENDER_AT = 14;
export const ARP_TARGET_HARDWARE_AT = 18;
export const ARP_TARGET_AT = 24;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
