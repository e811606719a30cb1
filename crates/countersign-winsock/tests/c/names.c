/* SPEC 5 and 6: who the peer at an address must be. */
#include "check.h"

static struct echo *echo;

static SOCKET fresh(int type) {
    SOCKET s = socket(AF_INET, type, 0);
    CHECK("5", s != INVALID_SOCKET);
    WORKS("5", secure(s));
    return s;
}

static int connects(SOCKET s) {
    int result = connect(s, (struct sockaddr *)&echo->address, sizeof echo->address);
    closesocket(s);
    return result;
}

static void streams(void) {
    struct sockaddr_in there = echo->address, any_port = echo->address, any_host = echo->address;
    any_port.sin_port = 0;
    any_host.sin_addr.s_addr = INADDR_ANY;
    SOCKET s = fresh(SOCK_STREAM);
    WORKS("5.1 whomever I connect to", name_peer(s, NULL, "postgres/localhost"));
    WORKS("5.1", connects(s));
    s = fresh(SOCK_STREAM);
    WORKS("5.1 a later call replaces", name_peer(s, &there, "http/localhost"));
    WORKS("5.1 a later call replaces", name_peer(s, &there, "postgres/localhost"));
    WORKS("5.1 a later call replaces", connects(s));
    s = fresh(SOCK_STREAM);
    WORKS("5.2", name_peer(s, NULL, "http/localhost"));
    WORKS("5.2", name_peer(s, &any_host, "http/localhost"));
    WORKS("5.2", name_peer(s, &any_port, "http/localhost"));
    WORKS("5.2", name_peer(s, &there, "postgres/localhost"));
    WORKS("5.2 address and port first", connects(s));
    s = fresh(SOCK_STREAM);
    WORKS("5.2", name_peer(s, &any_host, "http/localhost"));
    WORKS("5.2", name_peer(s, &any_port, "postgres/localhost"));
    WORKS("5.2 then any port there", connects(s));
    s = fresh(SOCK_STREAM);
    WORKS("5.2", name_peer(s, NULL, "http/localhost"));
    WORKS("5.2", name_peer(s, &any_host, "postgres/localhost"));
    WORKS("5.2 then any host with that port", connects(s));
}

static void mapped(void) {
    /* The name is for the IPv4-mapped form, the connection goes to the IPv4 one. */
    struct sockaddr_in6 mapped;
    ULONG bytes;
    memset(&mapped, 0, sizeof mapped);
    mapped.sin6_family = AF_INET6;
    mapped.sin6_port = echo->address.sin_port;
    mapped.sin6_addr.u.Byte[10] = mapped.sin6_addr.u.Byte[11] = 0xff;
    memcpy(&mapped.sin6_addr.u.Byte[12], &echo->address.sin_addr, 4);
    SOCKET_PEER_TARGET_NAME *name = target(NULL, "postgres/localhost", &bytes);
    memcpy(&name->PeerAddress, &mapped, sizeof mapped);
    SOCKET s = fresh(SOCK_STREAM);
    WORKS("5.2 IPv4-mapped", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL));
    WORKS("5.2 IPv4-mapped", connects(s));
    free(name);
}

static void another_name(void) {
    const char *others[] = { "http/localhost", "postgres/db2.test", "host/localhost", "alice@EXAMPLE.COM",
        "spiffe://prod/billing" };
    for (size_t i = 0; i < RTL_NUMBER_OF(others); i++) {
        SOCKET s = dial(echo, others[i], 0);
        CHECK("5.3 the trusted man in the middle", s == INVALID_SOCKET && WSAGetLastError() == WSAEACCES);
    }
    const char *same[] = { "postgres/localhost", "POSTGRES/LOCALHOST", "postgres/localhost." };
    for (size_t i = 0; i < RTL_NUMBER_OF(same); i++) {
        SOCKET s = dial(echo, same[i], 0);
        CHECK("5.8 one name, several spellings", s != INVALID_SOCKET);
        closesocket(s);
    }
}

static void a_name_secures(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("5.4", name_peer(s, NULL, "postgres/localhost"));
    WORKS("5.4", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address));
    WORKS("5.4", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL));
    CHECK("5.4", info.Flags == (SOCKET_INFO_CONNECTION_SECURED | SOCKET_INFO_CONNECTION_ENCRYPTED)
                     || info.Flags == 7);
    closesocket(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("5.4", name_peer(s, NULL, "http/localhost"));
    FAILS("5.4", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address), WSAEACCES);
    closesocket(s);
}

static void no_name(void) {
    SOCKET s = fresh(SOCK_STREAM);
    FAILS("5.5", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address), WSAEACCES);
    closesocket(s);
}

/* Says whether a client that shows the certificate of this process comes in to a listener with this name on it. */
static int comes_in(const char *name) {
    struct sockaddr_in any = loopback(0);
    struct client client;
    SOCKET l = fresh(SOCK_STREAM);
    WORKS("5.6", name_peer(l, NULL, name));
    WORKS("5.6", bind(l, (struct sockaddr *)&any, sizeof any));
    WORKS("5.6", listen(l, 1));
    client_start(&client, l, "postgres/localhost", 0);
    SOCKET a = accept(l, NULL, NULL);
    int accepted = a != INVALID_SOCKET;
    if (accepted) send(a, "x", 1, 0), closesocket(a);
    else CHECK("5.6", WSAGetLastError() == WSAEACCES);
    CHECK("5.6 both sides agree", (client_end(&client) == 'x') == accepted);
    closesocket(l);
    return accepted;
}

static void datagrams(void) {
    struct echo *first = echo_start(SOCK_DGRAM), *second = echo_start(SOCK_DGRAM);
    char byte = 0;
    struct sockaddr_in from;
    int length = sizeof from;
    SOCKET d = fresh(SOCK_DGRAM);
    WORKS("5.1 any number of names", name_peer(d, &first->address, "postgres/localhost"));
    WORKS("5.1 any number of names", name_peer(d, &second->address, "http/localhost"));
    CHECK("5.1", sendto(d, "1", 1, 0, (struct sockaddr *)&first->address, sizeof first->address) == 1);
    CHECK("5.1", recvfrom(d, &byte, 1, 0, (struct sockaddr *)&from, &length) == 1 && byte == '1');
    CHECK("5.1", from.sin_port == first->address.sin_port);
    FAILS("5.3 by datagram", sendto(d, "2", 1, 0, (struct sockaddr *)&second->address, sizeof second->address), WSAEACCES);

    /* 6: the name goes, the live association stays. */
    WORKS("6", WSADeleteSocketPeerTargetName(d, (void *)&first->address, sizeof first->address, NULL, NULL));
    CHECK("6 live associations stay",
        sendto(d, "3", 1, 0, (struct sockaddr *)&first->address, sizeof first->address) == 1);
    CHECK("6 live associations stay", recv(d, &byte, 1, 0) == 1 && byte == '3');
    struct sockaddr_in unknown = loopback(7);
    WORKS("6 unknown address", WSADeleteSocketPeerTargetName(d, (void *)&unknown, sizeof unknown, NULL, NULL));
    closesocket(d);

    d = fresh(SOCK_DGRAM);
    WORKS("6", name_peer(d, &first->address, "postgres/localhost"));
    WORKS("6", WSADeleteSocketPeerTargetName(d, (void *)&first->address, sizeof first->address, NULL, NULL));
    FAILS("6 later authentications do not use it",
        sendto(d, "4", 1, 0, (struct sockaddr *)&first->address, sizeof first->address), WSAEACCES);
    closesocket(d);
}

static void by_ioctl(void) {
    DWORD returned = 77;
    ULONG bytes;
    SOCKET_PEER_TARGET_NAME *name = target(&echo->address, "postgres/localhost", &bytes);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("WSAIoctl", WSAIoctl(s, SIO_SET_SECURITY, NULL, 0, NULL, 0, &returned, NULL, NULL));
    WORKS("5.7", WSAIoctl(s, SIO_SET_PEER_TARGET_NAME, name, bytes, NULL, 0, &returned, NULL, NULL));
    WORKS("5.7", connects(s));
    s = fresh(SOCK_STREAM);
    WORKS("6", WSAIoctl(s, SIO_SET_PEER_TARGET_NAME, name, bytes, NULL, 0, &returned, NULL, NULL));
    WORKS("6", WSAIoctl(s, SIO_DELETE_PEER_TARGET_NAME, &echo->address, sizeof echo->address, NULL, 0, &returned, NULL, NULL));
    FAILS("6", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address), WSAEACCES);
    FAILS("5.7 the same errors", WSAIoctl(s, SIO_SET_PEER_TARGET_NAME, NULL, bytes, NULL, 0, &returned, NULL, NULL), WSAEFAULT);
    FAILS("5.7 the same errors", WSAIoctl(s, SIO_SET_PEER_TARGET_NAME, name, 100, NULL, 0, &returned, NULL, NULL), WSAEMSGSIZE);
    closesocket(s);
    free(name);
}

static void units_and_bytes(void) {
    /* As the vendor's samples do: the length in units, protocol DEFAULT. */
    ULONG bytes;
    SOCKET_PEER_TARGET_NAME *name = target(NULL, "postgres/localhost", &bytes);
    name->PeerTargetNameStringLen /= 2;
    SOCKET s = fresh(SOCK_STREAM);
    WORKS("2 units", WSASetSocketPeerTargetName(s, name, bytes, NULL, NULL));
    WORKS("2 units", connects(s));
    free(name);
    char *wide = (char *)calloc(1, 144 + 4 * 18);
    unsigned length = 18;
    for (int i = 0; i < 18; i++) wide[140 + 4 * i] = "postgres/localhost"[i];
    memcpy(wide + 136, &length, 4);
    s = fresh(SOCK_STREAM);
    FAILS("2 UTF-32", WSASetSocketPeerTargetName(s, (void *)wide, 144 + 4 * 18, NULL, NULL), WSAEINVAL);
    CHECK("2 UTF-32", strstr(CountersignLastErrorText(), "-fshort-wchar") != NULL);
    closesocket(s);
    free(wide);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    streams();
    mapped();
    another_name();
    a_name_secures();
    no_name();
    CHECK("5.6 on a listener", comes_in("postgres/localhost"));
    CHECK("5.6 on a listener", !comes_in("http/localhost"));
    datagrams();
    by_ioctl();
    units_and_bytes();
    return check_end();
}
