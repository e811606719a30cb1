/* The identifiers that programs with secure sockets make beside them. */
#ifndef COUNTERSIGN_RPC_H
#define COUNTERSIGN_RPC_H

#include <stdio.h>

#include "windows.h"

typedef LONG RPC_STATUS;
#define RPC_ENTRY
#define RPC_S_OK 0
#define RPC_S_UUID_NO_ADDRESS 1739
#define RPC_C_AUTHN_NONE 0
#define RPC_C_AUTHN_WINNT 10
#define RPC_C_AUTHN_DEFAULT 0xFFFFFFFFu

/* A random identifier (RFC 9562, version 4). */
COUNTERSIGN_INLINE RPC_STATUS UuidCreate(UUID *uuid) {
    FILE *random = fopen("/dev/urandom", "rb");
    size_t count = random == NULL ? 0 : fread(uuid, sizeof *uuid, 1, random);
    if (random != NULL) fclose(random);
    uuid->Data3 = (UINT16)((uuid->Data3 & 0x0FFF) | 0x4000);
    uuid->Data4[0] = (UINT8)((uuid->Data4[0] & 0x3F) | 0x80);
    return count == 1 ? RPC_S_OK : RPC_S_UUID_NO_ADDRESS;
}

#endif
