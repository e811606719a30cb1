/* A TCP client: connects to an address, and only to the service that it asks for.
 *
 *     cc -fshort-wchar tcp_client.c $(pkg-config --cflags --libs countersign-winsock) -o tcp_client
 *     ./tcp_client postgres localhost 127.0.0.1 27015 "hello"
 */
#ifndef UNICODE
#define UNICODE
#endif
#include <winsock2.h>
#include <mstcpip.h>
#include <ws2tcpip.h>
#include <ntdsapi.h>
#include <stdio.h>

/* Prints what failed: the number for programs, and the reason for people. */
static int failed(const wchar_t *what)
{
    int error = WSAGetLastError();
    fwprintf(stderr, L"%s: error %d: %S\n", what, error, CountersignLastErrorText());
    return error;
}

/* Says who must answer at the address that the socket connects to. */
static int set_target_name(SOCKET s, const wchar_t *spn)
{
    DWORD length = (DWORD)wcslen(spn);
    DWORD size = sizeof(SOCKET_PEER_TARGET_NAME) + length * sizeof(wchar_t);
    SOCKET_PEER_TARGET_NAME *name = (SOCKET_PEER_TARGET_NAME *)HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size);
    int result;

    if (name == NULL)
        return SOCKET_ERROR;
    name->SecurityProtocol = SOCKET_SECURITY_PROTOCOL_DEFAULT;
    name->PeerTargetNameStringLen = length * sizeof(wchar_t);
    RtlCopyMemory(name->AllStrings, spn, length * sizeof(wchar_t));
    result = WSASetSocketPeerTargetName(s, name, size, NULL, NULL);
    HeapFree(GetProcessHeap(), 0, name);
    return result;
}

int wmain(int argc, wchar_t *argv[])
{
    WSADATA data;
    SOCKET s = INVALID_SOCKET;
    SOCKET_SECURITY_SETTINGS settings = { SOCKET_SECURITY_PROTOCOL_DEFAULT, SOCKET_SETTINGS_GUARANTEE_ENCRYPTION };
    SOCKET_SECURITY_QUERY_INFO info;
    ULONG info_size = sizeof info;
    ADDRINFOW hints, *found = NULL;
    wchar_t spn[MAX_PATH];
    DWORD spn_length = MAX_PATH;
    char text[256];
    WSABUF buffer;
    DWORD count = 0, flags = 0;
    int result = 1;

    if (argc != 6) {
        wprintf(L"usage: %s SERVICE HOST ADDRESS PORT TEXT\n", argv[0]);
        return 2;
    }
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 1;

    /* The name is made of what the user typed, never of what a name server answers. */
    if (DsMakeSpn(argv[1], argv[2], NULL, 0, NULL, &spn_length, spn) != ERROR_SUCCESS) {
        wprintf(L"no name can be made of %s and %s\n", argv[1], argv[2]);
        goto cleanup;
    }
    ZeroMemory(&hints, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    if (GetAddrInfoW(argv[3], argv[4], &hints, &found) != 0) {
        failed(L"GetAddrInfoW");
        goto cleanup;
    }
    s = WSASocket(found->ai_family, found->ai_socktype, found->ai_protocol, NULL, 0, 0);
    if (s == INVALID_SOCKET) {
        failed(L"WSASocket");
        goto cleanup;
    }
    if (WSASetSocketSecurity(s, &settings, sizeof settings, NULL, NULL) == SOCKET_ERROR) {
        failed(L"WSASetSocketSecurity");
        goto cleanup;
    }
    if (set_target_name(s, spn) == SOCKET_ERROR) {
        failed(L"WSASetSocketPeerTargetName");
        goto cleanup;
    }
    if (WSAConnect(s, found->ai_addr, (int)found->ai_addrlen, NULL, NULL, NULL, NULL) == SOCKET_ERROR) {
        failed(L"WSAConnect");
        goto cleanup;
    }
    if (WSAQuerySocketSecurity(s, NULL, 0, &info, &info_size, NULL, NULL) == SOCKET_ERROR) {
        failed(L"WSAQuerySocketSecurity");
        goto cleanup;
    }
    wprintf(L"connected to %s, %s\n", spn,
        info.Flags & SOCKET_INFO_CONNECTION_ENCRYPTED ? L"encrypted" : L"in clear");

    count = (DWORD)WideCharToMultiByte(CP_UTF8, 0, argv[5], -1, text, sizeof text, NULL, NULL);
    buffer.buf = text;
    buffer.len = count == 0 ? 0 : count - 1;
    if (WSASend(s, &buffer, 1, &count, 0, NULL, NULL) == SOCKET_ERROR || shutdown(s, SD_SEND) == SOCKET_ERROR) {
        failed(L"WSASend");
        goto cleanup;
    }
    for (;;) {
        buffer.buf = text;
        buffer.len = sizeof text;
        if (WSARecv(s, &buffer, 1, &count, &flags, NULL, NULL) == SOCKET_ERROR) {
            failed(L"WSARecv");
            goto cleanup;
        }
        if (count == 0)
            break;
        fwrite(text, 1, count, stdout);
    }
    putchar('\n');
    result = 0;

cleanup:
    if (s != INVALID_SOCKET)
        closesocket(s);
    if (found != NULL)
        FreeAddrInfoW(found);
    WSACleanup();
    return result;
}
