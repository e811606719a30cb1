/* The kinds of an address. */
#ifndef COUNTERSIGN_NLDEF_H
#define COUNTERSIGN_NLDEF_H

typedef enum _NL_ADDRESS_TYPE {
    NlatUnspecified,
    NlatUnicast,
    NlatAnycast,
    NlatMulticast,
    NlatBroadcast,
    NlatInvalid
} NL_ADDRESS_TYPE, *PNL_ADDRESS_TYPE;

#endif
