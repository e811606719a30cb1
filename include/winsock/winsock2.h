/* Winsock 2 for Linux, secured by Countersign: sockets, events, overlapped calls.
 *
 * The names, numbers, layouts and rules are Winsock's documented ones; docs/winsock.md says what differs.
 */
#ifndef COUNTERSIGN_WINSOCK2_H
#define COUNTERSIGN_WINSOCK2_H
#define _WINSOCK2API_
#define _WINSOCKAPI_

#include "windows.h"
#include "countersign/names.h"

COUNTERSIGN_BEGIN

typedef UINT_PTR SOCKET;
#define INVALID_SOCKET ((SOCKET)(~(SOCKET)0))
#define SOCKET_ERROR (-1)

typedef unsigned char countersign_u_char;
typedef unsigned short countersign_u_short;
typedef unsigned int countersign_u_int;
typedef UINT32 countersign_u_long;
typedef int countersign_socklen_t;
typedef USHORT ADDRESS_FAMILY;
typedef UINT GROUP;

/* Windows' number, under a name that libc has not: for files without the BSD names. */
#define COUNTERSIGN_AF_INET6 23

/* ---- Addresses. --------------------------------------------------------------------------------------------- */

typedef struct sockaddr SOCKADDR, *PSOCKADDR, *LPSOCKADDR;

struct countersign_in_addr_bytes { UCHAR s_b1, s_b2, s_b3, s_b4; };
struct countersign_in_addr_words { USHORT s_w1, s_w2; };
typedef struct countersign_in_addr {
    union {
        struct countersign_in_addr_bytes S_un_b;
        struct countersign_in_addr_words S_un_w;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR, *LPIN_ADDR;

typedef struct countersign_sockaddr_in {
    ADDRESS_FAMILY sin_family;
    USHORT sin_port;
    IN_ADDR sin_addr;
    CHAR sin_zero[8];
} SOCKADDR_IN, *PSOCKADDR_IN, *LPSOCKADDR_IN;

typedef struct countersign_sockaddr_storage {
    ADDRESS_FAMILY ss_family;
    CHAR __ss_pad1[6];
    __extension__ __int64 __ss_align;
    CHAR __ss_pad2[112];
} SOCKADDR_STORAGE, *PSOCKADDR_STORAGE, *LPSOCKADDR_STORAGE;

typedef struct _SOCKET_ADDRESS {
    LPSOCKADDR lpSockaddr;
    INT iSockaddrLength;
} SOCKET_ADDRESS, *PSOCKET_ADDRESS, *LPSOCKET_ADDRESS;

typedef struct countersign_hostent {
    char *h_name;
    char **h_aliases;
    short h_addrtype;
    short h_length;
    char **h_addr_list;
} HOSTENT, *PHOSTENT, *LPHOSTENT;

typedef struct countersign_linger {
    USHORT l_onoff;
    USHORT l_linger;
} LINGER, *PLINGER, *LPLINGER;

typedef struct timeval TIMEVAL, *PTIMEVAL, *LPTIMEVAL;

/* ---- Errors. ------------------------------------------------------------------------------------------------ */

#define WSABASEERR 10000
#define WSAEINTR 10004
#define WSAEBADF 10009
#define WSAEACCES 10013
#define WSAEFAULT 10014
#define WSAEINVAL 10022
#define WSAEMFILE 10024
#define WSAEWOULDBLOCK 10035
#define WSAEINPROGRESS 10036
#define WSAEALREADY 10037
#define WSAENOTSOCK 10038
#define WSAEDESTADDRREQ 10039
#define WSAEMSGSIZE 10040
#define WSAEPROTOTYPE 10041
#define WSAENOPROTOOPT 10042
#define WSAEPROTONOSUPPORT 10043
#define WSAESOCKTNOSUPPORT 10044
#define WSAEOPNOTSUPP 10045
#define WSAEPFNOSUPPORT 10046
#define WSAEAFNOSUPPORT 10047
#define WSAEADDRINUSE 10048
#define WSAEADDRNOTAVAIL 10049
#define WSAENETDOWN 10050
#define WSAENETUNREACH 10051
#define WSAENETRESET 10052
#define WSAECONNABORTED 10053
#define WSAECONNRESET 10054
#define WSAENOBUFS 10055
#define WSAEISCONN 10056
#define WSAENOTCONN 10057
#define WSAESHUTDOWN 10058
#define WSAETOOMANYREFS 10059
#define WSAETIMEDOUT 10060
#define WSAECONNREFUSED 10061
#define WSAELOOP 10062
#define WSAENAMETOOLONG 10063
#define WSAEHOSTDOWN 10064
#define WSAEHOSTUNREACH 10065
#define WSAENOTEMPTY 10066
#define WSAEPROCLIM 10067
#define WSAEUSERS 10068
#define WSAEDQUOT 10069
#define WSAESTALE 10070
#define WSAEREMOTE 10071
#define WSASYSNOTREADY 10091
#define WSAVERNOTSUPPORTED 10092
#define WSANOTINITIALISED 10093
#define WSAEDISCON 10101
#define WSAENOMORE 10102
#define WSAECANCELLED 10103
#define WSAEINVALIDPROCTABLE 10104
#define WSAEINVALIDPROVIDER 10105
#define WSAEPROVIDERFAILEDINIT 10106
#define WSASYSCALLFAILURE 10107
#define WSASERVICE_NOT_FOUND 10108
#define WSATYPE_NOT_FOUND 10109
#define WSA_E_NO_MORE 10110
#define WSA_E_CANCELLED 10111
#define WSAEREFUSED 10112
#define WSAHOST_NOT_FOUND 11001
#define WSATRY_AGAIN 11002
#define WSANO_RECOVERY 11003
#define WSANO_DATA 11004
#define WSANO_ADDRESS WSANO_DATA

#define WSA_IO_PENDING ERROR_IO_PENDING
#define WSA_IO_INCOMPLETE ERROR_IO_INCOMPLETE
#define WSA_INVALID_HANDLE ERROR_INVALID_HANDLE
#define WSA_INVALID_PARAMETER ERROR_INVALID_PARAMETER
#define WSA_NOT_ENOUGH_MEMORY ERROR_NOT_ENOUGH_MEMORY
#define WSA_OPERATION_ABORTED ERROR_OPERATION_ABORTED

int WSAAPI WSAGetLastError(void);
void WSAAPI WSASetLastError(int iError);
/* Why the last call of this thread failed, for people: UTF-8, valid until the thread's next call; never NULL. */
const char *CountersignLastErrorText(void);

/* ---- Start and end. ----------------------------------------------------------------------------------------- */

#define WINSOCK_VERSION MAKEWORD(2, 2)
#define WSADESCRIPTION_LEN 256
#define WSASYS_STATUS_LEN 128

typedef struct WSAData {
    WORD wVersion;
    WORD wHighVersion;
    USHORT iMaxSockets;
    USHORT iMaxUdpDg;
    char *lpVendorInfo;
    char szDescription[WSADESCRIPTION_LEN + 1];
    char szSystemStatus[WSASYS_STATUS_LEN + 1];
} WSADATA, *LPWSADATA;

int WSAAPI WSAStartup(WORD wVersionRequested, LPWSADATA lpWSAData);
int WSAAPI WSACleanup(void);

/* ---- Sockets. ----------------------------------------------------------------------------------------------- */

#define WSA_FLAG_OVERLAPPED 0x01
#define WSA_FLAG_MULTIPOINT_C_ROOT 0x02
#define WSA_FLAG_MULTIPOINT_C_LEAF 0x04
#define WSA_FLAG_MULTIPOINT_D_ROOT 0x08
#define WSA_FLAG_MULTIPOINT_D_LEAF 0x10
#define WSA_FLAG_ACCESS_SYSTEM_SECURITY 0x40
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80
#define WSA_FLAG_REGISTERED_IO 0x100
#define FROM_PROTOCOL_INFO (-1)
#define SD_RECEIVE 0x00
#define SD_SEND 0x01
#define SD_BOTH 0x02
#define CF_ACCEPT 0x0000
#define CF_REJECT 0x0001
#define CF_DEFER 0x0002

typedef struct _WSABUF {
    ULONG len;
    CHAR *buf;
} WSABUF, *LPWSABUF;

typedef ULONG SERVICETYPE;
typedef struct _flowspec {
    ULONG TokenRate;
    ULONG TokenBucketSize;
    ULONG PeakBandwidth;
    ULONG Latency;
    ULONG DelayVariation;
    SERVICETYPE ServiceType;
    ULONG MaxSduSize;
    ULONG MinimumPolicedSize;
} FLOWSPEC, *PFLOWSPEC, *LPFLOWSPEC;

typedef struct _QualityOfService {
    FLOWSPEC SendingFlowspec;
    FLOWSPEC ReceivingFlowspec;
    WSABUF ProviderSpecific;
} QOS, *LPQOS;

#define MAX_PROTOCOL_CHAIN 7
#define BASE_PROTOCOL 1
#define LAYERED_PROTOCOL 0
#define WSAPROTOCOL_LEN 255

typedef struct _WSAPROTOCOLCHAIN {
    int ChainLen;
    DWORD ChainEntries[MAX_PROTOCOL_CHAIN];
} WSAPROTOCOLCHAIN, *LPWSAPROTOCOLCHAIN;

#define COUNTERSIGN_PROTOCOL_INFO(character) \
    DWORD dwServiceFlags1;                   \
    DWORD dwServiceFlags2;                   \
    DWORD dwServiceFlags3;                   \
    DWORD dwServiceFlags4;                   \
    DWORD dwProviderFlags;                   \
    GUID ProviderId;                         \
    DWORD dwCatalogEntryId;                  \
    WSAPROTOCOLCHAIN ProtocolChain;          \
    int iVersion;                            \
    int iAddressFamily;                      \
    int iMaxSockAddr;                        \
    int iMinSockAddr;                        \
    int iSocketType;                         \
    int iProtocol;                           \
    int iProtocolMaxOffset;                  \
    int iNetworkByteOrder;                   \
    int iSecurityScheme;                     \
    DWORD dwMessageSize;                     \
    DWORD dwProviderReserved;                \
    character szProtocol[WSAPROTOCOL_LEN + 1];

typedef struct _WSAPROTOCOL_INFOA { COUNTERSIGN_PROTOCOL_INFO(CHAR) } WSAPROTOCOL_INFOA, *LPWSAPROTOCOL_INFOA;
typedef struct _WSAPROTOCOL_INFOW { COUNTERSIGN_PROTOCOL_INFO(WCHAR) } WSAPROTOCOL_INFOW, *LPWSAPROTOCOL_INFOW;
#define WSAPROTOCOL_INFO COUNTERSIGN_AW(WSAPROTOCOL_INFO)
#define LPWSAPROTOCOL_INFO COUNTERSIGN_AW(LPWSAPROTOCOL_INFO)

typedef OVERLAPPED WSAOVERLAPPED, *LPWSAOVERLAPPED;
typedef void(CALLBACK *LPWSAOVERLAPPED_COMPLETION_ROUTINE)(DWORD dwError, DWORD cbTransferred,
    LPWSAOVERLAPPED lpOverlapped, DWORD dwFlags);
typedef int(CALLBACK *LPCONDITIONPROC)(LPWSABUF lpCallerId, LPWSABUF lpCallerData, LPQOS lpSQOS, LPQOS lpGQOS,
    LPWSABUF lpCalleeId, LPWSABUF lpCalleeData, GROUP *g, DWORD_PTR dwCallbackData);

SOCKET WSAAPI countersign_ws_socket(int af, int type, int protocol);
SOCKET WSAAPI WSASocketA(int af, int type, int protocol, LPWSAPROTOCOL_INFOA lpProtocolInfo, GROUP g, DWORD dwFlags);
SOCKET WSAAPI WSASocketW(int af, int type, int protocol, LPWSAPROTOCOL_INFOW lpProtocolInfo, GROUP g, DWORD dwFlags);
#define WSASocket COUNTERSIGN_AW(WSASocket)
int WSAAPI WSADuplicateSocketA(SOCKET s, DWORD dwProcessId, LPWSAPROTOCOL_INFOA lpProtocolInfo);
int WSAAPI WSADuplicateSocketW(SOCKET s, DWORD dwProcessId, LPWSAPROTOCOL_INFOW lpProtocolInfo);
#define WSADuplicateSocket COUNTERSIGN_AW(WSADuplicateSocket)
int WSAAPI countersign_ws_closesocket(SOCKET s);
int WSAAPI countersign_ws_shutdown(SOCKET s, int how);

int WSAAPI countersign_ws_bind(SOCKET s, const struct sockaddr *name, int namelen);
int WSAAPI countersign_ws_listen(SOCKET s, int backlog);
SOCKET WSAAPI countersign_ws_accept(SOCKET s, struct sockaddr *addr, int *addrlen);
SOCKET WSAAPI WSAAccept(SOCKET s, struct sockaddr *addr, LPINT addrlen, LPCONDITIONPROC lpfnCondition,
    DWORD_PTR dwCallbackData);
int WSAAPI countersign_ws_connect(SOCKET s, const struct sockaddr *name, int namelen);
int WSAAPI WSAConnect(SOCKET s, const struct sockaddr *name, int namelen, LPWSABUF lpCallerData, LPWSABUF lpCalleeData,
    LPQOS lpSQOS, LPQOS lpGQOS);
int WSAAPI countersign_ws_getsockname(SOCKET s, struct sockaddr *name, int *namelen);
int WSAAPI countersign_ws_getpeername(SOCKET s, struct sockaddr *name, int *namelen);
int WSAAPI countersign_ws_getsockopt(SOCKET s, int level, int optname, char *optval, int *optlen);
int WSAAPI countersign_ws_setsockopt(SOCKET s, int level, int optname, const char *optval, int optlen);
int WSAAPI countersign_ws_ioctlsocket(SOCKET s, LONG cmd, countersign_u_long *argp);

int WSAAPI countersign_ws_send(SOCKET s, const char *buf, int len, int flags);
int WSAAPI countersign_ws_sendto(SOCKET s, const char *buf, int len, int flags, const struct sockaddr *to, int tolen);
int WSAAPI countersign_ws_recv(SOCKET s, char *buf, int len, int flags);
int WSAAPI countersign_ws_recvfrom(SOCKET s, char *buf, int len, int flags, struct sockaddr *from, int *fromlen);
int WSAAPI WSASend(SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesSent, DWORD dwFlags,
    LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
int WSAAPI WSASendTo(SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesSent, DWORD dwFlags,
    const struct sockaddr *lpTo, int iTolen, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
int WSAAPI WSARecv(SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesRecvd, LPDWORD lpFlags,
    LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
int WSAAPI WSARecvFrom(SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesRecvd,
    LPDWORD lpFlags, struct sockaddr *lpFrom, LPINT lpFromlen, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);

int WSAAPI WSASendDisconnect(SOCKET s, LPWSABUF lpOutboundDisconnectData);
int WSAAPI WSARecvDisconnect(SOCKET s, LPWSABUF lpInboundDisconnectData);

typedef struct _WSAMSG {
    LPSOCKADDR name;
    INT namelen;
    LPWSABUF lpBuffers;
    ULONG dwBufferCount;
    WSABUF Control;
    ULONG dwFlags;
} WSAMSG, *PWSAMSG, *LPWSAMSG;

int WSAAPI WSASendMsg(SOCKET s, LPWSAMSG lpMsg, DWORD dwFlags, LPDWORD lpNumberOfBytesSent,
    LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);
int WSAAPI WSARecvMsg(SOCKET s, LPWSAMSG lpMsg, LPDWORD lpNumberOfBytesRecvd, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);

/* ---- Control codes. ----------------------------------------------------------------------------------------- */

#define IOC_UNIX 0x00000000
#define IOC_WS2 0x08000000
#define IOC_PROTOCOL 0x10000000
#define IOC_VENDOR 0x18000000
#define _WSAIO(x, y) (0x20000000u | (x) | (y))
#define _WSAIOR(x, y) (0x40000000u | (x) | (y))
#define _WSAIOW(x, y) (0x80000000u | (x) | (y))
#define _WSAIORW(x, y) (0xC0000000u | (x) | (y))
#define SIO_FLUSH _WSAIO(IOC_WS2, 4)
#define SIO_GET_BROADCAST_ADDRESS _WSAIOR(IOC_WS2, 5)
#define SIO_GET_EXTENSION_FUNCTION_POINTER _WSAIORW(IOC_WS2, 6)
#define SIO_ROUTING_INTERFACE_QUERY _WSAIORW(IOC_WS2, 20)
#define SIO_ADDRESS_LIST_QUERY _WSAIOR(IOC_WS2, 22)

int WSAAPI WSAIoctl(SOCKET s, DWORD dwIoControlCode, LPVOID lpvInBuffer, DWORD cbInBuffer, LPVOID lpvOutBuffer,
    DWORD cbOutBuffer, LPDWORD lpcbBytesReturned, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine);

/* ---- Waiting. ----------------------------------------------------------------------------------------------- */

typedef struct countersign_fd_set {
    UINT fd_count;
    SOCKET fd_array[countersign_fd_setsize];
} *PFD_SET, *LPFD_SET;
typedef struct countersign_fd_set countersign_fd_set;

int WSAAPI countersign_ws_select(int nfds, struct countersign_fd_set *readfds, struct countersign_fd_set *writefds,
    struct countersign_fd_set *exceptfds, const struct timeval *timeout);

COUNTERSIGN_INLINE int __WSAFDIsSet(SOCKET fd, const struct countersign_fd_set *set) {
    for (UINT i = 0; i < set->fd_count && i < countersign_fd_setsize; i++)
        if (set->fd_array[i] == fd) return 1;
    return 0;
}
COUNTERSIGN_INLINE void countersign_fd_put(SOCKET fd, struct countersign_fd_set *set) {
    if (!__WSAFDIsSet(fd, set) && set->fd_count < countersign_fd_setsize) set->fd_array[set->fd_count++] = fd;
}
COUNTERSIGN_INLINE void countersign_fd_clear(SOCKET fd, struct countersign_fd_set *set) {
    for (UINT i = 0; i < set->fd_count && i < countersign_fd_setsize; i++)
        if (set->fd_array[i] == fd) {
            for (set->fd_count--; i < set->fd_count; i++) set->fd_array[i] = set->fd_array[i + 1];
            return;
        }
}

typedef struct countersign_pollfd {
    SOCKET fd;
    SHORT events;
    SHORT revents;
} WSAPOLLFD, *PWSAPOLLFD, *LPWSAPOLLFD;

int WSAAPI WSAPoll(LPWSAPOLLFD fdArray, ULONG fds, INT timeout);

typedef HANDLE WSAEVENT, *LPWSAEVENT;
#define WSA_INVALID_EVENT ((WSAEVENT)NULL)
#define WSA_MAXIMUM_WAIT_EVENTS 64
#define WSA_WAIT_FAILED 0xFFFFFFFFu
#define WSA_WAIT_EVENT_0 0u
#define WSA_WAIT_IO_COMPLETION 0xC0u
#define WSA_WAIT_TIMEOUT 258u
#define WSA_INFINITE INFINITE

#define FD_READ_BIT 0
#define FD_READ (1 << FD_READ_BIT)
#define FD_WRITE_BIT 1
#define FD_WRITE (1 << FD_WRITE_BIT)
#define FD_OOB_BIT 2
#define FD_OOB (1 << FD_OOB_BIT)
#define FD_ACCEPT_BIT 3
#define FD_ACCEPT (1 << FD_ACCEPT_BIT)
#define FD_CONNECT_BIT 4
#define FD_CONNECT (1 << FD_CONNECT_BIT)
#define FD_CLOSE_BIT 5
#define FD_CLOSE (1 << FD_CLOSE_BIT)
#define FD_QOS_BIT 6
#define FD_QOS (1 << FD_QOS_BIT)
#define FD_GROUP_QOS_BIT 7
#define FD_GROUP_QOS (1 << FD_GROUP_QOS_BIT)
#define FD_ROUTING_INTERFACE_CHANGE_BIT 8
#define FD_ROUTING_INTERFACE_CHANGE (1 << FD_ROUTING_INTERFACE_CHANGE_BIT)
#define FD_ADDRESS_LIST_CHANGE_BIT 9
#define FD_ADDRESS_LIST_CHANGE (1 << FD_ADDRESS_LIST_CHANGE_BIT)
#define FD_MAX_EVENTS 10
#define FD_ALL_EVENTS ((1 << FD_MAX_EVENTS) - 1)

typedef struct _WSANETWORKEVENTS {
    LONG lNetworkEvents;
    int iErrorCode[FD_MAX_EVENTS];
} WSANETWORKEVENTS, *LPWSANETWORKEVENTS;

WSAEVENT WSAAPI WSACreateEvent(void);
BOOL WSAAPI WSASetEvent(WSAEVENT hEvent);
BOOL WSAAPI WSAResetEvent(WSAEVENT hEvent);
BOOL WSAAPI WSACloseEvent(WSAEVENT hEvent);
DWORD WSAAPI WSAWaitForMultipleEvents(DWORD cEvents, const WSAEVENT *lphEvents, BOOL fWaitAll, DWORD dwTimeout,
    BOOL fAlertable);
int WSAAPI WSAEventSelect(SOCKET s, WSAEVENT hEventObject, LONG lNetworkEvents);
int WSAAPI WSAEnumNetworkEvents(SOCKET s, WSAEVENT hEventObject, LPWSANETWORKEVENTS lpNetworkEvents);
BOOL WSAAPI WSAGetOverlappedResult(SOCKET s, LPWSAOVERLAPPED lpOverlapped, LPDWORD lpcbTransfer, BOOL fWait,
    LPDWORD lpdwFlags);

/* ---- Names of hosts, and addresses as text. ----------------------------------------------------------------- */

int WSAAPI countersign_ws_gethostname(char *name, int namelen);
int WSAAPI GetHostNameW(PWSTR name, int namelen);
ULONG WSAAPI countersign_ws_inet_addr(const char *cp);
char *WSAAPI countersign_ws_inet_ntoa(struct countersign_in_addr in);
struct countersign_hostent *WSAAPI countersign_ws_gethostbyname(const char *name);

INT WSAAPI WSAAddressToStringA(LPSOCKADDR lpsaAddress, DWORD dwAddressLength, LPWSAPROTOCOL_INFOA lpProtocolInfo,
    LPSTR lpszAddressString, LPDWORD lpdwAddressStringLength);
INT WSAAPI WSAAddressToStringW(LPSOCKADDR lpsaAddress, DWORD dwAddressLength, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    LPWSTR lpszAddressString, LPDWORD lpdwAddressStringLength);
#define WSAAddressToString COUNTERSIGN_AW(WSAAddressToString)
INT WSAAPI WSAStringToAddressA(LPSTR AddressString, INT AddressFamily, LPWSAPROTOCOL_INFOA lpProtocolInfo,
    LPSOCKADDR lpAddress, LPINT lpAddressLength);
INT WSAAPI WSAStringToAddressW(LPWSTR AddressString, INT AddressFamily, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    LPSOCKADDR lpAddress, LPINT lpAddressLength);
#define WSAStringToAddress COUNTERSIGN_AW(WSAStringToAddress)

COUNTERSIGN_INLINE int WSAHtonl(SOCKET s, ULONG host, ULONG *net) { (void)s; *net = htonl(host); return 0; }
COUNTERSIGN_INLINE int WSAHtons(SOCKET s, USHORT host, USHORT *net) { (void)s; *net = htons(host); return 0; }
COUNTERSIGN_INLINE int WSANtohl(SOCKET s, ULONG net, ULONG *host) { (void)s; *host = ntohl(net); return 0; }
COUNTERSIGN_INLINE int WSANtohs(SOCKET s, USHORT net, USHORT *host) { (void)s; *host = ntohs(net); return 0; }

COUNTERSIGN_END

#ifndef COUNTERSIGN_NO_BSD_NAMES
#undef FD_SETSIZE
#define FD_SETSIZE countersign_fd_setsize
#undef FD_ZERO
#define FD_ZERO(set) ((void)((set)->fd_count = 0))
#undef FD_SET
#define FD_SET(fd, set) countersign_fd_put((SOCKET)(fd), (set))
#undef FD_CLR
#define FD_CLR(fd, set) countersign_fd_clear((SOCKET)(fd), (set))
#undef FD_ISSET
#define FD_ISSET(fd, set) __WSAFDIsSet((SOCKET)(fd), (set))
#endif

#define COUNTERSIGN_DEFINED_WINSOCK2
#include "countersign/checks.h"

#endif
