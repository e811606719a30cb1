/* Part of ws2tcpip.h. */
#ifndef COUNTERSIGN_WS2IPDEF_H
#define COUNTERSIGN_WS2IPDEF_H
#include "ws2tcpip.h"
#endif
