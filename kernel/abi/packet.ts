// Constants of packet(7): linux/if_packet.h.

export const SOL_PACKET = 263;
export const PACKET_RX_RING = 5;
export const PACKET_AUXDATA = 8;
export const PACKET_VERSION = 10;
export const PACKET_HDRLEN = 11;
export const PACKET_RESERVE = 12;
export const PACKET_TIMESTAMP = 17;

/** sizeof(struct sockaddr_ll). */
export const SOCKADDR_LL_BYTES = 20;
/** sizeof(struct tpacket_auxdata). */
export const AUXDATA_BYTES = 20;

/** Versions of the header of a frame in a ring. */
export const TPACKET_V1 = 0;
export const TPACKET_V2 = 1;
/** sizeof(struct tpacket_hdr), sizeof(struct tpacket2_hdr). */
export const TPACKET_HDR_BYTES = 32;
export const TPACKET2_HDR_BYTES = 32;
/** sizeof(struct tpacket_req). */
export const TPACKET_REQ_BYTES = 16;
export const TPACKET_ALIGNMENT = 16;

/** Bits of tp_status. */
export const TP_STATUS_KERNEL = 0;
export const TP_STATUS_USER = 1;
export const TP_STATUS_COPY = 2;
export const TP_STATUS_LOSING = 4;
