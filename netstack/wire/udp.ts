// UDP header fields by offset, RFC 768.

export const UDP_BYTES = 8;
export const UDP_SOURCE_AT = 0;
export const UDP_DESTINATION_AT = 2;
export const UDP_LENGTH_AT = 4;
export const UDP_CHECKSUM_AT = 6;
