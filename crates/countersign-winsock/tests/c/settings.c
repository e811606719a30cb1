/* SPEC 4: security is turned on, once, first, and as strong as policy says. */
#include "check.h"

static struct echo *echo;

static SOCKET fresh(int type) {
    SOCKET s = socket(AF_INET, type, 0);
    CHECK("4", s != INVALID_SOCKET);
    return s;
}

static void once_and_first(void) {
    struct sockaddr_in any = loopback(0);
    int types[] = { SOCK_STREAM, SOCK_DGRAM };
    for (int i = 0; i < 2; i++) {
        SOCKET s = fresh(types[i]);
        WORKS("4.1", secure(s));
        FAILS("4.1 once", secure(s), WSAEINVAL);
        WORKS("4.1", bind(s, (struct sockaddr *)&any, sizeof any));
        FAILS("4.1 before bind", secure(s), WSAEINVAL);
        closesocket(s);
    }
    SOCKET six = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK("4.1 IPv6", six != INVALID_SOCKET);
    WORKS("4.1 IPv6", secure(six));
    closesocket(six);
    SOCKET l = fresh(SOCK_STREAM);
    WORKS("4.1", bind(l, (struct sockaddr *)&any, sizeof any));
    WORKS("4.1", listen(l, 1));
    FAILS("4.1 before listen", secure(l), WSAEINVAL);
    closesocket(l);
}

static void which_structure(void) {
    SOCKET_SECURITY_SETTINGS settings = { SOCKET_SECURITY_PROTOCOL_DEFAULT, 0 };
    SOCKET_SECURITY_SETTINGS_IPSEC extended;
    memset(&extended, 0, sizeof extended);
    SOCKET s = fresh(SOCK_STREAM);
    WORKS("4.2 and 4.3", WSASetSocketSecurity(s, &settings, sizeof settings, NULL, NULL));
    closesocket(s);
    s = fresh(SOCK_STREAM);
    FAILS("4.3 extended and DEFAULT", WSASetSocketSecurity(s, (void *)&extended, sizeof extended, NULL, NULL), WSAEINVAL);
    extended.SecurityProtocol = SOCKET_SECURITY_PROTOCOL_IPSEC;
    FAILS("4.4 IPsec is never replaced by something else",
        WSASetSocketSecurity(s, (void *)&extended, sizeof extended, NULL, NULL), WSAEOPNOTSUPP);
    extended.IpsecFlags = 0x10;
    FAILS("4.3 unknown flag", WSASetSocketSecurity(s, (void *)&extended, sizeof extended, NULL, NULL), WSAEINVAL);
    WORKS("4 a refused call changes nothing", secure(s));
    closesocket(s);
}

static void encryption(void) {
    SOCKET_SECURITY_SETTINGS settings = { SOCKET_SECURITY_PROTOCOL_DEFAULT, SOCKET_SETTINGS_GUARANTEE_ENCRYPTION };
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    SOCKET s = fresh(SOCK_STREAM);
    WORKS("4.5", WSASetSocketSecurity(s, &settings, sizeof settings, NULL, NULL));
    WORKS("4.5", name_peer(s, NULL, "postgres/localhost"));
    WORKS("4.5", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address));
    WORKS("4.5", WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL));
    CHECK("4.5", info.Flags & SOCKET_INFO_CONNECTION_ENCRYPTED);
    closesocket(s);
    settings.SecurityFlags = SOCKET_SETTINGS_GUARANTEE_ENCRYPTION | SOCKET_SETTINGS_ALLOW_INSECURE;
    s = fresh(SOCK_STREAM);
    FAILS("4.6", WSASetSocketSecurity(s, &settings, sizeof settings, NULL, NULL), WSAEINVAL);
    closesocket(s);
}

/* A server that knows nothing of security: it reads what comes and counts it. */
struct plain {
    SOCKET listener;
    struct sockaddr_in address;
    char seen[4096];
    int count;
};

static void *plain_run(void *argument) {
    struct plain *plain = (struct plain *)argument;
    for (;;) {
        SOCKET c = accept(plain->listener, NULL, NULL);
        if (c == INVALID_SOCKET) return NULL;
        int more;
        while (plain->count < (int)sizeof plain->seen
               && (more = recv(c, plain->seen + plain->count, (int)sizeof plain->seen - plain->count, 0)) > 0)
            plain->count += more;
        closesocket(c);
        if (plain->count > 0) return NULL;
    }
}

static void cleartext(void) {
    static struct plain plain;
    struct sockaddr_in any = loopback(0);
    pthread_t thread;
    plain.listener = fresh(SOCK_STREAM);
    WORKS("4.6", bind(plain.listener, (struct sockaddr *)&any, sizeof any));
    WORKS("4.6", listen(plain.listener, 4));
    plain.address = address_of(plain.listener);
    if (pthread_create(&thread, NULL, plain_run, &plain) != 0) abort();
    SOCKET s = fresh(SOCK_STREAM);
    DWORD wait = 2000;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&wait, sizeof wait);
    WORKS("4.6", secure(s));
    WORKS("4.6", name_peer(s, NULL, "postgres/localhost"));
    WSASetLastError(0);
    shutdown(plain.listener, SD_RECEIVE);
    int result = connect(s, (struct sockaddr *)&plain.address, sizeof plain.address);
    CHECK("4.6 cleartext never leaves", result == SOCKET_ERROR);
    FAILS("4.6 cleartext never leaves", send(s, "MARKER", 6, 0), WSAENOTCONN);
    closesocket(s);
    closesocket(plain.listener);
    pthread_join(thread, NULL);
    for (int i = 0; i + 6 <= plain.count; i++)
        CHECK("4.6 cleartext never leaves", memcmp(plain.seen + i, "MARKER", 6) != 0);
}

static void exclusive(void) {
    int types[] = { SOCK_STREAM, SOCK_DGRAM };
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in any = loopback(0);
        int on = 1;
        SOCKET first = fresh(types[i]), second = fresh(types[i]);
        WORKS("4.8", secure(first));
        WORKS("4.8", bind(first, (struct sockaddr *)&any, sizeof any));
        any = address_of(first);
        WORKS("4.8", setsockopt(second, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on));
        CHECK("4.8 not even with SO_REUSEADDR", bind(second, (struct sockaddr *)&any, sizeof any) == SOCKET_ERROR);
        closesocket(first);
        closesocket(second);
    }
}

static void inherited(void) {
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    struct client client;
    SOCKET l = listener();
    client_start(&client, l, "postgres/localhost", 0);
    SOCKET a = accept(l, NULL, NULL);
    CHECK("4.9", a != INVALID_SOCKET);
    WORKS("4.9", WSAQuerySocketSecurity(a, NULL, 0, &info, &length, NULL, NULL));
    CHECK("4.9", info.Flags & SOCKET_INFO_CONNECTION_SECURED);
    FAILS("4.9 it is set already", secure(a), WSAEISCONN);
    CHECK("4.11", send(a, "z", 1, 0) == 1);
    WORKS("4.11", closesocket(a));
    CHECK("4.11 pending data goes out first", client_end(&client) == 'z');
    closesocket(l);
}

static void credentials(void) {
    /* One letter each, in the four bytes before the end of the structure and two behind it. */
    struct { SOCKET_SECURITY_SETTINGS_IPSEC s; WCHAR more[4]; } it;
    memset(&it, 0, sizeof it);
    it.s.SecurityProtocol = SOCKET_SECURITY_PROTOCOL_IPSEC;
    it.s.UserNameStringLen = it.s.DomainNameStringLen = it.s.PasswordStringLen = 2;
    WCHAR *strings = (WCHAR *)(void *)((char *)&it + 84);
    strings[0] = 'u', strings[1] = 'd', strings[2] = 0xD800;
    SOCKET s = fresh(SOCK_STREAM);
    FAILS("4.10 a lone surrogate in the password",
        WSASetSocketSecurity(s, (void *)&it, sizeof it, NULL, NULL), WSAEINVAL);
    strings[2] = 'p';
    FAILS("4.10 and 4.4", WSASetSocketSecurity(s, (void *)&it, sizeof it, NULL, NULL), WSAEOPNOTSUPP);
    it.s.PasswordStringLen = 3;
    FAILS("4.10 an odd length", WSASetSocketSecurity(s, (void *)&it, sizeof it, NULL, NULL), WSAEINVAL);
    closesocket(s);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    once_and_first();
    which_structure();
    encryption();
    cleartext();
    exclusive();
    inherited();
    credentials();
    return check_end();
}
