/* Part of ws2tcpip.h. */
#ifndef COUNTERSIGN_IN6ADDR_H
#define COUNTERSIGN_IN6ADDR_H
#include "ws2tcpip.h"
#endif
