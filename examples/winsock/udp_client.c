/* A UDP client with one socket, several peers, and a name for each of them.
 *
 *     cc -fshort-wchar udp_client.c $(pkg-config --cflags --libs countersign-winsock) -o udp_client
 *     ./udp_client statsd/metrics.test 127.0.0.1 8125  syslog/logs.test 127.0.0.1 514
 *
 * Each peer gets a datagram once it has proved its name, and is expected to send one back. A peer that is someone else
 * gets nothing, and the others are served all the same.
 */
#ifndef UNICODE
#define UNICODE
#endif
#include <winsock2.h>
#include <mstcpip.h>
#include <ws2tcpip.h>
#include <stdio.h>

static void failed(const wchar_t *what, const wchar_t *whom)
{
    int error = WSAGetLastError();
    wprintf(L"%s %s: error %d: %S\n", what, whom, error, CountersignLastErrorText());
}

static int set_target_name(SOCKET s, const struct sockaddr_in *peer, const wchar_t *spn)
{
    ULONG bytes = (ULONG)(wcslen(spn) * sizeof(wchar_t));
    ULONG size = sizeof(SOCKET_PEER_TARGET_NAME) + bytes;
    SOCKET_PEER_TARGET_NAME *name = (SOCKET_PEER_TARGET_NAME *)HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size);
    int result;

    if (name == NULL)
        return SOCKET_ERROR;
    name->SecurityProtocol = SOCKET_SECURITY_PROTOCOL_DEFAULT;
    RtlCopyMemory(&name->PeerAddress, peer, sizeof *peer);
    name->PeerTargetNameStringLen = bytes;
    RtlCopyMemory(name->AllStrings, spn, bytes);
    result = WSASetSocketPeerTargetName(s, name, size, NULL, NULL);
    HeapFree(GetProcessHeap(), 0, name);
    return result;
}

int wmain(int argc, wchar_t *argv[])
{
    WSADATA data;
    SOCKET s;
    int i, failures = 0;
    DWORD wait = 5000;

    if (argc < 4 || (argc - 1) % 3 != 0) {
        wprintf(L"usage: %s NAME ADDRESS PORT [NAME ADDRESS PORT]...\n", argv[0]);
        return 2;
    }
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 1;
    s = WSASocket(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, 0);
    if (s == INVALID_SOCKET || WSASetSocketSecurity(s, NULL, 0, NULL, NULL) == SOCKET_ERROR
        || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&wait, sizeof wait) == SOCKET_ERROR) {
        failed(L"no socket", L"");
        return 1;
    }
    for (i = 1; i < argc; i += 3) {
        struct sockaddr_in peer, from;
        int from_size = sizeof from, count;
        char text[] = "ping", answer[64];

        ZeroMemory(&peer, sizeof peer);
        peer.sin_family = AF_INET;
        peer.sin_port = htons((USHORT)_wtoi(argv[i + 2]));
        if (InetPton(AF_INET, argv[i + 1], &peer.sin_addr) != 1) {
            wprintf(L"%s is no address\n", argv[i + 1]);
            return 2;
        }
        if (set_target_name(s, &peer, argv[i]) == SOCKET_ERROR) {
            failed(L"WSASetSocketPeerTargetName", argv[i]);
            return 1;
        }
        if (sendto(s, text, 4, 0, (struct sockaddr *)&peer, sizeof peer) == SOCKET_ERROR) {
            failed(L"nothing was sent to", argv[i]);
            failures++;
            continue;
        }
        count = recvfrom(s, answer, sizeof answer, 0, (struct sockaddr *)&from, &from_size);
        if (count == SOCKET_ERROR) {
            failed(L"nothing came from", argv[i]);
            failures++;
            continue;
        }
        wprintf(L"%s answered %d bytes\n", argv[i], count);
    }
    closesocket(s);
    WSACleanup();
    return failures == 0 ? 0 : 1;
}
