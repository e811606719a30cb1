/* The socket functions beside the extensions: on secured sockets and on plain ones alike. */
#include "check.h"

#include <mswsock.h>
#include <unistd.h>

static struct echo *echo;

static void startup(void) {
    WSADATA data;
    memset(&data, 0, sizeof data);
    CHECK("WSAStartup", WSAStartup(MAKEWORD(2, 2), &data) == 0);
    CHECK("WSAStartup", data.wVersion == MAKEWORD(2, 2) && data.wHighVersion == MAKEWORD(2, 2));
    CHECK("WSAStartup", data.szDescription[0] != 0);
    CHECK("WSAStartup", WSAStartup(MAKEWORD(2, 2), NULL) == WSAEFAULT);
    WORKS("WSACleanup", WSACleanup());
    WSASetLastError(12345);
    CHECK("WSASetLastError", WSAGetLastError() == 12345 && GetLastError() == 12345);
}

static void *own_error(void *unused) {
    (void)unused;
    CHECK("an error of each thread", WSAGetLastError() == 0);
    WSASetLastError(1);
    return NULL;
}

static void threads(void) {
    pthread_t other;
    WSASetLastError(77);
    if (pthread_create(&other, NULL, own_error, NULL) != 0) abort();
    pthread_join(other, NULL);
    CHECK("an error of each thread", WSAGetLastError() == 77);
}

static void scatter_and_gather(SOCKET s) {
    char one[3], two[8], out1[] = "abc", out2[] = "defgh";
    WSABUF in[] = { { sizeof one, one }, { 0, NULL }, { 5, two } }, out[] = { { 3, out1 }, { 5, out2 } };
    DWORD count = 0, flags = MSG_WAITALL;
    WORKS("WSASend", WSASend(s, out, 2, &count, 0, NULL, NULL));
    CHECK("WSASend", count == 8);
    WORKS("WSARecv MSG_WAITALL", WSARecv(s, in, 3, &count, &flags, NULL, NULL));
    CHECK("WSARecv", count == 8 && memcmp(one, "abc", 3) == 0 && memcmp(two, "defgh", 5) == 0);
}

static void peek_and_count(SOCKET s) {
    char buffer[8];
    u_long ready = 99;
    WORKS("FIONREAD", ioctlsocket(s, FIONREAD, &ready));
    CHECK("FIONREAD", ready == 0);
    CHECK("send", send(s, "hello", 5, 0) == 5);
    CHECK("MSG_PEEK", recv(s, buffer, 1, MSG_PEEK) == 1 && buffer[0] == 'h');
    for (int i = 0; i < 100 && ready < 5; i++) Sleep(10), ioctlsocket(s, FIONREAD, &ready);
    CHECK("FIONREAD is plaintext", ready == 5);
    CHECK("MSG_WAITALL", recv(s, buffer, 5, MSG_WAITALL) == 5 && memcmp(buffer, "hello", 5) == 0);
}

static void readiness(SOCKET s) {
    fd_set set;
    struct timeval none = { 0, 0 }, long_time = { 10, 0 };
    char buffer[4];
    WSAPOLLFD poll = { s, POLLRDNORM, 0 };
    FD_ZERO(&set);
    FD_SET(s, &set);
    CHECK("select", select(0, &set, NULL, NULL, &none) == 0 && !FD_ISSET(s, &set));
    CHECK("WSAPoll", WSAPoll(&poll, 1, 0) == 0 && poll.revents == 0);
    CHECK("send", send(s, "1234", 4, 0) == 4);
    FD_ZERO(&set);
    FD_SET(s, &set);
    CHECK("select", select(0, &set, NULL, NULL, &long_time) == 1 && FD_ISSET(s, &set));
    CHECK("recv", recv(s, buffer, 1, 0) == 1);
    /* Three bytes are decrypted and in our memory: nothing more comes from the kernel. */
    FD_ZERO(&set);
    FD_SET(s, &set);
    CHECK("select: buffered plaintext is readable", select(0, &set, NULL, NULL, &none) == 1);
    CHECK("WSAPoll: buffered plaintext is readable", WSAPoll(&poll, 1, 0) == 1 && poll.revents & POLLRDNORM);
    CHECK("recv", receive_all(s, buffer, 3) == 3);
    FD_ZERO(&set);
    FD_SET(s, &set);
    CHECK("select: writable", select(0, NULL, &set, NULL, &long_time) == 1);
    poll.events = POLLWRNORM;
    CHECK("WSAPoll: writable", WSAPoll(&poll, 1, 1000) == 1 && poll.revents & POLLWRNORM);
    FAILS("select: nothing to wait for", select(0, NULL, NULL, NULL, &none), WSAEINVAL);
    FD_ZERO(&set);
    FD_SET((SOCKET)123456, &set);
    FAILS("select: no socket", select(0, &set, NULL, NULL, &none), WSAENOTSOCK);
}

static void options(SOCKET s) {
    int value = 0, length = sizeof value;
    DWORD milliseconds = 150;
    char byte;
    WORKS("SO_TYPE", getsockopt(s, SOL_SOCKET, SO_TYPE, (char *)&value, &length));
    CHECK("SO_TYPE", value == SOCK_STREAM);
    WORKS("SO_RCVTIMEO", setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&milliseconds, sizeof milliseconds));
    ULONGLONG start = GetTickCount64();
    FAILS("SO_RCVTIMEO", recv(s, &byte, 1, 0), WSAETIMEDOUT);
    ULONGLONG took = GetTickCount64() - start;
    CHECK("SO_RCVTIMEO is milliseconds", took >= 100 && took < 5000);
    milliseconds = 0;
    WORKS("SO_RCVTIMEO", setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&milliseconds, sizeof milliseconds));
    BOOL on = TRUE;
    WORKS("TCP_NODELAY", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (char *)&on, sizeof on));
    length = sizeof value;
    WORKS("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, (char *)&value, &length));
    FAILS("unknown option", setsockopt(s, SOL_SOCKET, 0x7777, (char *)&on, sizeof on), WSAENOPROTOOPT);
    FAILS("no place", getsockopt(s, SOL_SOCKET, SO_TYPE, NULL, &length), WSAEFAULT);
}

static void addresses(SOCKET s) {
    struct sockaddr_in it;
    int length = sizeof it;
    WORKS("getpeername", getpeername(s, (struct sockaddr *)&it, &length));
    CHECK("getpeername", it.sin_port == echo->address.sin_port && length == sizeof it);
    length = 4;
    FAILS("getsockname", getsockname(s, (struct sockaddr *)&it, &length), WSAEFAULT);
}

static void non_blocking(SOCKET s) {
    u_long mode = 1;
    char byte;
    WORKS("FIONBIO", ioctlsocket(s, FIONBIO, &mode));
    FAILS("FIONBIO", recv(s, &byte, 1, 0), WSAEWOULDBLOCK);
    CHECK("send", send(s, "n", 1, 0) == 1);
    WSAPOLLFD poll = { s, POLLRDNORM, 0 };
    CHECK("WSAPoll", WSAPoll(&poll, 1, 10000) == 1);
    CHECK("recv", recv(s, &byte, 1, 0) == 1 && byte == 'n');
    mode = 0;
    WORKS("FIONBIO", ioctlsocket(s, FIONBIO, &mode));
}

static void network_events(SOCKET s) {
    WSANETWORKEVENTS what;
    char byte;
    WSAEVENT event = WSACreateEvent();
    CHECK("WSACreateEvent", event != WSA_INVALID_EVENT);
    WORKS("WSAEventSelect", WSAEventSelect(s, event, FD_READ | FD_CLOSE));
    CHECK("WSAWaitForMultipleEvents", WSAWaitForMultipleEvents(1, &event, FALSE, 0, FALSE) == WSA_WAIT_TIMEOUT);
    CHECK("send", send(s, "e", 1, 0) == 1);
    CHECK("WSAWaitForMultipleEvents", WSAWaitForMultipleEvents(1, &event, FALSE, 10000, FALSE) == WSA_WAIT_EVENT_0);
    WORKS("WSAEnumNetworkEvents", WSAEnumNetworkEvents(s, event, &what));
    CHECK("WSAEnumNetworkEvents", what.lNetworkEvents & FD_READ && what.iErrorCode[FD_READ_BIT] == 0);
    FAILS("WSAEventSelect makes it non-blocking", (recv(s, &byte, 1, 0), recv(s, &byte, 1, 0)), WSAEWOULDBLOCK);
    WORKS("WSAEventSelect", WSAEventSelect(s, NULL, 0));
    u_long mode = 0;
    WORKS("FIONBIO", ioctlsocket(s, FIONBIO, &mode));
    CHECK("WSASetEvent", WSASetEvent(event) && WSAWaitForMultipleEvents(1, &event, TRUE, 0, FALSE) == WSA_WAIT_EVENT_0);
    CHECK("WSAResetEvent", WSAResetEvent(event) && WSAWaitForMultipleEvents(1, &event, TRUE, 0, FALSE) == WSA_WAIT_TIMEOUT);
    CHECK("WSACloseEvent", WSACloseEvent(event) && !WSACloseEvent(event) && WSAGetLastError() == WSA_INVALID_HANDLE);
    HANDLE once = CreateEventW(NULL, FALSE, TRUE, NULL);
    CHECK("CreateEvent: reset by the wait", WaitForSingleObject(once, 0) == WAIT_OBJECT_0 && WaitForSingleObject(once, 0) == WAIT_TIMEOUT);
    CHECK("CloseHandle", CloseHandle(once));
}

static void messages(void) {
    struct echo *peer = echo_start(SOCK_DGRAM);
    char out[] = "msg", in[16];
    struct sockaddr_in from;
    WSABUF send_buffer = { 3, out }, receive_buffer = { sizeof in, in };
    WSAMSG message;
    DWORD count = 0, returned = 0;
    GUID id = WSAID_WSARECVMSG;
    LPFN_WSARECVMSG receive_message = NULL;
    SOCKET d = socket(AF_INET, SOCK_DGRAM, 0);
    WORKS("WSASendMsg", secure(d));
    WORKS("WSASendMsg", name_peer(d, &peer->address, "postgres/localhost"));
    memset(&message, 0, sizeof message);
    message.name = (struct sockaddr *)&peer->address;
    message.namelen = sizeof peer->address;
    message.lpBuffers = &send_buffer;
    message.dwBufferCount = 1;
    WORKS("WSASendMsg", WSASendMsg(d, &message, 0, &count, NULL, NULL));
    CHECK("WSASendMsg", count == 3);
    WORKS("WSAIoctl", WSAIoctl(d, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &receive_message, sizeof receive_message,
                          &returned, NULL, NULL));
    CHECK("WSAIoctl", receive_message != NULL && returned == sizeof receive_message);
    message.name = (struct sockaddr *)&from;
    message.namelen = sizeof from;
    message.lpBuffers = &receive_buffer;
    if (receive_message != NULL) {
        WORKS("WSARecvMsg", receive_message(d, &message, &count, NULL, NULL));
        CHECK("WSARecvMsg", count == 3 && memcmp(in, "msg", 3) == 0 && from.sin_port == peer->address.sin_port);
    }
    char small;
    CHECK("sendto", sendto(d, "long", 4, 0, (struct sockaddr *)&peer->address, sizeof peer->address) == 4
                        || WSAGetLastError() == WSAEMSGSIZE);
    FAILS("a datagram larger than the buffer", recv(d, &small, 1, 0), WSAEMSGSIZE);
    closesocket(d);
}

static void endings(void) {
    char byte;
    SOCKET s = dial(echo, "postgres/localhost", 0);
    WORKS("shutdown", shutdown(s, SD_SEND));
    FAILS("shutdown", send(s, "x", 1, 0), WSAESHUTDOWN);
    CHECK("the end is zero bytes", recv(s, &byte, 1, 0) == 0);
    FAILS("shutdown", shutdown(s, 7), WSAEINVAL);
    closesocket(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS("shutdown", shutdown(s, SD_BOTH), WSAENOTCONN);
    FAILS("recv", recv(s, &byte, 1, 0), WSAENOTCONN);
    FAILS("listen", listen(s, 1), WSAEINVAL);
    closesocket(s);
    struct sockaddr_in nobody = loopback(1);
    s = socket(AF_INET, SOCK_STREAM, 0);
    WORKS("connect", name_peer(s, NULL, "postgres/localhost"));
    FAILS("connect", connect(s, (struct sockaddr *)&nobody, sizeof nobody), WSAECONNREFUSED);
    closesocket(s);
    WSAPROTOCOL_INFOW info;
    s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS("WSADuplicateSocket is refused", WSADuplicateSocketW(s, 1, &info), WSAEOPNOTSUPP);
    closesocket(s);
    FAILS("socket", (int)socket(99, SOCK_STREAM, 0), WSAEAFNOSUPPORT);
}

static void bulk(SOCKET s) {
    enum { SIZE = 1 << 20 };
    static char out[SIZE], in[SIZE];
    for (int i = 0; i < SIZE; i++) out[i] = (char)(i * 31 + (i >> 8));
    int sent = 0, got = 0;
    while (got < SIZE) {
        if (sent < SIZE) {
            int count = send(s, out + sent, SIZE - sent < 65536 ? SIZE - sent : 65536, 0);
            CHECK("send in bulk", count > 0);
            if (count <= 0) return;
            sent += count;
        }
        int count = recv(s, in + got, sent - got, 0);
        CHECK("recv in bulk", count > 0);
        if (count <= 0) return;
        got += count;
    }
    CHECK("in bulk, all of it and in order", memcmp(in, out, SIZE) == 0);
}

int main(void) {
    check_start();
    startup();
    threads();
    echo = echo_start(SOCK_STREAM);
    SOCKET s = dial(echo, "postgres/localhost", 0);
    CHECK("dial", s != INVALID_SOCKET);
    scatter_and_gather(s);
    peek_and_count(s);
    readiness(s);
    options(s);
    addresses(s);
    non_blocking(s);
    network_events(s);
    bulk(s);
    closesocket(s);
    messages();
    endings();
    return check_end();
}
