/* SPEC 7: what protects a socket, and who the peer is. */
#include "check.h"

static struct echo *echo;

static void streams(void) {
    SOCKET_SECURITY_QUERY_INFO info, again;
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    ULONG length = sizeof info;
    memset(&query, 0, sizeof query);
    memset(&info, 0xEE, sizeof info);
    SOCKET s = dial(echo, "postgres/localhost", 0);
    CHECK("7", s != INVALID_SOCKET);
    WORKS("7.1 template optional", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL));
    CHECK("7.5", info.Flags & SOCKET_INFO_CONNECTION_SECURED && info.Flags & SOCKET_INFO_CONNECTION_ENCRYPTED);
    CHECK("7.2 no tokens unless asked for",
        info.PeerApplicationAccessTokenHandle == 0 && info.PeerMachineAccessTokenHandle == 0);
    CHECK("7", length == sizeof info);
    WORKS("7.2 a template of zeros", WSAQuerySocketSecurity(s, &query, sizeof query, &again, &length, NULL, NULL));
    CHECK("7.2", again.Flags == info.Flags && again.PeerApplicationAccessTokenHandle == 0);
    query.PeerTokenAccessMask = TOKEN_QUERY;
    WORKS("7.2 tokens", WSAQuerySocketSecurity(s, &query, sizeof query, &info, &length, NULL, NULL));
    CHECK("7.3 a service is an application", info.PeerApplicationAccessTokenHandle != 0);
    if (info.PeerApplicationAccessTokenHandle != 0)
        CHECK("7.2 CloseHandle", CloseHandle((HANDLE)(ULONG_PTR)info.PeerApplicationAccessTokenHandle));
    if (info.PeerMachineAccessTokenHandle != 0)
        CHECK("7.2 CloseHandle", CloseHandle((HANDLE)(ULONG_PTR)info.PeerMachineAccessTokenHandle));
    CHECK("7.2 a token is closed once", !CloseHandle((HANDLE)(ULONG_PTR)info.PeerApplicationAccessTokenHandle));
    for (int i = 0; i < 100; i++)
        WORKS("7.6 any number of calls", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL));
    closesocket(s);
}

static void second_form(void) {
    SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2 query;
    SOCKET_SECURITY_QUERY_INFO_IPSEC2 info, other;
    ULONG length = sizeof info;
    memset(&query, 0, sizeof query);
    query.SecurityProtocol = SOCKET_SECURITY_PROTOCOL_IPSEC2;
    SOCKET a = dial(echo, "postgres/localhost", 0), b = dial(echo, "postgres/localhost", 0);
    WORKS("7.4", WSAQuerySocketSecurity(a, (void *)&query, sizeof query, (void *)&info, &length, NULL, NULL));
    CHECK("7.4", length == sizeof info && info.MmSaId != 0 && info.NegotiationWinerr == 0);
    WORKS("7.4", WSAQuerySocketSecurity(b, (void *)&query, sizeof query, (void *)&other, &length, NULL, NULL));
    CHECK("7.4 each session has its own id", info.MmSaId != other.MmSaId);
    length = sizeof info - 1;
    FAILS("7.4", WSAQuerySocketSecurity(a, (void *)&query, sizeof query, (void *)&info, &length, NULL, NULL), WSAEMSGSIZE);
    CHECK("7.4", length == sizeof info);
    FAILS("7.4", WSAQuerySocketSecurity(a, (void *)&query, 144, (void *)&info, &length, NULL, NULL), WSAEMSGSIZE);
    query.Flags = 2;
    FAILS("7.4", WSAQuerySocketSecurity(a, (void *)&query, sizeof query, (void *)&info, &length, NULL, NULL), WSAEINVAL);
    closesocket(a);
    closesocket(b);
}

static void datagrams(void) {
    struct echo *peer = echo_start(SOCK_DGRAM);
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    char byte;
    memset(&query, 0, sizeof query);
    SOCKET d = socket(AF_INET, SOCK_DGRAM, 0);
    WORKS("7.1", secure(d));
    WORKS("7.1", name_peer(d, &peer->address, "postgres/localhost"));
    memcpy(&query.PeerAddress, &peer->address, sizeof peer->address);
    FAILS("7.1 a peer never heard of", WSAQuerySocketSecurity(d, &query, sizeof query, &info, &length, NULL, NULL), WSAENOTCONN);
    CHECK("7.1", sendto(d, "1", 1, 0, (struct sockaddr *)&peer->address, sizeof peer->address) == 1);
    CHECK("7.1", recv(d, &byte, 1, 0) == 1);
    WORKS("7.1", WSAQuerySocketSecurity(d, &query, sizeof query, &info, &length, NULL, NULL));
    CHECK("7.5", info.Flags & SOCKET_INFO_CONNECTION_ENCRYPTED);
    WSASetLastError(0);
    CHECK("7.1 template mandatory", WSAQuerySocketSecurity(d, NULL, 0, &info, &length, NULL, NULL) == SOCKET_ERROR);
    closesocket(d);
}

static void by_ioctl(void) {
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    SOCKET_SECURITY_QUERY_INFO info;
    DWORD returned = 0;
    memset(&query, 0, sizeof query);
    SOCKET s = dial(echo, "postgres/localhost", 0);
    WORKS("WSAIoctl", WSAIoctl(s, SIO_QUERY_SECURITY, &query, sizeof query, &info, sizeof info, &returned, NULL, NULL));
    CHECK("WSAIoctl", returned == sizeof info && info.Flags & SOCKET_INFO_CONNECTION_SECURED);
    closesocket(s);
}

/* A connection in clear says so. */
static void clear(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    struct sockaddr_in any = loopback(0);
    SOCKET l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("7.5", bind(l, (struct sockaddr *)&any, sizeof any));
    WORKS("7.5", listen(l, 1));
    any = address_of(l);
    WORKS("7.5", connect(c, (struct sockaddr *)&any, sizeof any));
    memset(&info, 0xEE, sizeof info);
    WORKS("7.5", WSAQuerySocketSecurity(c, NULL, 0, &info, &length, NULL, NULL));
    CHECK("7.5 in clear", info.Flags == 0);
    closesocket(c);
    closesocket(l);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    streams();
    second_form();
    datagrams();
    by_ioctl();
    clear();
    return check_end();
}
