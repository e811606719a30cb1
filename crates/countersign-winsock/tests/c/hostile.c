/* Every pointer and length is an allegation: documented errors, and never a crash of the library. */
#include "check.h"

#include <sys/mman.h>

static struct echo *echo;

/* Bytes that end where no memory is. */
static char *at_the_edge(const void *bytes, size_t count) {
    size_t page = 65536;
    char *pages = (char *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) abort();
    char *at = pages + page - count;
    memcpy(at, bytes, count);
    return at;
}

static int code(int result) { return result == 0 ? 0 : WSAGetLastError(); }

static int is_documented(int error) {
    return error == 0 || error == WSAEINVAL || error == WSAEMSGSIZE || error == WSAEAFNOSUPPORT || error == WSAEFAULT
        || error == WSAEOPNOTSUPP || error == WSAEISCONN || error == WSAENOTCONN || error == WSAEACCES;
}

static unsigned seed = 12345;
static unsigned random_number(void) { return seed = seed * 1664525u + 1013904223u, seed >> 8; }

static void random_buffers(void) {
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[256];
        size_t count = random_number() % sizeof bytes;
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(random_number() % 4 ? 0 : random_number());
        if (round % 2) bytes[0] = (unsigned char)(random_number() % 3), bytes[8] = 2, bytes[9] = 0;
        /* On the stack at odd addresses; a sanitizer sees any read beyond `count`. */
        unsigned char *copy = (unsigned char *)malloc(count + 1);
        if (copy == NULL) abort();
        memcpy(copy + 1, bytes, count);
        SOCKET s = socket(AF_INET, round % 3 ? SOCK_STREAM : SOCK_DGRAM, 0);
        CHECK("hostile", is_documented(code(WSASetSocketPeerTargetName(s, (void *)(copy + 1), (ULONG)count, NULL, NULL))));
        CHECK("hostile", is_documented(code(WSADeleteSocketPeerTargetName(s, (void *)(copy + 1), (ULONG)count, NULL, NULL))));
        ULONG length = 24;
        char info[64];
        CHECK("hostile", is_documented(code(WSAQuerySocketSecurity(s, (void *)(copy + 1), (ULONG)count, (void *)info, &length, NULL, NULL))));
        CHECK("hostile", is_documented(code(WSAImpersonateSocketPeer(s, (void *)(copy + 1), (ULONG)count))));
        CHECK("hostile", is_documented(code(WSASetSocketSecurity(s, (void *)(copy + 1), (ULONG)count, NULL, NULL))));
        closesocket(s);
        free(copy);
    }
}

static void at_edges(void) {
    ULONG bytes;
    SOCKET_PEER_TARGET_NAME *name = target(&echo->address, "postgres/localhost", &bytes);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    for (ULONG n = 0; n < bytes; n++)
        CHECK("hostile: short", is_documented(code(WSASetSocketPeerTargetName(s, (void *)at_the_edge(name, n), n, NULL, NULL))));
    char *odd = (char *)calloc(1, bytes + 1);
    if (odd == NULL) abort();
    memcpy(odd + 1, name, bytes);
    WORKS("hostile: misaligned", WSASetSocketPeerTargetName(s, (void *)(odd + 1), bytes, NULL, NULL));
    free(odd);
    free(name);
    closesocket(s);
}

static void nothing(void) {
    SOCKET s = dial(echo, "postgres/localhost", 0);
    DWORD count, flags = 0;
    int length = 16;
    char byte;
    struct sockaddr_in it;
    WSABUF nowhere = { 5, NULL };
    CHECK("hostile", s != INVALID_SOCKET);
    FAILS("hostile: NULL", send(s, NULL, 1, 0), WSAEFAULT);
    FAILS("hostile: NULL", recv(s, NULL, 1, 0), WSAEFAULT);
    FAILS("hostile: NULL", WSASend(s, NULL, 1, &count, 0, NULL, NULL), WSAEFAULT);
    FAILS("hostile: NULL", WSASend(s, &nowhere, 1, &count, 0, NULL, NULL), WSAEFAULT);
    FAILS("hostile: NULL", WSARecv(s, NULL, 1, &count, &flags, NULL, NULL), WSAEFAULT);
    FAILS("hostile: NULL", WSARecv(s, &nowhere, 1, &count, &flags, NULL, NULL), WSAEFAULT);
    FAILS("hostile: NULL", getpeername(s, NULL, &length), WSAEFAULT);
    FAILS("hostile: NULL", getpeername(s, (struct sockaddr *)&it, NULL), WSAEFAULT);
    FAILS("hostile: NULL", ioctlsocket(s, FIONBIO, NULL), WSAEFAULT);
    FAILS("hostile: NULL", setsockopt(s, SOL_SOCKET, SO_RCVBUF, NULL, 4), WSAEFAULT);
    FAILS("hostile: negative", send(s, "x", -1, 0), WSAEFAULT);
    FAILS("hostile: negative", recv(s, &byte, -1, 0), WSAEFAULT);
    FAILS("hostile: unknown flags", send(s, "x", 1, 0x40000000), WSAEOPNOTSUPP);
    CHECK("hostile: nothing to send", send(s, "", 0, 0) == 0);
    FAILS("hostile: NULL", connect(s, NULL, 16), WSAEFAULT);
    FAILS("hostile: NULL", bind(s, NULL, 16), WSAEFAULT);
    CHECK("hostile: NULL", WSAPoll(NULL, 1, 0) == SOCKET_ERROR && (WSAGetLastError() == WSAEFAULT || WSAGetLastError() == WSAEINVAL));
    FAILS("hostile: unknown code", WSAIoctl(s, 0x12345678, NULL, 0, NULL, 0, &count, NULL, NULL), WSAEOPNOTSUPP);
    CHECK("hostile: no event", !WSASetEvent((HANDLE)(ULONG_PTR)0x1234) && WSAGetLastError() == WSA_INVALID_HANDLE);
    CHECK("hostile: no event", !CloseHandle((HANDLE)-1) && WSAGetLastError() == WSA_INVALID_HANDLE);
    CHECK("hostile: no events", WSAWaitForMultipleEvents(0, NULL, FALSE, 0, FALSE) == WSA_WAIT_FAILED);
    CHECK("hostile: no token", !ImpersonateLoggedOnUser((HANDLE)(ULONG_PTR)77));
    closesocket(s);
}

/* Input and output are the same memory. */
static void overlapping(void) {
    union { SOCKET_SECURITY_QUERY_TEMPLATE query; SOCKET_SECURITY_QUERY_INFO info; char bytes[152]; ULONG length; } it;
    memset(&it, 0, sizeof it);
    SOCKET s = dial(echo, "postgres/localhost", 0);
    ULONG length = sizeof it.info;
    WORKS("hostile: overlapping", WSAQuerySocketSecurity(s, &it.query, sizeof it.query, &it.info, &length, NULL, NULL));
    CHECK("hostile: overlapping", it.info.Flags & SOCKET_INFO_CONNECTION_SECURED);
    memset(&it, 0, sizeof it);
    it.length = sizeof it.info;
    CHECK("hostile: overlapping", is_documented(code(WSAQuerySocketSecurity(s, NULL, 0, &it.info, &it.length, NULL, NULL))));
    closesocket(s);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    random_buffers();
    at_edges();
    nothing();
    overlapping();
    return check_end();
}
