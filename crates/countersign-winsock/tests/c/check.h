/* What the programs share: checks that name the rule they are for, and a peer that echoes. */
#ifndef CHECK_H
#define CHECK_H

#include <winsock2.h>
#include <mstcpip.h>
#include <ws2tcpip.h>
#include <ntdsapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_count;
static int check_failures;

#define CHECK(rule, condition)                                                                     \
    do {                                                                                           \
        check_count++;                                                                             \
        if (!(condition)) {                                                                        \
            check_failures++;                                                                      \
            fprintf(stderr, "%s:%d: %s: %s is not so; last error %d: %s\n", __FILE__, __LINE__,     \
                rule, #condition, WSAGetLastError(), CountersignLastErrorText());                  \
        }                                                                                          \
    } while (0)

/* The call fails, and with this number. */
#define FAILS(rule, call, error)                                                                   \
    do {                                                                                           \
        WSASetLastError(0);                                                                        \
        int check_result_ = (int)(call);                                                           \
        check_count++;                                                                             \
        if (check_result_ != SOCKET_ERROR || WSAGetLastError() != (error)) {                       \
            check_failures++;                                                                      \
            fprintf(stderr, "%s:%d: %s: %s gave %d and error %d, not " #error ": %s\n", __FILE__,   \
                __LINE__, rule, #call, check_result_, WSAGetLastError(),                           \
                CountersignLastErrorText());                                                       \
        }                                                                                          \
    } while (0)

#define WORKS(rule, call) CHECK(rule, (call) == 0)

/* Ends a program: it says how much it checked, so that one that checked nothing is seen. */
static inline int check_end(void) {
    printf("%d checks, %d failures\n", check_count, check_failures);
    return check_failures == 0 && check_count > 0 ? 0 : 1;
}

static inline void check_start(void) {
    WSADATA data;
    alarm(120);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) abort();
}

static inline struct sockaddr_in loopback(unsigned short port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline struct sockaddr_in address_of(SOCKET s) {
    struct sockaddr_in address;
    int length = sizeof address;
    if (getsockname(s, (struct sockaddr *)&address, &length) != 0) abort();
    return address;
}

/* A SOCKET_PEER_TARGET_NAME in a buffer of its own; freed by the caller. `bytes` is what to pass as its length. */
static inline SOCKET_PEER_TARGET_NAME *target(const struct sockaddr_in *peer, const char *name, ULONG *bytes) {
    ULONG units = (ULONG)strlen(name);
    *bytes = (ULONG)sizeof(SOCKET_PEER_TARGET_NAME) + 2 * units;
    SOCKET_PEER_TARGET_NAME *it = (SOCKET_PEER_TARGET_NAME *)calloc(1, *bytes);
    if (it == NULL) abort();
    it->SecurityProtocol = SOCKET_SECURITY_PROTOCOL_DEFAULT;
    if (peer != NULL) memcpy(&it->PeerAddress, peer, sizeof *peer);
    it->PeerTargetNameStringLen = 2 * units;
    WCHAR *to = (WCHAR *)(void *)((char *)it + offsetof(SOCKET_PEER_TARGET_NAME, AllStrings));
    for (ULONG i = 0; i < units; i++) to[i] = (unsigned char)name[i];
    return it;
}

static inline int name_peer(SOCKET s, const struct sockaddr_in *peer, const char *name) {
    ULONG bytes;
    SOCKET_PEER_TARGET_NAME *it = target(peer, name, &bytes);
    int result = WSASetSocketPeerTargetName(s, it, bytes, NULL, NULL);
    int error = WSAGetLastError();
    free(it);
    WSASetLastError(error);
    return result;
}

static inline int secure(SOCKET s) { return WSASetSocketSecurity(s, NULL, 0, NULL, NULL); }

/* A peer that echoes: streams or datagrams, secured, on a port of its own, in a thread. */
struct echo {
    SOCKET socket;
    struct sockaddr_in address;
    pthread_t thread;
    int type;
};

static inline void *echo_stream(void *argument) {
    SOCKET s = (SOCKET)(uintptr_t)argument;
    char buffer[4096];
    int count;
    while ((count = recv(s, buffer, sizeof buffer, 0)) > 0)
        for (int sent = 0; sent < count;) {
            int more = send(s, buffer + sent, count - sent, 0);
            if (more <= 0) break;
            sent += more;
        }
    shutdown(s, SD_SEND);
    closesocket(s);
    return NULL;
}

static inline void *echo_run(void *argument) {
    struct echo *echo = (struct echo *)argument;
    if (echo->type == SOCK_STREAM) {
        for (;;) {
            SOCKET client = accept(echo->socket, NULL, NULL);
            if (client == INVALID_SOCKET) {
                int error = WSAGetLastError();
                if (error == WSAENOTSOCK || error == WSAEINTR || error == WSA_OPERATION_ABORTED
                    || error == WSAEINVAL || error == WSAEBADF)
                    break;
                continue; /* a client that was turned away */
            }
            pthread_t thread;
            if (pthread_create(&thread, NULL, echo_stream, (void *)(uintptr_t)client) != 0) abort();
            pthread_detach(thread);
        }
    } else {
        for (;;) {
            char buffer[2048];
            struct sockaddr_in from;
            int length = sizeof from;
            int count = recvfrom(echo->socket, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
            if (count < 0) {
                int error = WSAGetLastError();
                if (error == WSAENOTSOCK || error == WSAEINTR || error == WSA_OPERATION_ABORTED || error == WSAEBADF)
                    break;
                continue;
            }
            if (count == 4 && memcmp(buffer, "stop", 4) == 0) break;
            sendto(echo->socket, buffer, count, 0, (struct sockaddr *)&from, length);
        }
    }
    return NULL;
}

static inline struct echo *echo_start(int type) {
    struct echo *echo = (struct echo *)calloc(1, sizeof *echo);
    if (echo == NULL) abort();
    struct sockaddr_in any = loopback(0);
    echo->type = type;
    echo->socket = WSASocketW(AF_INET, type, 0, NULL, 0, 0);
    if (echo->socket == INVALID_SOCKET || secure(echo->socket) != 0
        || bind(echo->socket, (struct sockaddr *)&any, sizeof any) != 0
        || (type == SOCK_STREAM && listen(echo->socket, 16) != 0)) {
        fprintf(stderr, "no echo: %d %s\n", WSAGetLastError(), CountersignLastErrorText());
        abort();
    }
    echo->address = address_of(echo->socket);
    if (pthread_create(&echo->thread, NULL, echo_run, echo) != 0) abort();
    return echo;
}

/* A secured stream to the peer that echoes, named as given; INVALID_SOCKET with the error of connect. */
static inline SOCKET dial(const struct echo *echo, const char *name, DWORD flags) {
    SOCKET s = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, flags);
    if (s == INVALID_SOCKET) return s;
    if (secure(s) == 0 && name_peer(s, NULL, name) == 0
        && WSAConnect(s, (const struct sockaddr *)&echo->address, sizeof echo->address, NULL, NULL, NULL, NULL) == 0)
        return s;
    int error = WSAGetLastError();
    closesocket(s);
    WSASetLastError(error);
    return INVALID_SOCKET;
}

/* A client in a thread of its own: it dials, waits for one byte, and goes; with `reset` in anger. */
struct client {
    struct echo to;
    const char *name;
    int reset;
    int byte; /* what it got, or -1 */
    pthread_t thread;
};

static inline void *client_run(void *argument) {
    struct client *client = (struct client *)argument;
    struct linger at_once = { 1, 0 };
    unsigned char byte = 0;
    client->byte = -1;
    SOCKET s = dial(&client->to, client->name, 0);
    if (s == INVALID_SOCKET) return NULL;
    if (recv(s, (char *)&byte, 1, 0) == 1) client->byte = byte;
    if (client->reset) setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&at_once, sizeof at_once);
    closesocket(s);
    return NULL;
}

static inline void client_start(struct client *client, SOCKET listener, const char *name, int reset) {
    memset(client, 0, sizeof *client);
    client->to.address = address_of(listener);
    client->name = name;
    client->reset = reset;
    if (pthread_create(&client->thread, NULL, client_run, client) != 0) abort();
}

static inline int client_end(struct client *client) {
    pthread_join(client->thread, NULL);
    return client->byte;
}

/* A secured listener. */
static inline SOCKET listener(void) {
    struct sockaddr_in any = loopback(0);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    if (s == INVALID_SOCKET || secure(s) != 0 || bind(s, (struct sockaddr *)&any, sizeof any) != 0
        || listen(s, 16) != 0) {
        fprintf(stderr, "no listener: %d %s\n", WSAGetLastError(), CountersignLastErrorText());
        abort();
    }
    return s;
}

static inline int receive_all(SOCKET s, char *to, int count) {
    int got = 0;
    while (got < count) {
        int more = recv(s, to + got, count - got, 0);
        if (more <= 0) return got;
        got += more;
    }
    return got;
}

#endif
