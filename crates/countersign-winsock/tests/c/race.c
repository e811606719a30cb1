/* Descriptors closed by one thread while others call, and their numbers used anew: documented errors, no crash, and never
 * the bytes of one socket on another. */
#include "check.h"

enum { SLOTS = 4, CALLERS = 4, ROUNDS = 150 };

static struct echo *echo;
static SOCKET slots[SLOTS];
static volatile int running = 1;

static void *call(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument * 7919u + 1;
    while (running) {
        seed = seed * 1664525u + 1013904223u;
        SOCKET s = __atomic_load_n(&slots[(seed >> 8) % SLOTS], __ATOMIC_RELAXED);
        SOCKET_SECURITY_QUERY_INFO info;
        ULONG length = sizeof info;
        char bytes[16];
        u_long ready;
        struct sockaddr_in it;
        int size = sizeof it;
        WSAPOLLFD poll = { s, POLLRDNORM, 0 };
        switch ((seed >> 16) % 6) {
        case 0: send(s, "0123456789abcdef", 16, 0); break;
        case 1:
            if (WSAPoll(&poll, 1, 0) == 1) {
                int count = recv(s, bytes, sizeof bytes, 0);
                for (int i = 0; i < count; i++)
                    if (strchr("0123456789abcdef", bytes[i]) == NULL) abort();
            }
            break;
        case 2: WSAQuerySocketSecurity(s, NULL, 0, &info, &length, NULL, NULL); break;
        case 3: ioctlsocket(s, FIONREAD, &ready); break;
        case 4: getpeername(s, (struct sockaddr *)&it, &size); break;
        default: secure(s); break;
        }
    }
    return NULL;
}

int main(void) {
    pthread_t callers[CALLERS];
    check_start();
    echo = echo_start(SOCK_STREAM);
    for (int i = 0; i < SLOTS; i++) slots[i] = dial(echo, "postgres/localhost", 0);
    for (int i = 0; i < CALLERS; i++)
        if (pthread_create(&callers[i], NULL, call, (void *)(uintptr_t)i) != 0) abort();
    for (int round = 0; round < ROUNDS; round++) {
        int i = round % SLOTS;
        SOCKET old = slots[i];
        CHECK("race: close", closesocket(old) == 0);
        /* The number is free: this takes it, most of the time. A caller that still has the number may set security on the
         * new socket first, which is then set twice: the documented error, and another try. */
        SOCKET again = INVALID_SOCKET;
        for (int tries = 0; tries < 100 && again == INVALID_SOCKET; tries++) {
            again = dial(echo, "postgres/localhost", 0);
            if (again == INVALID_SOCKET && WSAGetLastError() != WSAEINVAL) break;
        }
        CHECK("race: reuse", again != INVALID_SOCKET);
        __atomic_store_n(&slots[i], again, __ATOMIC_RELAXED);
    }
    running = 0;
    /* Two callers may have seen the same bytes come, and one of them waits for more: the close ends its call. */
    for (int i = 0; i < SLOTS; i++) CHECK("race: close", closesocket(slots[i]) == 0);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    return check_end();
}
