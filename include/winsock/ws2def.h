/* Part of winsock2.h and ws2tcpip.h. */
#ifndef COUNTERSIGN_WS2DEF_H
#define COUNTERSIGN_WS2DEF_H
#include "ws2tcpip.h"
#endif
