/* Names into addresses and back, addresses as text, names of services. No socket is opened. */
#include "check.h"

static void services(void) {
    WCHAR class_name[] = { 'h', 'o', 's', 't', 0 };
    WCHAR host[] = { 'd', 'b', '1', 0 };
    WCHAR made[32];
    DWORD length = 0;
    CHECK("DsMakeSpn", DsMakeSpnW(class_name, host, NULL, 0, NULL, &length, NULL) == ERROR_BUFFER_OVERFLOW);
    CHECK("DsMakeSpn", length == 9);
    length = 8;
    CHECK("DsMakeSpn", DsMakeSpnW(class_name, host, NULL, 0, NULL, &length, made) == ERROR_BUFFER_OVERFLOW);
    CHECK("DsMakeSpn", DsMakeSpnW(class_name, host, NULL, 0, NULL, &length, made) == ERROR_SUCCESS);
    CHECK("DsMakeSpn", length == 9 && made[4] == '/' && made[8] == 0);
    char narrow[64];
    length = sizeof narrow;
    CHECK("DsMakeSpn", DsMakeSpnA("ldap", "example.com", "dc1.example.com", 389, NULL, &length, narrow) == 0);
    CHECK("DsMakeSpn", strcmp(narrow, "ldap/dc1.example.com:389/example.com") == 0);
    CHECK("DsMakeSpn", DsMakeSpnA(NULL, "x", NULL, 0, NULL, &length, narrow) == ERROR_INVALID_PARAMETER);
    CHECK("DsMakeSpn", DsMakeSpnA("x", "y", NULL, 0, NULL, NULL, narrow) == ERROR_INVALID_PARAMETER);
}

static void addresses(void) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
    hints.ai_family = AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    CHECK("getaddrinfo", getaddrinfo("::1", "27015", &hints, &found) == 0);
    if (found != NULL) {
        CHECK("getaddrinfo", found->ai_family == AF_INET6 && found->ai_addr->sa_family == AF_INET6);
        CHECK("getaddrinfo", found->ai_addrlen == sizeof(struct sockaddr_in6));
        CHECK("getaddrinfo", ((struct sockaddr_in6 *)found->ai_addr)->sin6_port == htons(27015));
        char host[NI_MAXHOST], service[NI_MAXSERV];
        CHECK("getnameinfo", getnameinfo(found->ai_addr, (socklen_t)found->ai_addrlen, host, sizeof host, service,
                                 sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0);
        CHECK("getnameinfo", strcmp(host, "::1") == 0 && strcmp(service, "27015") == 0);
        freeaddrinfo(found);
    }
    freeaddrinfo(NULL);
    found = NULL;
    CHECK("getaddrinfo", getaddrinfo("not a number", "1", &hints, &found) == WSAHOST_NOT_FOUND && found == NULL);
    CHECK("getaddrinfo", WSAGetLastError() == WSAHOST_NOT_FOUND);
    CHECK("gai_strerror", strstr(gai_strerrorA(WSAHOST_NOT_FOUND), "no such host") != NULL);

    ADDRINFOW *wide = NULL;
    WCHAR local[] = { '1', '2', '7', '.', '0', '.', '0', '.', '1', 0 };
    CHECK("GetAddrInfoW", GetAddrInfoW(local, NULL, NULL, &wide) == 0 && wide != NULL);
    FreeAddrInfoW(wide);
    CHECK("GetAddrInfoW", GetAddrInfoW(NULL, NULL, NULL, &wide) == WSAHOST_NOT_FOUND);
    WCHAR lone[] = { 0xD800, 0 };
    CHECK("GetAddrInfoW", GetAddrInfoW(lone, NULL, NULL, &wide) == WSAEINVAL);
    HOSTENT *entry = gethostbyname("127.0.0.1");
    CHECK("gethostbyname", entry != NULL && entry->h_addrtype == AF_INET && entry->h_length == 4);
    if (entry != NULL) CHECK("gethostbyname", memcmp(entry->h_addr, "\x7f\0\0\1", 4) == 0);
    char own[256];
    WORKS("gethostname", gethostname(own, sizeof own));
    FAILS("gethostname", gethostname(own, 0), WSAEFAULT);
    FAILS("gethostname", gethostname(NULL, 256), WSAEFAULT);
}

static void texts(void) {
    IN6_ADDR v6;
    IN_ADDR v4;
    char text[INET6_ADDRSTRLEN];
    WCHAR wide[INET6_ADDRSTRLEN];
    CHECK("inet_pton", inet_pton(AF_INET6, "::1", &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
    CHECK("inet_pton", inet_pton(AF_INET, "127.0.0.1", &v4) == 1 && v4.s_addr == htonl(INADDR_LOOPBACK));
    CHECK("inet_pton", inet_pton(AF_INET, "127.0.0.256", &v4) == 0);
    FAILS("inet_pton", inet_pton(10, "::1", &v6), WSAEAFNOSUPPORT);
    FAILS("inet_pton", inet_pton(AF_INET, NULL, &v4), WSAEFAULT);
    FAILS("inet_pton", inet_pton(AF_INET, "127.0.0.1", NULL), WSAEFAULT);
    CHECK("inet_ntop", inet_ntop(AF_INET6, &v6, text, sizeof text) == text && strcmp(text, "::1") == 0);
    CHECK("inet_ntop", inet_ntop(AF_INET6, &v6, text, 3) == NULL && WSAGetLastError() == ERROR_INVALID_PARAMETER);
    CHECK("InetNtopW", InetNtopW(AF_INET, &v4, wide, 16) == wide && wide[0] == '1' && wide[9] == 0);
    CHECK("InetPtonW", InetPtonW(AF_INET, wide, &v4) == 1);
    CHECK("inet_addr", inet_addr("127.0.0.1") == htonl(INADDR_LOOPBACK));
    CHECK("inet_addr", inet_addr("nonsense") == INADDR_NONE && inet_addr(NULL) == INADDR_NONE);
    CHECK("inet_ntoa", strcmp(inet_ntoa(v4), "127.0.0.1") == 0);
}

static void with_ports(void) {
    SOCKADDR_STORAGE address;
    char text[64], v6[] = "[::1]:27015";
    int length = sizeof address;
    DWORD size = sizeof text;
    memset(&address, 0, sizeof address);
    WORKS("WSAStringToAddress", WSAStringToAddressA(v6, AF_INET6, NULL, (struct sockaddr *)&address, &length));
    CHECK("WSAStringToAddress", length == sizeof(struct sockaddr_in6) && address.ss_family == AF_INET6);
    WORKS("WSAAddressToString", WSAAddressToStringA((struct sockaddr *)&address, (DWORD)length, NULL, text, &size));
    CHECK("WSAAddressToString", strcmp(text, v6) == 0 && size == sizeof v6);
    size = 3;
    FAILS("WSAAddressToString", WSAAddressToStringA((struct sockaddr *)&address, (DWORD)length, NULL, text, &size), WSAEFAULT);
    CHECK("WSAAddressToString", size == sizeof v6);
    length = 4;
    FAILS("WSAStringToAddress", WSAStringToAddressA(v6, AF_INET6, NULL, (struct sockaddr *)&address, &length), WSAEFAULT);
    length = sizeof address;
    FAILS("WSAStringToAddress", WSAStringToAddressA(v6, AF_INET, NULL, (struct sockaddr *)&address, &length), WSAEINVAL);
    FAILS("WSAStringToAddress", WSAStringToAddressA(NULL, AF_INET, NULL, (struct sockaddr *)&address, &length), WSAEFAULT);
}

static void errors(void) {
    char *text = NULL;
    char small[4];
    CHECK("FormatMessage", FormatMessageA(FORMAT_MESSAGE_ALLOCATE_BUFFER | FORMAT_MESSAGE_FROM_SYSTEM, NULL, WSAEACCES, 0,
                               (LPSTR)&text, 0, NULL) > 0);
    CHECK("FormatMessage", text != NULL && strstr(text, "did not prove its name") != NULL);
    LocalFree(text);
    CHECK("FormatMessage", FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM, NULL, WSAEACCES, 0, small, 4, NULL) == 0);
    CHECK("FormatMessage", GetLastError() == ERROR_INSUFFICIENT_BUFFER);
}

int main(void) {
    services();
    addresses();
    texts();
    with_ports();
    errors();
    return check_end();
}
