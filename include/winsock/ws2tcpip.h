/* IPv6, name resolution, and the six functions that secure a socket. */
#ifndef COUNTERSIGN_WS2TCPIP_H
#define COUNTERSIGN_WS2TCPIP_H
#define _WS2TCPIP_H_

#include "winsock2.h"
#include "mstcpip.h"

COUNTERSIGN_BEGIN

/* ---- IPv6. -------------------------------------------------------------------------------------------------- */

typedef struct countersign_in6_addr {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR, *LPIN6_ADDR;

typedef struct _SCOPE_ID {
    __extension__ union {
        __extension__ struct { ULONG Zone : 28; ULONG Level : 4; };
        ULONG Value;
    };
} SCOPE_ID, *PSCOPE_ID;

typedef struct countersign_sockaddr_in6 {
    ADDRESS_FAMILY sin6_family;
    USHORT sin6_port;
    ULONG sin6_flowinfo;
    IN6_ADDR sin6_addr;
    __extension__ union {
        ULONG sin6_scope_id;
        SCOPE_ID sin6_scope_struct;
    };
} SOCKADDR_IN6, *PSOCKADDR_IN6, *LPSOCKADDR_IN6;

typedef union _SOCKADDR_INET {
    SOCKADDR_IN Ipv4;
    SOCKADDR_IN6 Ipv6;
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET, *PSOCKADDR_INET;

typedef struct countersign_ip_mreq {
    IN_ADDR imr_multiaddr;
    IN_ADDR imr_interface;
} IP_MREQ, *PIP_MREQ;

typedef struct countersign_ipv6_mreq {
    IN6_ADDR ipv6mr_multiaddr;
    ULONG ipv6mr_interface;
} IPV6_MREQ, *PIPV6_MREQ;

typedef struct countersign_in_pktinfo {
    IN_ADDR ipi_addr;
    ULONG ipi_ifindex;
} IN_PKTINFO, *PIN_PKTINFO;

typedef struct countersign_in6_pktinfo {
    IN6_ADDR ipi6_addr;
    ULONG ipi6_ifindex;
} IN6_PKTINFO, *PIN6_PKTINFO;

static const IN6_ADDR countersign_in6addr_any __attribute__((unused)) = { { { 0 } } };
static const IN6_ADDR countersign_in6addr_loopback __attribute__((unused)) =
    { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } };

#define INET_IS_ADDR(name, condition) COUNTERSIGN_INLINE int name(const IN6_ADDR *a) { return (condition); }
COUNTERSIGN_INLINE int countersign_is_zero(const IN6_ADDR *a, int from, int to) {
    for (int i = from; i < to; i++)
        if (a->u.Byte[i] != 0) return 0;
    return 1;
}
INET_IS_ADDR(countersign_in6_unspecified, countersign_is_zero(a, 0, 16))
INET_IS_ADDR(countersign_in6_loopback, countersign_is_zero(a, 0, 15) && a->u.Byte[15] == 1)
INET_IS_ADDR(countersign_in6_multicast, a->u.Byte[0] == 0xff)
INET_IS_ADDR(countersign_in6_linklocal, a->u.Byte[0] == 0xfe && (a->u.Byte[1] & 0xc0) == 0x80)
INET_IS_ADDR(countersign_in6_v4mapped, countersign_is_zero(a, 0, 10) && a->u.Word[5] == 0xffff)
#undef INET_IS_ADDR
COUNTERSIGN_INLINE int IN6_ADDR_EQUAL(const IN6_ADDR *a, const IN6_ADDR *b) { return memcmp(a, b, 16) == 0; }
#define SS_PORT(storage) (((SOCKADDR_IN *)(storage))->sin_port)

/* ---- Names into addresses and back. ------------------------------------------------------------------------- */

typedef struct countersign_addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    size_t ai_addrlen;
    char *ai_canonname;
    struct sockaddr *ai_addr;
    struct countersign_addrinfo *ai_next;
} ADDRINFOA, *PADDRINFOA;

typedef struct addrinfoW {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    size_t ai_addrlen;
    PWSTR ai_canonname;
    struct sockaddr *ai_addr;
    struct addrinfoW *ai_next;
} ADDRINFOW, *PADDRINFOW;

typedef ADDRINFOA ADDRINFO, *LPADDRINFO;
#ifdef UNICODE
typedef ADDRINFOW ADDRINFOT, *PADDRINFOT;
#else
typedef ADDRINFOA ADDRINFOT, *PADDRINFOT;
#endif

INT WSAAPI countersign_ws_getaddrinfo(PCSTR pNodeName, PCSTR pServiceName, const ADDRINFOA *pHints, PADDRINFOA *ppResult);
void WSAAPI countersign_ws_freeaddrinfo(PADDRINFOA pAddrInfo);
INT WSAAPI GetAddrInfoW(PCWSTR pNodeName, PCWSTR pServiceName, const ADDRINFOW *pHints, PADDRINFOW *ppResult);
void WSAAPI FreeAddrInfoW(PADDRINFOW pAddrInfo);
#define GetAddrInfoA countersign_ws_getaddrinfo
#define FreeAddrInfoA countersign_ws_freeaddrinfo
#define GetAddrInfo COUNTERSIGN_AW(GetAddrInfo)
#define FreeAddrInfo COUNTERSIGN_AW(FreeAddrInfo)

INT WSAAPI countersign_ws_getnameinfo(const SOCKADDR *pSockaddr, int SockaddrLength, PCHAR pNodeBuffer,
    DWORD NodeBufferSize, PCHAR pServiceBuffer, DWORD ServiceBufferSize, INT Flags);
INT WSAAPI GetNameInfoW(const SOCKADDR *pSockaddr, int SockaddrLength, PWCHAR pNodeBuffer, DWORD NodeBufferSize,
    PWCHAR pServiceBuffer, DWORD ServiceBufferSize, INT Flags);
#define GetNameInfoA countersign_ws_getnameinfo
#define GetNameInfo COUNTERSIGN_AW(GetNameInfo)

INT WSAAPI countersign_ws_inet_pton(INT Family, PCSTR pszAddrString, PVOID pAddrBuf);
INT WSAAPI InetPtonW(INT Family, PCWSTR pszAddrString, PVOID pAddrBuf);
PCSTR WSAAPI countersign_ws_inet_ntop(INT Family, const void *pAddr, PSTR pStringBuf, size_t StringBufSize);
PCWSTR WSAAPI InetNtopW(INT Family, const void *pAddr, PWSTR pStringBuf, size_t StringBufSize);
#define InetPtonA countersign_ws_inet_pton
#define InetNtopA countersign_ws_inet_ntop
#define InetPton COUNTERSIGN_AW(InetPton)
#define InetNtop COUNTERSIGN_AW(InetNtop)

#define GAI_STRERROR_BUFFER_SIZE 1024
#ifndef COUNTERSIGN_NO_BSD_NAMES
#undef gai_strerror
COUNTERSIGN_INLINE char *gai_strerrorA(int error) { return (char *)CountersignErrorText(error); }
/* Of the last call in this file: FormatMessageW is the one for several threads, as on Windows. */
COUNTERSIGN_INLINE WCHAR *gai_strerrorW(int error) {
    static WCHAR text[GAI_STRERROR_BUFFER_SIZE + 1];
    MultiByteToWideChar(CP_UTF8, 0, CountersignErrorText(error), -1, text, GAI_STRERROR_BUFFER_SIZE);
    return text;
}
#define gai_strerror COUNTERSIGN_AW(gai_strerror)
#endif

/* ---- Secure sockets. The rules are in docs/winsock.md. ------------------------------------------------------ */

INT WSAAPI WSASetSocketSecurity(SOCKET Socket, const SOCKET_SECURITY_SETTINGS *SecuritySettings,
    ULONG SecuritySettingsLen, LPWSAOVERLAPPED Overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE CompletionRoutine);
INT WSAAPI WSAQuerySocketSecurity(SOCKET Socket, const SOCKET_SECURITY_QUERY_TEMPLATE *SecurityQueryTemplate,
    ULONG SecurityQueryTemplateLen, SOCKET_SECURITY_QUERY_INFO *SecurityQueryInfo, ULONG *SecurityQueryInfoLen,
    LPWSAOVERLAPPED Overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE CompletionRoutine);
INT WSAAPI WSASetSocketPeerTargetName(SOCKET Socket, const SOCKET_PEER_TARGET_NAME *PeerTargetName,
    ULONG PeerTargetNameLen, LPWSAOVERLAPPED Overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE CompletionRoutine);
INT WSAAPI WSADeleteSocketPeerTargetName(SOCKET Socket, const struct sockaddr *PeerAddr, ULONG PeerAddrLen,
    LPWSAOVERLAPPED Overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE CompletionRoutine);
INT WSAAPI WSAImpersonateSocketPeer(SOCKET Socket, const struct sockaddr *PeerAddr, ULONG PeerAddrLen);
INT WSAAPI WSARevertImpersonation(void);

COUNTERSIGN_END

#ifndef COUNTERSIGN_NO_BSD_NAMES
#undef IN6_IS_ADDR_UNSPECIFIED
#undef IN6_IS_ADDR_LOOPBACK
#undef IN6_IS_ADDR_MULTICAST
#undef IN6_IS_ADDR_LINKLOCAL
#undef IN6_IS_ADDR_V4MAPPED
#undef IN6_ARE_ADDR_EQUAL
#define IN6_IS_ADDR_UNSPECIFIED countersign_in6_unspecified
#define IN6_IS_ADDR_LOOPBACK countersign_in6_loopback
#define IN6_IS_ADDR_MULTICAST countersign_in6_multicast
#define IN6_IS_ADDR_LINKLOCAL countersign_in6_linklocal
#define IN6_IS_ADDR_V4MAPPED countersign_in6_v4mapped
#define IN6_ARE_ADDR_EQUAL IN6_ADDR_EQUAL
#endif

#define COUNTERSIGN_DEFINED_WS2TCPIP
#include "countersign/checks.h"

#endif
