/* SPEC 3: every row of the table of errors, provoked; and the order in which the checks run. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct echo *echo;

static void not_a_socket(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info, bytes;
    struct sockaddr_in peer = loopback(1);
    SOCKET_PEER_TARGET_NAME *name = target(&peer, "host/localhost", &bytes);
    SOCKET file = (SOCKET)open("/dev/null", O_RDONLY);
    SOCKET closed = socket(AF_INET, SOCK_STREAM, 0);
    closesocket(closed);
    SOCKET none[] = { INVALID_SOCKET, closed, file, 1u << 20, (SOCKET)-2, (SOCKET)1 << 40 };
    for (size_t i = 0; i < RTL_NUMBER_OF(none); i++) {
        SOCKET s = none[i];
        FAILS("3 ENOTSOCK", WSASetSocketSecurity(s, NULL, 0, NULL, NULL), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", WSADeleteSocketPeerTargetName(s, (void *)&peer, sizeof peer, NULL, NULL), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", WSAImpersonateSocketPeer(s, (void *)&peer, sizeof peer), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", send(s, "x", 1, 0), WSAENOTSOCK);
        FAILS("3 ENOTSOCK", closesocket(s), WSAENOTSOCK);
        /* The descriptor comes first: nothing else that is wrong is looked at. */
        FAILS("3 order", WSASetSocketPeerTargetName(s, NULL, 0, NULL, NULL), WSAENOTSOCK);
        FAILS("3 order", WSAQuerySocketSecurity(s, NULL, 0, NULL, NULL, NULL, NULL), WSAENOTSOCK);
    }
    struct stat still;
    CHECK("3 ENOTSOCK", fstat((int)file, &still) == 0); /* closesocket is not close */
    close((int)file);
    free(name);
}

static void family(void) {
    ULONG bytes;
    struct sockaddr_in peer = loopback(1);
    SOCKET local = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK("3 EAFNOSUPPORT", local != INVALID_SOCKET && s != INVALID_SOCKET);
    FAILS("3 EAFNOSUPPORT", secure(local), WSAEAFNOSUPPORT);
    SOCKET_PEER_TARGET_NAME *name = target(&peer, "host/localhost", &bytes);
    FAILS("3 EAFNOSUPPORT", WSASetSocketPeerTargetName(local, name, bytes, NULL, NULL), WSAEAFNOSUPPORT);
    name->PeerAddress.ss_family = 99;
    FAILS("3 EAFNOSUPPORT", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL), WSAEAFNOSUPPORT);
    peer.sin_family = 99;
    FAILS("3 EAFNOSUPPORT", WSADeleteSocketPeerTargetName(s, (void *)&peer, sizeof peer, NULL, NULL), WSAEAFNOSUPPORT);
    free(name);
    closesocket(local);
    closesocket(s);
}

static void invalid(void) {
    struct sockaddr_in any = loopback(0), zero;
    memset(&zero, 0, sizeof zero);
    zero.sin_family = AF_INET;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0);
    SOCKET_SECURITY_SETTINGS wrong[] = {
        { SOCKET_SECURITY_PROTOCOL_DEFAULT, 0x3 }, /* both flags */
        { SOCKET_SECURITY_PROTOCOL_DEFAULT, 0x4 }, /* an unknown one */
        { SOCKET_SECURITY_PROTOCOL_INVALID, 0 },
        { (SOCKET_SECURITY_PROTOCOL)77, 0 },
    };
    for (size_t i = 0; i < RTL_NUMBER_OF(wrong); i++)
        FAILS("3 EINVAL", WSASetSocketSecurity(s, &wrong[i], sizeof wrong[i], NULL, NULL), WSAEINVAL);
    WORKS("3 a failed call changes nothing", secure(s));
    FAILS("3 EINVAL twice", secure(s), WSAEINVAL);
    closesocket(s);

    s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("3", bind(s, (struct sockaddr *)&any, sizeof any));
    FAILS("3 EINVAL after bind", secure(s), WSAEINVAL);
    FAILS("3 EINVAL malformed name", name_peer(s, &any, "a/b/c/d"), WSAEINVAL);
    FAILS("3 EINVAL malformed name", name_peer(s, &any, ""), WSAEINVAL);
    FAILS("3 EINVAL malformed name", name_peer(s, &any, "host/a b"), WSAEINVAL);
    closesocket(s);

    FAILS("3 EINVAL datagram name for nobody", name_peer(d, &zero, "host/localhost"), WSAEINVAL);
    FAILS("3 EINVAL datagram name for nobody", name_peer(d, NULL, "host/localhost"), WSAEINVAL);
    closesocket(d);

    SOCKET raw = socket(AF_INET, SOCK_RAW, 1 /* ICMP */);
    if (raw == INVALID_SOCKET) fprintf(stderr, "not run: a raw socket needs CAP_NET_RAW\n");
    else {
        FAILS("3 EINVAL type", secure(raw), WSAEINVAL);
        closesocket(raw);
    }
}

static void connected(void) {
    SOCKET s = dial(echo, "postgres/localhost", 0), d = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK("3 EISCONN", s != INVALID_SOCKET);
    FAILS("3 EISCONN", secure(s), WSAEISCONN);
    FAILS("3 EISCONN", name_peer(s, NULL, "postgres/localhost"), WSAEISCONN);
    closesocket(s);
    /* A plain stream is a connected socket too. */
    s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("3 EISCONN", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address));
    FAILS("3 EISCONN", secure(s), WSAEISCONN);
    FAILS("3 EISCONN", name_peer(s, NULL, "postgres/localhost"), WSAEISCONN);
    closesocket(s);
    struct sockaddr_in peer = loopback(9);
    WORKS("3 EISCONN", connect(d, (struct sockaddr *)&peer, sizeof peer));
    FAILS("3 EISCONN", secure(d), WSAEISCONN);
    FAILS("3 EISCONN", name_peer(d, &peer, "postgres/localhost"), WSAEISCONN);
    closesocket(d);
}

static void fault(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0), c = dial(echo, "postgres/localhost", 0);
    FAILS("3 EFAULT", WSASetSocketPeerTargetName(s, NULL, 200, NULL, NULL), WSAEFAULT);
    FAILS("3 EFAULT", WSADeleteSocketPeerTargetName(s, NULL, 16, NULL, NULL), WSAEFAULT);
    FAILS("3 EFAULT", WSAQuerySocketSecurity(c, NULL, 0, &info, NULL, NULL, NULL), WSAEFAULT);
    FAILS("3 EFAULT", WSAImpersonateSocketPeer(s, NULL, 0), WSAEFAULT);
    closesocket(s);
    closesocket(c);
}

static void size(void) {
    SOCKET_SECURITY_SETTINGS settings = { SOCKET_SECURITY_PROTOCOL_DEFAULT, 0 };
    SOCKET_SECURITY_SETTINGS_IPSEC extended;
    SOCKET_SECURITY_QUERY_INFO info;
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    struct sockaddr_in peer = loopback(1);
    ULONG bytes, length;
    memset(&extended, 0, sizeof extended);
    memset(&query, 0, sizeof query);
    extended.SecurityProtocol = SOCKET_SECURITY_PROTOCOL_IPSEC;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    for (ULONG n = 1; n < 8; n++)
        FAILS("3 EMSGSIZE", WSASetSocketSecurity(s, &settings, n, NULL, NULL), WSAEMSGSIZE);
    FAILS("3 EMSGSIZE", WSASetSocketSecurity(s, (void *)&extended, 87, NULL, NULL), WSAEMSGSIZE);
    extended.UserNameStringLen = 6; /* two bytes more than there are */
    FAILS("3 EMSGSIZE", WSASetSocketSecurity(s, (void *)&extended, 88, NULL, NULL), WSAEMSGSIZE);
    extended.UserNameStringLen = 0xFFFFFFFF;
    FAILS("3 EMSGSIZE", WSASetSocketSecurity(s, (void *)&extended, 88, NULL, NULL), WSAEMSGSIZE);
    SOCKET_PEER_TARGET_NAME *name = target(&peer, "host/localhost", &bytes);
    FAILS("3 EMSGSIZE", WSASetSocketPeerTargetName(s, name, 143, NULL, NULL), WSAEMSGSIZE);
    FAILS("3 EMSGSIZE", WSASetSocketPeerTargetName(s, name, 0, NULL, NULL), WSAEMSGSIZE);
    name->PeerTargetNameStringLen = 0x7FFFFFFF;
    FAILS("3 EMSGSIZE", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL), WSAEMSGSIZE);
    /* Sizes come before values. */
    name->PeerAddress.ss_family = 99;
    FAILS("3 order", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL), WSAEMSGSIZE);
    FAILS("3 EMSGSIZE", WSADeleteSocketPeerTargetName(s, (void *)&peer, 15, NULL, NULL), WSAEMSGSIZE);
    peer.sin_family = AF_INET6;
    FAILS("3 EMSGSIZE", WSADeleteSocketPeerTargetName(s, (void *)&peer, sizeof peer, NULL, NULL), WSAEMSGSIZE);
    free(name);
    closesocket(s);

    s = dial(echo, "postgres/localhost", 0);
    length = sizeof info - 1;
    FAILS("3 EMSGSIZE", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL), WSAEMSGSIZE);
    CHECK("3 EMSGSIZE: the size needed is stored", length == sizeof info);
    FAILS("3 EMSGSIZE", WSAQuerySocketSecurity(s, &query, 143, &info, &length, NULL, NULL), WSAEMSGSIZE);
    /* The size probe of the vendor's sample. */
    length = 0;
    FAILS("3 size probe", WSAQuerySocketSecurity(s, NULL, 0, NULL, &length, NULL, NULL), WSAEFAULT);
    CHECK("3 size probe", length == sizeof info);
    closesocket(s);
}

static void not_connected(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    struct sockaddr_in peer = loopback(1);
    ULONG length = sizeof info;
    memset(&query, 0, sizeof query);
    memcpy(&query.PeerAddress, &peer, sizeof peer);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0);
    WORKS("3", secure(s));
    WORKS("3", secure(d));
    FAILS("3 ENOTCONN", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL), WSAENOTCONN);
    FAILS("3 ENOTCONN", WSAImpersonateSocketPeer(s, (void *)&peer, sizeof peer), WSAENOTCONN);
    FAILS("3 ENOTCONN", WSAQuerySocketSecurity(d, &query, sizeof query, &info, &length, NULL, NULL), WSAENOTCONN);
    /* A datagram socket's probe. */
    length = 0;
    FAILS("3 size probe", WSAQuerySocketSecurity(d, &query, sizeof query, NULL, &length, NULL, NULL), WSAEMSGSIZE);
    CHECK("3 size probe", length == sizeof info);
    closesocket(s);
    closesocket(d);
}

static void reset(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    struct client client;
    char byte;
    SOCKET l = listener();
    client_start(&client, l, "postgres/localhost", 1);
    SOCKET a = accept(l, NULL, NULL);
    CHECK("3 ECONNRESET", a != INVALID_SOCKET);
    WORKS("7.1", WSAQuerySocketSecurity(a, NULL, 0, &info, &length, NULL, NULL));
    CHECK("3", send(a, "x", 1, 0) == 1);
    CHECK("3", client_end(&client) == 'x');
    FAILS("3 ECONNRESET", recv(a, &byte, 1, 0), WSAECONNRESET);
    FAILS("3 ECONNRESET", WSAQuerySocketSecurity(a, NULL, 0, &info, &length, NULL, NULL), WSAECONNRESET);
    closesocket(a);
    closesocket(l);
}

static void not_supported(void) {
    SOCKET_SECURITY_SETTINGS ipsec = { SOCKET_SECURITY_PROTOCOL_IPSEC, 0 };
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS("3 EOPNOTSUPP: no IPsec on this host", WSASetSocketSecurity(s, &ipsec, sizeof ipsec, NULL, NULL),
        WSAEOPNOTSUPP);
    ipsec.SecurityProtocol = SOCKET_SECURITY_PROTOCOL_IPSEC2;
    FAILS("3 EOPNOTSUPP: no IPsec on this host", WSASetSocketSecurity(s, &ipsec, sizeof ipsec, NULL, NULL),
        WSAEOPNOTSUPP);
    closesocket(s);
    s = dial(echo, "postgres/localhost", 0);
    u_long mode = 1;
    WORKS("3", ioctlsocket(s, FIONBIO, &mode));
    FAILS("3 EOPNOTSUPP: non-blocking", WSAImpersonateSocketPeer(s, NULL, 0), WSAEOPNOTSUPP);
    closesocket(s);
    s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    CHECK("3", s != INVALID_SOCKET);
    FAILS("3 EOPNOTSUPP: overlapped", WSAImpersonateSocketPeer(s, NULL, 0), WSAEOPNOTSUPP);
    closesocket(s);
}

static void access_denied(void) {
    SOCKET s = dial(echo, "http/localhost", 0);
    CHECK("3 EACCES: another service", s == INVALID_SOCKET && WSAGetLastError() == WSAEACCES);
    CHECK("text for people", strstr(CountersignLastErrorText(), "http/localhost") != NULL);
    CHECK("text for people", strstr(CountersignLastErrorText(), "postgres/localhost") != NULL);
    s = dial(echo, "postgres/other.test", 0);
    CHECK("3 EACCES: another host", s == INVALID_SOCKET && WSAGetLastError() == WSAEACCES);
    /* No name at all: nothing is sent. */
    s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("3", secure(s));
    FAILS("5.5 no name", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address), WSAEACCES);
    closesocket(s);
    struct echo *datagrams = echo_start(SOCK_DGRAM);
    SOCKET d = socket(AF_INET, SOCK_DGRAM, 0);
    WORKS("3", secure(d));
    WORKS("3", name_peer(d, &datagrams->address, "http/localhost"));
    FAILS("3 EACCES: first send",
        sendto(d, "x", 1, 0, (struct sockaddr *)&datagrams->address, sizeof datagrams->address), WSAEACCES);
    closesocket(d);
}

static void pending(void) {
    SOCKET s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    char byte = 0;
    WSABUF buffer = { 1, &byte };
    WSAOVERLAPPED overlapped;
    DWORD count = 0, flags = 0;
    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = WSACreateEvent();
    FAILS("3 IO_PENDING", WSARecv(s, &buffer, 1, NULL, &flags, &overlapped, NULL), WSA_IO_PENDING);
    CHECK("3", send(s, "y", 1, 0) == 1);
    CHECK("9", WSAGetOverlappedResult(s, &overlapped, &count, TRUE, &flags) && count == 1 && byte == 'y');
    WSACloseEvent(overlapped.hEvent);
    closesocket(s);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    not_a_socket();
    family();
    invalid();
    connected();
    fault();
    size();
    not_connected();
    reset();
    not_supported();
    access_denied();
    pending();
    /* WSASYSCALLFAILURE, the one row that is not here, means that the kernel refused to give an identity back; the
     * process is aborted then. */
    return check_end();
}
