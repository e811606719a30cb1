/* A TCP server that reads files with the rights of the client that asks, not with its own.
 *
 *     cc -fshort-wchar tcp_server.c $(pkg-config --cflags --libs countersign-winsock) -o tcp_server
 *     ./tcp_server 27015 3            # serves three clients, then ends
 *
 * Each client sends the path of a file and gets its first bytes, or why not. Who may connect is a matter of policy
 * ([[allow]]), and so is which local account a client's name stands for ([[account]]).
 */
#ifndef UNICODE
#define UNICODE
#endif
#include <winsock2.h>
#include <mstcpip.h>
#include <ws2tcpip.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void failed(const wchar_t *what)
{
    int error = WSAGetLastError();
    fwprintf(stderr, L"%s: error %d: %S\n", what, error, CountersignLastErrorText());
}

/* Opens the file as the client, so that the kernel judges the client's rights. */
static int read_as_peer(SOCKET client, const char *path, char *text, int size)
{
    FILE *file;
    int count, reason;

    if (WSAImpersonateSocketPeer(client, NULL, 0) == SOCKET_ERROR) {
        failed(L"WSAImpersonateSocketPeer");
        return snprintf(text, (size_t)size, "you have no account here");
    }
    file = fopen(path, "r");
    reason = errno;
    /* Nothing is done as the client that need not be: what fails here must not go on as the client. */
    if (WSARevertImpersonation() == SOCKET_ERROR) {
        failed(L"WSARevertImpersonation");
        abort();
    }
    if (file == NULL)
        return snprintf(text, (size_t)size, "%s: %s", path, strerror(reason));
    count = (int)fread(text, 1, (size_t)size, file);
    fclose(file);
    return count;
}

static void serve(SOCKET client)
{
    char path[1024], text[1024];
    int length = 0, count;

    while (length < (int)sizeof path - 1) {
        count = recv(client, path + length, (int)sizeof path - 1 - length, 0);
        if (count == SOCKET_ERROR) {
            failed(L"recv");
            return;
        }
        if (count == 0)
            break;
        length += count;
    }
    path[length] = 0;
    count = read_as_peer(client, path, text, sizeof text);
    if (send(client, text, count, 0) == SOCKET_ERROR)
        failed(L"send");
    shutdown(client, SD_SEND);
}

int wmain(int argc, wchar_t *argv[])
{
    WSADATA data;
    SOCKET listener, client;
    struct sockaddr_in address;
    int size = sizeof address, clients = argc > 2 ? _wtoi(argv[2]) : -1;

    if (argc < 2) {
        wprintf(L"usage: %s PORT [CLIENTS]\n", argv[0]);
        return 2;
    }
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 1;
    listener = WSASocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0);
    ZeroMemory(&address, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((USHORT)_wtoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener == INVALID_SOCKET
        || WSASetSocketSecurity(listener, NULL, 0, NULL, NULL) == SOCKET_ERROR
        || bind(listener, (struct sockaddr *)&address, sizeof address) == SOCKET_ERROR
        || listen(listener, SOMAXCONN) == SOCKET_ERROR
        || getsockname(listener, (struct sockaddr *)&address, &size) == SOCKET_ERROR) {
        failed(L"no listener");
        return 1;
    }
    wprintf(L"listening on port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (clients-- != 0) {
        client = WSAAccept(listener, NULL, NULL, NULL, 0);
        if (client == INVALID_SOCKET) {
            /* One client was turned away; the next may be welcome. */
            failed(L"WSAAccept");
            continue;
        }
        serve(client);
        closesocket(client);
    }
    closesocket(listener);
    WSACleanup();
    return 0;
}
