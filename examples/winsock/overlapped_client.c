/* A client that never waits for one thing only: it sends and receives by overlapped calls, and their completion routines
 * run while the thread sleeps alertably.
 *
 *     cc -fshort-wchar overlapped_client.c $(pkg-config --cflags --libs countersign-winsock) -o overlapped_client
 *     ./overlapped_client postgres/localhost 127.0.0.1 27015 100
 *
 * It sends so many lines to a server that echoes, and counts what comes back.
 */
#ifndef UNICODE
#define UNICODE
#endif
#include <winsock2.h>
#include <mstcpip.h>
#include <ws2tcpip.h>
#include <stdio.h>

/* What belongs to one operation. The OVERLAPPED comes first: the routine finds the rest from its address. */
struct operation {
    WSAOVERLAPPED overlapped;
    SOCKET socket;
    WSABUF buffer;
    char bytes[64];
};

static int lines_to_send, lines_sent, bytes_sent, bytes_received;
static DWORD first_error;

static void start_send(struct operation *it);
static void start_receive(struct operation *it);

static void CALLBACK sent(DWORD error, DWORD count, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    UNREFERENCED_PARAMETER(flags);
    if (error != 0) {
        first_error = error;
        return;
    }
    bytes_sent += (int)count;
    start_send(CONTAINING_RECORD(overlapped, struct operation, overlapped));
}

static void CALLBACK received(DWORD error, DWORD count, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    UNREFERENCED_PARAMETER(flags);
    if (error != 0 || count == 0) {
        first_error = error != 0 ? error : WSAEDISCON;
        return;
    }
    bytes_received += (int)count;
    start_receive(CONTAINING_RECORD(overlapped, struct operation, overlapped));
}

static void check(int result)
{
    if (result == SOCKET_ERROR && WSAGetLastError() != WSA_IO_PENDING)
        first_error = (DWORD)WSAGetLastError();
}

static void start_send(struct operation *it)
{
    if (lines_sent == lines_to_send)
        return;
    ZeroMemory(&it->overlapped, sizeof it->overlapped);
    it->buffer.buf = it->bytes;
    it->buffer.len = (ULONG)snprintf(it->bytes, sizeof it->bytes, "line %d\n", ++lines_sent);
    check(WSASend(it->socket, &it->buffer, 1, NULL, 0, &it->overlapped, sent));
}

static void start_receive(struct operation *it)
{
    DWORD flags = 0;

    ZeroMemory(&it->overlapped, sizeof it->overlapped);
    it->buffer.buf = it->bytes;
    it->buffer.len = sizeof it->bytes;
    check(WSARecv(it->socket, &it->buffer, 1, NULL, &flags, &it->overlapped, received));
}

int wmain(int argc, wchar_t *argv[])
{
    WSADATA data;
    SOCKET s;
    struct sockaddr_in server;
    struct operation sending, receiving;
    SOCKET_PEER_TARGET_NAME *name;
    ULONG size;

    if (argc != 5) {
        wprintf(L"usage: %s NAME ADDRESS PORT LINES\n", argv[0]);
        return 2;
    }
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 1;
    ZeroMemory(&server, sizeof server);
    server.sin_family = AF_INET;
    server.sin_port = htons((USHORT)_wtoi(argv[3]));
    if (InetPton(AF_INET, argv[2], &server.sin_addr) != 1)
        return 2;
    lines_to_send = _wtoi(argv[4]);

    s = WSASocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    size = (ULONG)(sizeof *name + wcslen(argv[1]) * sizeof(wchar_t));
    name = (SOCKET_PEER_TARGET_NAME *)HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size);
    if (s == INVALID_SOCKET || name == NULL)
        return 1;
    RtlCopyMemory(&name->PeerAddress, &server, sizeof server);
    name->PeerTargetNameStringLen = (ULONG)(wcslen(argv[1]) * sizeof(wchar_t));
    RtlCopyMemory(name->AllStrings, argv[1], name->PeerTargetNameStringLen);
    if (WSASetSocketSecurity(s, NULL, 0, NULL, NULL) == SOCKET_ERROR
        || WSASetSocketPeerTargetName(s, name, size, NULL, NULL) == SOCKET_ERROR
        || connect(s, (struct sockaddr *)&server, sizeof server) == SOCKET_ERROR) {
        fwprintf(stderr, L"error %d: %S\n", WSAGetLastError(), CountersignLastErrorText());
        return 1;
    }
    HeapFree(GetProcessHeap(), 0, name);

    sending.socket = receiving.socket = s;
    start_receive(&receiving);
    start_send(&sending);
    /* All the work is done in here: an alertable wait runs the routines of what has completed. */
    while (first_error == 0 && (lines_sent < lines_to_send || bytes_received < bytes_sent || bytes_sent == 0)) {
        if (SleepEx(10000, TRUE) != WAIT_IO_COMPLETION) {
            wprintf(L"nothing happened for ten seconds\n");
            return 1;
        }
    }
    if (first_error != 0) {
        wprintf(L"error %lu: %S\n", first_error, CountersignLastErrorText());
        return 1;
    }
    wprintf(L"%d lines, %d bytes sent, %d received\n", lines_sent, bytes_sent, bytes_received);
    /* The receive that is under way is cancelled; its routine sees WSA_OPERATION_ABORTED. */
    closesocket(s);
    SleepEx(1000, TRUE);
    if (first_error != WSA_OPERATION_ABORTED)
        wprintf(L"the last receive ended with error %lu\n", first_error);
    WSACleanup();
    return 0;
}
