/* SPEC 8: the thread that asks acts with the rights of its peer, and only that thread. Needs root. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

/* The user that the kernel judges this thread by: effective and file-system ids. */
static int acts_as(unsigned wanted) {
    char line[256];
    unsigned real, effective = 0, saved, files = 0;
    FILE *status = fopen("/proc/thread-self/status", "r");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &files) == 4) break;
    fclose(status);
    return effective == wanted && files == wanted;
}

static SOCKET listener_socket;

/* A blocking socket that is not overlapped, with a peer that proved the name of this process. */
static SOCKET accept_one(struct client *client) {
    client_start(client, listener_socket, "postgres/localhost", 0);
    SOCKET a = WSAAccept(listener_socket, NULL, NULL, NULL, 0);
    CHECK("8", a != INVALID_SOCKET);
    return a;
}

static void finish(SOCKET a, struct client *client) {
    send(a, "x", 1, 0);
    closesocket(a);
    client_end(client);
}

/* Started before, because Linux gives a new thread the identity of the one that starts it. */
static pthread_barrier_t begin, end;

static void *other_thread(void *unused) {
    (void)unused;
    pthread_barrier_wait(&begin);
    CHECK("8.1 the calling thread alone", acts_as(0));
    pthread_barrier_wait(&end);
    return NULL;
}

static void *ends_as_the_peer(void *argument) {
    SOCKET a = (SOCKET)(uintptr_t)argument;
    WORKS("8.6", WSAImpersonateSocketPeer(a, NULL, 0));
    CHECK("8.6", acts_as(NOBODY));
    return NULL;
}

static void rights(void) {
    struct client client;
    pthread_t thread;
    char path[] = "/tmp/countersign-secret-XXXXXX";
    int file = mkstemp(path);
    CHECK("8", file >= 0);
    close(file);
    pthread_barrier_init(&begin, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    if (pthread_create(&thread, NULL, other_thread, NULL) != 0) abort();
    SOCKET a = accept_one(&client);
    WORKS("8.5 revert without impersonation", WSARevertImpersonation());
    CHECK("8.5", acts_as(0));
    WORKS("8.4 NULL address on a connected socket", WSAImpersonateSocketPeer(a, NULL, 0));
    CHECK("8.2 the account of the policy", acts_as(NOBODY));
    FILE *shut = fopen(path, "r");
    CHECK("8.2 every access check of the kernel", shut == NULL);
    if (shut != NULL) fclose(shut);
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    pthread_join(thread, NULL);
    WORKS("8.5 again", WSAImpersonateSocketPeer(a, NULL, 0));
    CHECK("8.5 again", acts_as(NOBODY));
    WORKS("8.5 revert", WSARevertImpersonation());
    CHECK("8.5 back to before the first", acts_as(0));
    shut = fopen(path, "r");
    CHECK("8.5 back to before the first", shut != NULL);
    if (shut != NULL) fclose(shut);
    if (pthread_create(&thread, NULL, ends_as_the_peer, (void *)(uintptr_t)a) != 0) abort();
    pthread_join(thread, NULL);
    CHECK("8.6 a thread that ended leaves nothing", acts_as(0));
    unlink(path);
    finish(a, &client);
}

static void by_token(void) {
    struct client client;
    SOCKET_SECURITY_QUERY_TEMPLATE query;
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    memset(&query, 0, sizeof query);
    query.PeerTokenAccessMask = TOKEN_QUERY | TOKEN_IMPERSONATE;
    SOCKET a = accept_one(&client);
    WORKS("7.2", WSAQuerySocketSecurity(a, &query, sizeof query, &info, &length, NULL, NULL));
    CHECK("7.5 impersonation is possible", info.Flags & SOCKET_INFO_CONNECTION_IMPERSONATED);
    HANDLE token = (HANDLE)(ULONG_PTR)info.PeerApplicationAccessTokenHandle;
    CHECK("7.3", token != NULL);
    CHECK("ImpersonateLoggedOnUser", ImpersonateLoggedOnUser(token) && acts_as(NOBODY));
    CHECK("RevertToSelf", RevertToSelf() && acts_as(0));
    CHECK("CloseHandle", CloseHandle(token));
    CHECK("a closed token", !ImpersonateLoggedOnUser(token) && acts_as(0));
    finish(a, &client);
}

static void refused(void) {
    struct client client;
    struct sockaddr_in peer = loopback(9);
    SOCKET a = accept_one(&client), plain = WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 0, 0);
    u_long mode = 1;
    FAILS("8.1 before there is a connection", WSAImpersonateSocketPeer(plain, (void *)&peer, sizeof peer), WSAENOTCONN);
    WORKS("8.1", ioctlsocket(a, FIONBIO, &mode));
    FAILS("8.1 blocking sockets only", WSAImpersonateSocketPeer(a, NULL, 0), WSAEOPNOTSUPP);
    CHECK("8.3 nothing changes", acts_as(0));
    mode = 0;
    WORKS("8.1", ioctlsocket(a, FIONBIO, &mode));
    SOCKET d = WSASocketW(AF_INET, SOCK_DGRAM, 0, NULL, 0, 0);
    WORKS("8.4", secure(d));
    FAILS("8.4 a datagram socket needs the address", WSAImpersonateSocketPeer(d, NULL, 0), WSAEFAULT);
    closesocket(d);
    closesocket(plain);
    finish(a, &client);
}

/* With a second argument there is no account for the peer: an error, and nothing changes. */
static void no_account(void) {
    struct client client;
    SOCKET a = accept_one(&client);
    FAILS("8.3 no account", WSAImpersonateSocketPeer(a, NULL, 0), WSAEACCES);
    CHECK("8.3 nothing changes", acts_as(0));
    CHECK("text for people", strlen(CountersignLastErrorText()) > 20);
    finish(a, &client);
}

int main(int argc, char **argv) {
    struct sockaddr_in any = loopback(0);
    (void)argv;
    if (geteuid() != 0) {
        printf("not run: needs root\n");
        return 77;
    }
    check_start();
    listener_socket = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0);
    WORKS("8", secure(listener_socket));
    WORKS("8", bind(listener_socket, (struct sockaddr *)&any, sizeof any));
    WORKS("8", listen(listener_socket, 4));
    if (argc > 1) no_account();
    else rights(), by_token(), refused();
    closesocket(listener_socket);
    return check_end();
}
