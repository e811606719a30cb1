/* The BSD names (socket, send, struct sockaddr_in ...) with Winsock's meaning.
 *
 * libc has the same names with other types and numbers. So its headers are read first, and then each such name
 * becomes a macro onto a prefixed one: a program never reaches libc's send by mistake, which would send in clear,
 * and libc's headers may be included before or after ours. `#define COUNTERSIGN_NO_BSD_NAMES` (or -D) leaves libc's
 * names alone: call countersign_ws_send and its like, which are declared either way, then.
 */
#ifndef COUNTERSIGN_NAMES_H
#define COUNTERSIGN_NAMES_H

/* A program may raise FD_SETSIZE before the first header, as on Windows. Once libc has redefined it nothing tells
 * the two apart: COUNTERSIGN_FD_SETSIZE says it then. */
#if defined(COUNTERSIGN_FD_SETSIZE)
enum { countersign_fd_setsize = COUNTERSIGN_FD_SETSIZE };
#elif defined(FD_SETSIZE) && !defined(_SYS_SELECT_H)
enum { countersign_fd_setsize = FD_SETSIZE };
#else
enum { countersign_fd_setsize = 64 };
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __cplusplus
#include <functional>
#include <utility>
#endif

#ifndef COUNTERSIGN_NO_BSD_NAMES

#ifdef __cplusplus
/* std::bind is the one function of the C++ standard library that bears such a name. */
namespace std {
template <class F, class... A>
constexpr auto countersign_ws_bind(F &&f, A &&...a) -> decltype(bind(std::forward<F>(f), std::forward<A>(a)...)) {
    return bind(std::forward<F>(f), std::forward<A>(a)...);
}
template <class R, class F, class... A>
constexpr auto countersign_ws_bind(F &&f, A &&...a) -> decltype(bind<R>(std::forward<F>(f), std::forward<A>(a)...)) {
    return bind<R>(std::forward<F>(f), std::forward<A>(a)...);
}
}
#endif

/* Functions. */
#define accept countersign_ws_accept
#define bind countersign_ws_bind
#define closesocket countersign_ws_closesocket
#define connect countersign_ws_connect
#define freeaddrinfo countersign_ws_freeaddrinfo
#define getaddrinfo countersign_ws_getaddrinfo
#define gethostbyname countersign_ws_gethostbyname
#define gethostname countersign_ws_gethostname
#define getnameinfo countersign_ws_getnameinfo
#define getpeername countersign_ws_getpeername
#define getsockname countersign_ws_getsockname
#define getsockopt countersign_ws_getsockopt
#define inet_addr countersign_ws_inet_addr
#define inet_ntoa countersign_ws_inet_ntoa
#define inet_ntop countersign_ws_inet_ntop
#define inet_pton countersign_ws_inet_pton
#define ioctlsocket countersign_ws_ioctlsocket
#define listen countersign_ws_listen
#define recv countersign_ws_recv
#define recvfrom countersign_ws_recvfrom
#define select countersign_ws_select
#define send countersign_ws_send
#define sendto countersign_ws_sendto
#define setsockopt countersign_ws_setsockopt
#define shutdown countersign_ws_shutdown
#define socket countersign_ws_socket

/* Types. struct sockaddr and struct timeval are libc's: the first is the same, the second is what other calls of
 * the program fill in. */
#define addrinfo countersign_addrinfo
#define fd_set countersign_fd_set
#define hostent countersign_hostent
#define in6_addr countersign_in6_addr
#define in6_pktinfo countersign_in6_pktinfo
#define in_addr countersign_in_addr
#define in_pktinfo countersign_in_pktinfo
#define ip_mreq countersign_ip_mreq
#define ipv6_mreq countersign_ipv6_mreq
#define linger countersign_linger
#define pollfd countersign_pollfd
#define sockaddr_in countersign_sockaddr_in
#define sockaddr_in6 countersign_sockaddr_in6
#define sockaddr_storage countersign_sockaddr_storage
#define socklen_t countersign_socklen_t
#define u_long countersign_u_long
#ifndef __USE_MISC
#define u_char countersign_u_char
#define u_short countersign_u_short
#define u_int countersign_u_int
#endif

/* Members. */
#undef s_addr
#define s_addr S_un.S_addr
#define s_host S_un.S_un_b.s_b2
#define s_net S_un.S_un_b.s_b1
#define s_imp S_un.S_un_w.s_w2
#define s_impno S_un.S_un_b.s_b4
#define s_lh S_un.S_un_b.s_b3
#undef s6_addr
#undef s6_addr16
#undef s6_addr32
#define s6_addr u.Byte
#define s6_bytes u.Byte
#define s6_words u.Word
#undef h_addr
#define h_addr h_addr_list[0]
#undef h_errno
#define h_errno WSAGetLastError()

/* Constants. */
#define in6addr_any countersign_in6addr_any
#define in6addr_loopback countersign_in6addr_loopback
#include "numbers.h"

#endif
#endif
