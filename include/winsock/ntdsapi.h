/* DsMakeSpn: the name of a service, put together from its parts. */
#ifndef COUNTERSIGN_NTDSAPI_H
#define COUNTERSIGN_NTDSAPI_H
#define _NTDSAPI_H_

#include "windows.h"

COUNTERSIGN_BEGIN

/* class/host[:port], class/instance[:port]/service, or class/address[:port]/referrer. *pcSpnLength is the space at
 * pszSpn in characters, then the length with its end. ERROR_SUCCESS, ERROR_BUFFER_OVERFLOW if the space is too small
 * (the length needed is stored), or ERROR_INVALID_PARAMETER. */
DWORD WINAPI DsMakeSpnA(LPCSTR ServiceClass, LPCSTR ServiceName, LPCSTR InstanceName, USHORT InstancePort,
    LPCSTR Referrer, DWORD *pcSpnLength, LPSTR pszSpn);
DWORD WINAPI DsMakeSpnW(LPCWSTR ServiceClass, LPCWSTR ServiceName, LPCWSTR InstanceName, USHORT InstancePort,
    LPCWSTR Referrer, DWORD *pcSpnLength, LPWSTR pszSpn);
#define DsMakeSpn COUNTERSIGN_AW(DsMakeSpn)

COUNTERSIGN_END

#endif
