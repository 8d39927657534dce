// What an endpoint is, as bits, so that an option can name several. A file of its own as the option tables need it before
// the endpoints that need the tables.

export const ENDPOINT_TCP = 1;
export const ENDPOINT_UDP = 2;
export const ENDPOINT_PING = 4;
export const ENDPOINT_RAW = 8;
export const ENDPOINT_PACKET = 16;
