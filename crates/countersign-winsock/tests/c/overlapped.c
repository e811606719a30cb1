/* SPEC 9: events, completion routines in alertable waits, cancellation, order. */
#include "check.h"

static struct echo *echo;

/* What a completion routine saw. */
static int calls, in_wait;
static DWORD seen_error[64], seen_count[64];
static LPWSAOVERLAPPED seen_overlapped[64];
static pthread_t seen_thread;

static void CALLBACK done(DWORD error, DWORD count, LPWSAOVERLAPPED overlapped, DWORD flags) {
    (void)flags;
    CHECK("9 never inside the call", in_wait);
    seen_thread = pthread_self();
    if (calls < 64) seen_error[calls] = error, seen_count[calls] = count, seen_overlapped[calls] = overlapped;
    calls++;
}

static DWORD alertable(DWORD milliseconds) {
    in_wait = 1;
    DWORD result = SleepEx(milliseconds, TRUE);
    in_wait = 0;
    return result;
}

static void events(void) {
    char first = 0, second = 0;
    WSABUF one = { 1, &first }, two = { 1, &second };
    WSAOVERLAPPED a, b;
    DWORD count = 0, flags = 0;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    a.hEvent = WSACreateEvent(), b.hEvent = WSACreateEvent();
    SOCKET s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    CHECK("9", s != INVALID_SOCKET);
    FAILS("9", WSARecv(s, &one, 1, NULL, &flags, &a, NULL), WSA_IO_PENDING);
    flags = 0;
    FAILS("9", WSARecv(s, &two, 1, NULL, &flags, &b, NULL), WSA_IO_PENDING);
    CHECK("9", !WSAGetOverlappedResult(s, &a, &count, FALSE, &flags) && WSAGetLastError() == WSA_IO_INCOMPLETE);
    CHECK("9", !HasOverlappedIoCompleted(&a));
    CHECK("9", WSAWaitForMultipleEvents(1, &a.hEvent, FALSE, 0, FALSE) == WSA_WAIT_TIMEOUT);
    CHECK("9", send(s, "12", 2, 0) == 2);
    WSAEVENT both[] = { a.hEvent, b.hEvent };
    CHECK("9", WSAWaitForMultipleEvents(2, both, TRUE, 10000, FALSE) == WSA_WAIT_EVENT_0);
    CHECK("9", WSAGetOverlappedResult(s, &a, &count, FALSE, &flags) && count == 1);
    CHECK("9 in order", first == '1');
    CHECK("9", WSAGetOverlappedResult(s, &b, &count, FALSE, &flags) && count == 1 && second == '2');
    CHECK("9 Internal and InternalHigh", a.Internal == 0 && a.InternalHigh == 1 && HasOverlappedIoCompleted(&a));
    WSACloseEvent(a.hEvent);
    WSACloseEvent(b.hEvent);
    closesocket(s);
}

static void routines(void) {
    enum { MANY = 16 };
    char bytes[MANY];
    WSABUF buffers[MANY];
    WSAOVERLAPPED overlapped[MANY];
    SOCKET s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    calls = 0;
    memset(bytes, 0, sizeof bytes);
    memset(overlapped, 0, sizeof overlapped);
    for (int i = 0; i < MANY; i++) {
        DWORD flags = 0;
        buffers[i].len = 1, buffers[i].buf = &bytes[i];
        int result = WSARecv(s, &buffers[i], 1, NULL, &flags, &overlapped[i], done);
        CHECK("9", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    }
    CHECK("9", send(s, "abcdefghijklmnop", MANY, 0) == MANY);
    Sleep(300);
    CHECK("9 not in a wait that is not alertable", calls == 0);
    for (int i = 0; i < 100 && calls < MANY; i++)
        CHECK("9", alertable(1000) == WAIT_IO_COMPLETION);
    CHECK("9", calls == MANY);
    for (int i = 0; i < calls && i < MANY; i++)
        CHECK("9 many in flight, in order",
            seen_overlapped[i] == &overlapped[i] && seen_error[i] == 0 && seen_count[i] == 1 && bytes[i] == 'a' + i);
    CHECK("9 the issuing thread only", pthread_equal(seen_thread, pthread_self()));
    CHECK("9 nothing left", alertable(0) == 0);
    closesocket(s);
}

static void *wait_elsewhere(void *unused) {
    (void)unused;
    CHECK("9 another thread runs nothing", SleepEx(500, TRUE) == 0);
    return NULL;
}

static void only_the_issuer(void) {
    char byte = 0;
    WSABUF buffer = { 1, &byte };
    WSAOVERLAPPED overlapped;
    DWORD flags = 0;
    pthread_t other;
    memset(&overlapped, 0, sizeof overlapped);
    SOCKET s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    calls = 0;
    CHECK("9", send(s, "q", 1, 0) == 1);
    WSARecv(s, &buffer, 1, NULL, &flags, &overlapped, done);
    if (pthread_create(&other, NULL, wait_elsewhere, NULL) != 0) abort();
    pthread_join(other, NULL);
    CHECK("9", calls == 0);
    WSAEVENT event = WSACreateEvent();
    in_wait = 1;
    CHECK("9 WSAWaitForMultipleEvents is an alertable wait",
        WSAWaitForMultipleEvents(1, &event, FALSE, 5000, TRUE) == WSA_WAIT_IO_COMPLETION);
    in_wait = 0;
    CHECK("9", calls == 1 && byte == 'q');
    WSACloseEvent(event);
    closesocket(s);
}

static void cancelled(void) {
    char byte;
    WSABUF buffer = { 1, &byte };
    WSAOVERLAPPED by_event, by_routine;
    DWORD count = 0, flags = 0;
    memset(&by_event, 0, sizeof by_event);
    memset(&by_routine, 0, sizeof by_routine);
    by_event.hEvent = WSACreateEvent();
    SOCKET s = dial(echo, "postgres/localhost", WSA_FLAG_OVERLAPPED);
    calls = 0;
    FAILS("9", WSARecv(s, &buffer, 1, NULL, &flags, &by_event, NULL), WSA_IO_PENDING);
    flags = 0;
    FAILS("9", WSARecv(s, &buffer, 1, NULL, &flags, &by_routine, done), WSA_IO_PENDING);
    WORKS("9", closesocket(s));
    CHECK("9 cancelled by close", WSAWaitForMultipleEvents(1, &by_event.hEvent, FALSE, 5000, FALSE) == WSA_WAIT_EVENT_0);
    CHECK("9", !HasOverlappedIoCompleted(&by_event) || by_event.Internal != 0);
    (void)count;
    CHECK("9", alertable(5000) == WAIT_IO_COMPLETION && calls == 1 && seen_error[0] == WSA_OPERATION_ABORTED);
    WSACloseEvent(by_event.hEvent);
}

/* The calls of the extensions themselves. */
static void the_six(void) {
    WSAOVERLAPPED overlapped;
    ULONG bytes;
    DWORD count, flags;
    SOCKET_PEER_TARGET_NAME *name = target(NULL, "postgres/localhost", &bytes);
    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = WSACreateEvent();
    SOCKET s = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    int result = WSASetSocketSecurity(s, NULL, 0, &overlapped, NULL);
    CHECK("9 by event", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    CHECK("9 by event", WSAWaitForMultipleEvents(1, &overlapped.hEvent, FALSE, 5000, FALSE) == WSA_WAIT_EVENT_0);
    CHECK("9 by event", WSAGetOverlappedResult(s, &overlapped, &count, TRUE, &flags));
    calls = 0;
    memset(&overlapped, 0, sizeof overlapped);
    result = WSASetSocketPeerTargetName(s, name, bytes, &overlapped, done);
    CHECK("9 by routine", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    CHECK("9 by routine", calls == 0);
    CHECK("9 by routine", alertable(5000) == WAIT_IO_COMPLETION && calls == 1 && seen_error[0] == 0);
    WORKS("9 it took effect", connect(s, (struct sockaddr *)&echo->address, sizeof echo->address));
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG length = sizeof info;
    calls = 0;
    memset(&overlapped, 0, sizeof overlapped);
    result = WSAQuerySocketSecurity(s, NULL, 0, &info, &length, &overlapped, done);
    CHECK("9 by routine", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    CHECK("9 by routine", alertable(5000) == WAIT_IO_COMPLETION && calls == 1);
    CHECK("9 the answer is there", info.Flags & SOCKET_INFO_CONNECTION_SECURED);
    closesocket(s);

    /* Ignored on a socket that is not overlapped. */
    s = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0);
    calls = 0;
    memset(&overlapped, 0xEE, sizeof overlapped);
    WSAOVERLAPPED before = overlapped;
    WORKS("9 ignored", WSASetSocketSecurity(s, NULL, 0, &overlapped, done));
    CHECK("9 ignored", memcmp(&before, &overlapped, sizeof before) == 0);
    CHECK("9 ignored", alertable(0) == 0 && calls == 0);
    closesocket(s);
    free(name);
}

static void datagrams(void) {
    struct echo *peer = echo_start(SOCK_DGRAM);
    char out[] = "datagram", in[32];
    WSABUF send_buffer = { 8, out }, receive_buffer = { sizeof in, in };
    WSAOVERLAPPED sending, receiving;
    struct sockaddr_in from;
    int from_length = sizeof from;
    DWORD count = 0, flags = 0;
    memset(&sending, 0, sizeof sending);
    memset(&receiving, 0, sizeof receiving);
    memset(&from, 0, sizeof from);
    sending.hEvent = WSACreateEvent(), receiving.hEvent = WSACreateEvent();
    SOCKET d = WSASocketW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_OVERLAPPED);
    WORKS("9", secure(d));
    WORKS("9", name_peer(d, &peer->address, "postgres/localhost"));
    int result = WSASendTo(d, &send_buffer, 1, NULL, 0, (struct sockaddr *)&peer->address, sizeof peer->address, &sending, NULL);
    CHECK("9 WSASendTo", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    CHECK("9 WSASendTo", WSAGetOverlappedResult(d, &sending, &count, TRUE, &flags) && count == 8);
    flags = 0;
    result = WSARecvFrom(d, &receive_buffer, 1, NULL, &flags, (struct sockaddr *)&from, &from_length, &receiving, NULL);
    CHECK("9 WSARecvFrom", result == 0 || WSAGetLastError() == WSA_IO_PENDING);
    CHECK("9 WSARecvFrom", WSAGetOverlappedResult(d, &receiving, &count, TRUE, &flags) && count == 8);
    CHECK("9 WSARecvFrom", memcmp(in, out, 8) == 0 && from.sin_port == peer->address.sin_port);
    WSACloseEvent(sending.hEvent);
    WSACloseEvent(receiving.hEvent);
    closesocket(d);
}

int main(void) {
    check_start();
    echo = echo_start(SOCK_STREAM);
    events();
    routines();
    only_the_issuer();
    cancelled();
    the_six();
    datagrams();
    return check_end();
}
